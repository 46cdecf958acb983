"""Fixtures for tests that share one cloud with the charm deployed on it."""

import os
from collections.abc import Iterator

import pytest

from tests import install
from tests.cloud import cloud as real
from tests.lab import deployed, processes


@pytest.fixture(scope="session")
def cloud_support(lab_support: None) -> None:
    """Skip where the cloud's packages are not installed; fail instead in CI, where they can be."""
    absent = install.absent(install.CLOUD)
    if not absent:
        return
    reason = f"a cloud needs {', '.join(absent)}: `make test-cloud` installs what can be installed"
    if os.environ.get("CI") == "true" and not install.unknown(absent):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cloud(cloud_support: None) -> Iterator[real.Cloud]:
    """Start a cloud with two amphorae: GRE, IPv6 and IPv4, l2population."""
    with real.Cloud.start(guests=2) as started:
        started.warm_up(limit=30)
        yield started


@pytest.fixture(scope="session")
def charm(cloud: real.Cloud) -> deployed.Cloud:
    """Deploy the charm in the cloud."""
    return deployed.Cloud.start(cloud)


@pytest.fixture(scope="session")
def run(charm: deployed.Cloud) -> str:
    """Plan the path from Octavia to the amphora once, for faults that the plan does not tell of."""
    return charm.plan()["run"]


@pytest.fixture
def nothing_is_left(cloud: real.Cloud) -> Iterator[None]:
    """See that a test leaves nothing of ours on the hosts, and the ports as they were."""
    before = {key: stable(cloud, key) for key in cloud.interfaces}
    yield
    for host in cloud.hosts.values():
        processes.wait_until(lambda host=host: not deployed.tools(host), f"the end of tools on {host.namespace}")
        assert deployed.open_entries(host) == []
        assert deployed.ours(host) == []
    processes.wait_until(
        lambda: {key: stable(cloud, key) for key in cloud.interfaces} == before, "the ports as they were", limit=30
    )


def stable(cloud: real.Cloud, key: str) -> dict[str, object]:
    """Return a port as the API shows it, without the count and the time of its updates."""
    return {name: value for name, value in cloud.port(key).items() if name not in ("revision_number", "updated_at")}
