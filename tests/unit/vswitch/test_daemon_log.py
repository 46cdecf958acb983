"""Only what ovs-vswitchd warned of since the mark is told, whatever becomes of its log meanwhile."""

import pathlib

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.vswitch import daemon_log

OLD = "2026-11-22T10:00:00.001Z|00001|bridge|WARN|old\n"
WARNED = "2026-11-22T10:00:01.001Z|00002|ofproto_dpif_xlate(handler3)|WARN|over max translation depth 64\n"
FAILED = "2026-11-22T10:00:01.002Z|00003|dpif(revalidator5)|ERR|netdev@ovs-netdev: failed to flow_del\n"
INFORMED = "2026-11-22T10:00:01.003Z|00004|bridge|INFO|bridge br-int: added interface\n"


def append(log: pathlib.Path, text: str) -> None:
    with log.open("a") as stream:
        stream.write(text)


def test_warnings_and_errors_since_the_mark_are_returned(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "ovs-vswitchd.log"
    log.write_text(OLD)
    mark = daemon_log.Mark(log)

    append(log, WARNED + INFORMED + FAILED)

    assert mark.since() == (WARNED.strip(), FAILED.strip())


def test_a_rotated_log_is_read_from_its_beginning(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "ovs-vswitchd.log"
    log.write_text(OLD * 10)
    mark = daemon_log.Mark(log)

    log.rename(tmp_path / "ovs-vswitchd.log.1")
    log.write_text(WARNED)

    assert mark.since() == (WARNED.strip(),)


def test_a_log_that_was_emptied_in_place_is_read_from_its_beginning(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "ovs-vswitchd.log"
    log.write_text(OLD * 10)
    mark = daemon_log.Mark(log)

    log.write_text(FAILED)

    assert mark.since() == (FAILED.strip(),)


def test_of_a_log_that_cannot_be_read_nothing_is_known(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.PathfinderError, match=r"none\.log could not be read: No such file"):
        daemon_log.Mark(tmp_path / "none.log").since()


def test_a_flood_of_warnings_is_cut(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "ovs-vswitchd.log"
    mark = daemon_log.Mark(log)

    append(log, (WARNED.strip() + "x" * 1000 + "\n") * 500)

    found = mark.since()
    assert len(found) == 20
    assert {len(line) for line in found} == {400}
