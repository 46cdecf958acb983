"""What has changed since the newest snapshot goes into the evidence of a unit at which packets are missing."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from ovs_pathfinder.evidence import record
from ovs_pathfinder.inspection import history, snapshots
from tests.unit.diagnosis import build
from tests.unit.inspection import switched
from tests.unit.vswitch import private

FLOW = "table=99,priority=7,icmp6,actions=drop"


@pytest.fixture(scope="module")
def switch() -> Iterator[pathlib.Path]:
    """A switch for all tests of this module."""
    if reason := private.missing():
        pytest.skip(reason)
    with switched.running() as place:
        yield place


def take(folder: pathlib.Path) -> snapshots.Answer:
    return snapshots.run(snapshots.Query(), switched.context_of(folder))


def lossy(**changes: Any) -> record.Evidence:
    """Return the evidence of a source whose probe was not answered."""
    return build.World(lost_after={("forward", "source-port"): 5}, **changes).run()[0]


def test_a_flow_that_is_new_is_told(switch: pathlib.Path, tmp_path: pathlib.Path) -> None:
    taken = take(tmp_path)
    private.call("ovs-ofctl", "-O", "OpenFlow14", "add-flow", "br-int", FLOW)

    found = history.added(lossy(), tmp_path).history

    private.call("ovs-ofctl", "-O", "OpenFlow14", "--strict", "del-flows", "br-int", "table=99,priority=7,icmp6")
    assert found is not None
    assert (found.snapshot, found.taken, found.version) == (taken.name, taken.taken, taken.ovs_version)
    assert (found.count, len(found.differences)) == (1, 1)
    assert found.differences[0].startswith("new: br-int table 99")


def test_nothing_that_changed_is_told_as_well(switch: pathlib.Path, tmp_path: pathlib.Path) -> None:
    take(tmp_path)

    found = history.added(lossy(), tmp_path).history

    assert found is not None
    assert (found.count, found.differences) == (0, ())


def test_without_a_snapshot_there_is_no_history(switch: pathlib.Path, tmp_path: pathlib.Path) -> None:
    evidence = lossy()

    assert history.added(evidence, tmp_path) == evidence


def test_a_snapshot_that_would_take_long_is_left_alone(
    switch: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = take(tmp_path)
    monkeypatch.setattr(history, "MOST_BYTES", taken.bytes - 1)

    assert history.added(lossy(), tmp_path).history is None


def test_a_path_that_works_is_not_compared(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(*_: Any) -> None:
        raise AssertionError("it was compared")

    monkeypatch.setattr(history, "since_snapshot", compare)

    for evidence in build.World().run():
        assert history.added(evidence, tmp_path).history is None


def test_a_damaged_snapshot_is_said_and_nothing_else_is_lost(switch: pathlib.Path, tmp_path: pathlib.Path) -> None:
    taken = pathlib.Path(take(tmp_path).path)
    taken.write_bytes(taken.read_bytes()[:-20])
    evidence = lossy()

    found = history.added(evidence, tmp_path)

    assert found.history is None
    assert "is cut off" in found.problems[-1]
    assert found.observations == evidence.observations
