"""A cloud for the tests of all that asks one."""

from collections.abc import Generator

import pytest

from tests.lab.cloud import server
from tests.unit.cloud import sky


@pytest.fixture(scope="module")
def _stand_in(tmp_path_factory: pytest.TempPathFactory) -> Generator[sky.Sky]:
    file = tmp_path_factory.mktemp("cloud") / "description.json"
    file.write_text("{}")
    with server.Server(file) as stand_in:
        yield sky.Sky(stand_in, file)


@pytest.fixture
def clouds(_stand_in: sky.Sky) -> sky.Sky:
    """Return a cloud in which everything is well: one server a module, one description a test."""
    _stand_in.reset()
    return _stand_in
