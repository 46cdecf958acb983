"""Fixtures for tests that share one lab with the charm deployed on it."""

from collections.abc import Generator, Iterator

import pytest

from tests.lab import deployed, hosts


@pytest.fixture(scope="session")
def cloud(lab_support: None) -> Iterator[deployed.Cloud]:
    """Deploy the charm in a healthy lab: GRE, IPv6, l2population."""
    with hosts.Lab.start() as lab:
        lab.warm_up()
        yield deployed.Cloud.start(lab)


@pytest.fixture(scope="session")
def run(cloud: deployed.Cloud) -> str:
    """Plan a path from Octavia to the amphora, once."""
    return cloud.plan()["run"]


@pytest.fixture
def nothing_is_left(request: pytest.FixtureRequest) -> Generator[None]:
    """See that a test leaves both hosts of its cloud as they were."""
    if "cloud" not in request.fixturenames:
        yield
        return
    with deployed.unchanged(request.getfixturevalue("cloud").lab):
        yield
