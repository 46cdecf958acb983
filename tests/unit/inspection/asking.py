"""A unit beside Octavia that asks the stand-in of the cloud, without a host of its own."""

import contextlib
import pathlib
from collections.abc import Generator, Sequence

from ovs_pathfinder import cloud, errors, path, words
from ovs_pathfinder.inspection import context
from ovs_pathfinder.temporary import journal
from tests.unit.cloud import sky

UNIT = sky.UNITS[0]


def context_of(clouds: sky.Sky | None, units: Sequence[path.Unit] = sky.UNITS) -> context.Context:
    """Serve the description, and return the context of the unit on Octavia's host; without a cloud, no credentials."""

    @contextlib.contextmanager
    def connect() -> Generator[cloud.Cloud]:
        if clouds is None:
            raise errors.PathfinderError("there are no credentials")
        with cloud.connect(clouds.credentials()) as connected:
            yield connected

    def plan(run: str) -> path.Plan:
        raise errors.PathfinderError(f"there is no plan of run {run}")

    if clouds is not None:
        clouds.serve()
        clouds.stand_in.requests.clear()
    return context.Context(
        unit=UNIT.name,
        units=lambda: list(units),
        connect=connect,
        plan=plan,
        book=journal.Journal(),
        folder=pathlib.Path("/nonexistent"),
        longest=300,
        log=lambda text: None,
        command=lambda unit, action, *params: words.pasted("juju", "run", unit, action, *params),
    )


def requests(clouds: sky.Sky) -> list[str]:
    """Return the addresses that were asked since, without Keystone's."""
    paths = [one["path"] for one in clouds.stand_in.requests]
    return [path for path in paths if not path.startswith("/v3")]
