"""What others put in the place of a file blocks nobody and is not read."""

import os
import pathlib

import pytest

from ovs_pathfinder import errors, files
from ovs_pathfinder.evidence import pcap
from ovs_pathfinder.inspection import worker_log
from ovs_pathfinder.temporary import journal
from ovs_pathfinder.vswitch import daemon_log, snapshot


@pytest.fixture
def fifo(tmp_path: pathlib.Path) -> pathlib.Path:
    os.mkfifo(tmp_path / "a.log")
    return tmp_path / "a.log"


def test_regular_files_are_read_and_those_of_proc_too(tmp_path: pathlib.Path):
    (tmp_path / "a").write_bytes(b"abc\xff")

    assert files.read(tmp_path / "a", 2) == b"ab"
    assert files.text(tmp_path / "a") == "abc\ufffd"
    assert files.text("/proc/self/comm")


@pytest.mark.parametrize("place", ["/dev/zero", "/proc/self", "/dev/null"])
def test_devices_and_folders_are_not_read(place: str):
    with pytest.raises(files.NotRegularError, match="no regular file"):
        files.read(place)


def test_fifo_is_not_waited_for(fifo: pathlib.Path):
    with pytest.raises(files.NotRegularError):
        files.read(fifo)
    with pytest.raises(FileNotFoundError):
        files.open_regular(fifo.parent / "none")


def test_links_may_be_refused(tmp_path: pathlib.Path):
    (tmp_path / "link").symlink_to("/proc/self/comm")

    assert files.text(tmp_path / "link")
    with pytest.raises(OSError, match="symbolic"):
        files.open_regular(tmp_path / "link", follow=False)


def test_fifo_in_the_place_of_a_log_says_nothing_and_is_named(fifo: pathlib.Path):
    with pytest.raises(errors.PathfinderError, match="could not be read: it is no regular file"):
        daemon_log.Mark(fifo).since()
    assert worker_log.read_one([fifo]).problem == f"{fifo} cannot be read (it is no regular file)"


def test_fifo_is_no_capture_no_snapshot_and_no_entry_of_the_journal(fifo: pathlib.Path):
    with pytest.raises(errors.PathfinderError, match="cannot be read: it is no regular file"):
        pcap.read(fifo)
    with pytest.raises(errors.PathfinderError, match="is no regular file, so it is no snapshot"):
        snapshot.Snapshot(fifo).flows().__next__()
    book = journal.Journal(fifo.parent)
    (fifo.parent / "open").mkdir()
    fifo.rename(fifo.parent / "open" / "0123456789ab.json")
    with pytest.raises(errors.PathfinderError, match="cannot be read"):
        book.entries()
