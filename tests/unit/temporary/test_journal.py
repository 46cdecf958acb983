"""The journal on real files: what it promises when power, disk or process fails."""

import contextlib
import errno
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from ovs_pathfinder import errors, process
from ovs_pathfinder.temporary import change, flows, guard, journal, protocol, rule, sweep
from tests.lab import processes

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
UNDONE = change.Outcome(state="undone", text="1 flow deleted.")


@pytest.fixture
def book(tmp_path: pathlib.Path) -> journal.Journal:
    return journal.Journal(tmp_path / "state")


def entry(action: str = "try-flows", **more: Any) -> journal.Entry:
    """Return an entry for a flow on a bridge that no switch has."""
    rules = rule.parse("table=0,priority=96,icmp6,in_port=3,actions=NORMAL")
    kind = flows.Flows(bridge="br-none", cookie=flows.new_cookie(), rules=rules)
    return journal.new(kind, seconds=60, action=action, run="20261122t170000-abcdef", **more)


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def refusal(attempt: Callable[[], Any]) -> str:
    with pytest.raises(errors.PathfinderError) as caught:
        attempt()
    return str(caught.value)


def file_of(book: journal.Journal, of: journal.Entry) -> pathlib.Path:
    return book.directory / "open" / f"{of.id}.json"


# --- what is written ---


def test_an_entry_comes_back_as_it_was_written(book: journal.Journal) -> None:
    first, second = entry("try-flows"), entry("inject-flows", stays=True)
    for each in (second, first):
        book.write(each)

    assert {each.id: each for each in book.entries()} == {first.id: first, second.id: second}
    assert book.entry(first.id) == first
    assert book.entry("0123456789ab") is None
    assert not book.is_empty()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_the_owner_can_look_into_it(book: journal.Journal, umask: int) -> None:
    one = entry()
    kept = os.umask(umask)
    try:
        book.write(one)
        book.close(one, UNDONE, "action")
        book.write(entry())
        with book.lock("a test"):
            pass
    finally:
        os.umask(kept)

    places = [book.directory, *book.directory.rglob("*")]
    assert {mode(place) for place in places if place.is_dir()} == {0o700}
    assert {mode(place) for place in places if place.is_file()} == {0o600}
    assert len(places) == 6


def test_a_folder_that_others_may_look_into_is_closed_to_them(book: journal.Journal) -> None:
    (book.directory / "open").mkdir(parents=True)
    for folder in (book.directory, book.directory / "open"):
        folder.chmod(0o777)

    book.write(entry())

    assert (mode(book.directory), mode(book.directory / "open")) == (0o700, 0o700)


def test_a_reader_never_sees_half_an_entry(book: journal.Journal) -> None:
    one = entry()
    book.write(one)
    words = {"", *(letter * 50_000 for letter in "ab")}
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.update(each.error for each in book.entries())

    reader = _Failing(read)
    for number in range(150):
        book.write(one.model_copy(update={"error": sorted(words)[number % 3]}))
    stop.set()

    reader.end()
    assert seen == words


def test_a_reader_passes_over_an_entry_that_is_closed_at_this_moment(book: journal.Journal) -> None:
    stop = threading.Event()
    lengths: set[int] = set()

    def read() -> None:
        while not stop.is_set():
            found = [*book.entries(), *book.closed()]
            lengths.add(len(found))

    reader = _Failing(read)
    for _ in range(150):
        one = entry()
        book.write(one)
        book.close(one, UNDONE, "action")
    stop.set()

    reader.end()
    assert max(lengths) >= journal.KEPT


class _Failing:
    """A thread whose failure is the test's."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error

    def end(self) -> None:
        """Wait for its end.

        Raises:
            BaseException: What it failed with.
        """
        self._thread.join()
        if self._error:
            raise self._error


# --- what has reached the disk, and when ---


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record what reaches the disk, and each step of a change, in order."""
    found: list[str] = []
    fsync, replace = os.fsync, pathlib.Path.replace

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        found.append(f"sync {pathlib.Path(f'/proc/self/fd/{descriptor}').readlink().name}")

    def replaced(self: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
        done = replace(self, target)
        found.append(f"rename {self.name} {target.name}")
        return done

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(pathlib.Path, "replace", replaced)
    for name, result in (("check", None), ("make", None), ("undo", UNDONE)):
        monkeypatch.setattr(flows.Flows, name, _step(found, name, result))
    start = guard.start

    def started(*given: Any) -> process.Outliving:
        found.append("guard")
        return start(*given)

    monkeypatch.setattr(guard, "start", started)
    return found


def _step(found: list[str], name: str, result: Any) -> Callable[..., Any]:
    def step(*_: Any) -> Any:
        found.append(name)
        return result

    return step


def test_the_entry_is_on_the_disk_before_anything_changes(book: journal.Journal, events: list[str]) -> None:
    kind = entry().change

    with protocol.temporarily(book, kind, seconds=60, action="try-flows") as made:
        name = made.entry.id
        assert book.entry(name) is not None

    assert events[:3] == ["sync " + book.directory.parent.name, "sync state", "sync state"]
    assert events[3:10] == [
        f"sync {name}.{os.getpid()}.new",
        f"rename {name}.{os.getpid()}.new {name}.json",
        "sync open",
        "guard",
        "check",
        "make",
        "undo",
    ]


def test_what_is_undone_is_kept_before_the_open_entry_goes(book: journal.Journal, events: list[str]) -> None:
    one = entry()
    book.write(one)
    events.clear()

    book.close(one, UNDONE, "guard")

    half = f"{one.id}.{os.getpid()}.new"
    assert events == [f"sync {half}", f"rename {half} {one.id}.json", "sync closed", "sync open"]
    (kept,) = book.closed()
    assert (kept.by, kept.outcome, bool(kept.closed)) == ("guard", UNDONE, True)
    assert book.is_empty()


def test_without_a_journal_nothing_changes(book: journal.Journal, events: list[str]) -> None:
    book.directory.write_text("a file has its name")

    said = refusal(lambda: protocol.leave(book, entry().change, seconds=60, action="inject-flows"))

    assert str(book.directory) in said
    assert "nothing is changed on this host" in said
    assert not {"guard", "make", "undo"} & set(events)


def test_a_write_that_fails_leaves_what_was_there(book: journal.Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    one = entry()
    book.write(one)

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    said = refusal(lambda: book.write(one.model_copy(update={"error": "newer"})))
    book.note(one.model_copy(update={"error": "newer"}))

    assert "Input/output error" in said
    assert book.entries() == [one]
    assert [file.name for file in (book.directory / "open").iterdir()] == [f"{one.id}.json"]


@pytest.fixture
def small_disk(lab_support: None, tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A disk of 32 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k,mode=0700", "opf-test", str(disk)], check=True, timeout=10)
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True, timeout=10)


def fill(disk: pathlib.Path) -> None:
    with contextlib.suppress(OSError), (disk / "full").open("wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass


@pytest.mark.lab
def test_a_full_disk_lets_nothing_change(small_disk: pathlib.Path, events: list[str]) -> None:
    book = journal.Journal(small_disk / "state")
    fill(small_disk)

    with (
        pytest.raises(errors.PathfinderError, match=r"No space left on device.*nothing is changed on this host"),
        protocol.temporarily(book, entry().change, seconds=60, action="try-flows"),
    ):
        pytest.fail("it was made")

    assert not {"guard", "make", "undo"} & set(events)
    assert list((book.directory / "open").iterdir()) == []


@pytest.mark.lab
def test_a_disk_that_fills_up_meanwhile_hinders_no_undo(small_disk: pathlib.Path, events: list[str]) -> None:
    book = journal.Journal(small_disk / "state")

    with protocol.temporarily(book, entry().change, seconds=60, action="try-flows") as made:
        fill(small_disk)
        book.note(made.entry.model_copy(update={"error": "x" * 9000}))
        assert book.entries() == [made.entry]

    assert made.outcome == UNDONE
    assert events.count("undo") == 1
    assert book.is_empty()


@pytest.mark.lab
def test_a_disk_that_cannot_be_written_lets_nothing_change(small_disk: pathlib.Path, events: list[str]) -> None:
    book = journal.Journal(small_disk / "state")
    book.write(entry(stays=True))
    (open_,) = book.entries()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, timeout=10)

    said = refusal(lambda: protocol.leave(book, entry().change, seconds=60, action="inject-flows"))
    book.close(open_, UNDONE, "sweep")

    assert "Read-only file system" in said
    assert "make" not in events
    assert book.entries() == [open_]


@pytest.mark.lab
@pytest.mark.parametrize("has_lock", [True, False])
def test_a_disk_that_turned_read_only_hinders_no_undo(
    small_disk: pathlib.Path, events: list[str], *, has_lock: bool
) -> None:
    book = journal.Journal(small_disk / "state")
    with book.lock("an action"):
        book.write(entry())
    if not has_lock:
        (book.directory / "lock").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, timeout=10)

    found = [sweep.sweep(book, everything=everything) for everything in (False, True)]

    for (one,) in found:
        assert one.outcome is not None
        assert one.outcome.state == UNDONE.state
        assert one.outcome.text.startswith(f"{UNDONE.text} The journal's file ")
        assert "(Read-only file system), so the next sweep looks again" in one.outcome.text
    assert events.count("undo") == 2


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.ENOSPC])
def test_a_lock_that_cannot_be_written_is_read(
    book: journal.Journal, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with book.lock("an action"):
        pass
    real = os.open

    def fails(path: Any, flags: int, *more: Any, **others: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(number, os.strerror(number))
        return real(path, flags, *more, **others)

    monkeypatch.setattr(os, "open", fails)

    with book.lock("a sweep"), pytest.raises(journal.Busy, match="under way"), book.lock("another sweep"):
        pytest.fail("both had it")


# --- a folder that is not what it should be ---


@pytest.mark.parametrize("name", ["", "open", "closed"])
@pytest.mark.parametrize("what", ["link", "dangling", "file", "another's"])
def test_a_folder_that_is_not_its_own_is_refused(
    book: journal.Journal, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    folder, target = book.directory / name, tmp_path / "elsewhere"
    folder.parent.mkdir(exist_ok=True)
    if what == "file":
        folder.write_text("")
    elif what == "another's":
        folder.mkdir()
        another = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: another)
    else:
        folder.symlink_to(target)
        target.mkdir() if what == "link" else None

    said = [refusal(lambda: book.write(entry())), refusal(lambda: book.lock("a test").__enter__())]

    assert all(str(book.directory) in each and "nothing is changed on this host" in each for each in said)
    assert not target.exists() or list(target.iterdir()) == []


def test_a_lock_that_is_a_link_is_refused(book: journal.Journal, tmp_path: pathlib.Path) -> None:
    book.directory.mkdir()
    (book.directory / "lock").symlink_to(tmp_path / "victim")

    said = refusal(lambda: book.lock("a test").__enter__())

    assert "nothing is changed on this host" in said
    assert not (tmp_path / "victim").exists()


# --- entries that cannot be read ---


def _damaged(text: str) -> dict[str, str]:
    whole = json.loads(text)
    newer = {**whole, "version": 2}
    stranger = {**whole, "change": {**whole["change"], "kind": "bond"}}
    wider = {**whole, "change": {**whole["change"], "cookie": "0x0/0x0"}}
    lines = {**whole, "change": {**whole["change"], "rules": [{"match": "ip\ndelete", "actions": "drop"}]}}
    return {
        "empty": "",
        "half": text[: len(text) // 2],
        "noise": "\0\x01\x02",
        "another thing": "[1, 2]",
        "newer": json.dumps(newer),
        "of an unknown kind": json.dumps(stranger),
        "with a cookie that is a mask": json.dumps(wider),
        "with lines for the switch": json.dumps(lines),
    }


@pytest.mark.parametrize("damage", _damaged(entry().model_dump_json()))
def test_an_entry_that_cannot_be_read_is_named_and_stays(book: journal.Journal, damage: str) -> None:
    one = entry()
    book.write(one)
    text = _damaged(one.model_dump_json())[damage]
    file_of(book, one).write_text(text)

    for attempt in (
        book.entries,
        lambda: book.entry(one.id),
        lambda: sweep.sweep(book),
        lambda: protocol.leave(book, entry().change, seconds=60, action="inject-flows"),
    ):
        assert f"the journal's file {file_of(book, one)} cannot be read" in refusal(attempt)
    assert not book.is_empty()
    assert file_of(book, one).read_text() == text


def test_what_a_newer_unit_adds_to_an_entry_is_passed_over(book: journal.Journal) -> None:
    one = entry()
    book.write(one)
    file_of(book, one).write_text(json.dumps({**json.loads(one.model_dump_json()), "colour": "red"}))

    assert book.entries() == [one]


def test_files_that_are_no_entries_are_left_alone(book: journal.Journal) -> None:
    book.write(entry())
    (book.directory / "open" / "0123456789ab.1.new").write_text("half of someth")

    assert len(book.entries()) == 1


# --- what is half-written ---

_WRITER = """
import os, sys
from ovs_pathfinder.temporary import journal
book = journal.Journal(sys.argv[1])
(one,) = book.entries()
fsync = os.fsync
def hang(descriptor):
    os.fsync = fsync
    print("half", flush=True)
    sys.stdin.read()
    fsync(descriptor)
os.fsync = hang
book.write(one.model_copy(update={"error": "of the other"}))
"""


@contextlib.contextmanager
def _writer(book: journal.Journal) -> Generator["subprocess.Popen[str]"]:
    """A process that has written half of an entry, and the rest once its stdin ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(book.directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(CHECKOUT / "lib"), "PATH": "/usr/bin:/bin"},
    ) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "half\n"
            yield child
        finally:
            child.kill()


def test_two_processes_that_write_one_entry_at_once_do_not_meet(book: journal.Journal) -> None:
    one = entry()
    book.write(one)

    with _writer(book) as other:
        book.write(one.model_copy(update={"error": "of this one"}))
        assert [each.error for each in book.entries()] == ["of this one"]
        other.communicate(timeout=10)

    assert other.returncode == 0
    assert [each.error for each in book.entries()] == ["of the other"]
    assert [file.name for file in (book.directory / "open").iterdir()] == [f"{one.id}.json"]


@pytest.mark.parametrize("by", ["write", "sweep"])
def test_what_a_killed_process_had_half_written_goes_soon(book: journal.Journal, by: str) -> None:
    one = entry()
    book.write(one)
    with _writer(book) as other:
        half = book.directory / "open" / f"{one.id}.{other.pid}.new"
        book.write(one)
        assert half.exists()
        other.kill()
        other.wait(timeout=10)

    if by == "write":
        book.write(one)
    else:
        sweep.sweep(book)

    assert not half.exists()
    assert file_of(book, one).exists()


# --- what is closed ---


def test_the_latest_closed_entries_are_kept(book: journal.Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(f"2026-11-22T17:00:{second:02d}.000+00:00" for second in range(60))
    monkeypatch.setattr(journal, "_now", lambda: next(times))
    closed = [entry(f"action-{number}") for number in range(journal.KEPT + 7)]
    for number, one in enumerate(closed):
        book.write(one)
        book.close(one, UNDONE, "action")
        os.utime(book.directory / "closed" / f"{one.id}.json", (number, number))

    assert [each.action for each in book.closed()] == [each.action for each in reversed(closed)][: journal.KEPT]


def test_the_entry_that_is_closed_is_kept_whatever_the_clock_says(book: journal.Journal) -> None:
    for _ in range(journal.KEPT):
        one = entry()
        book.write(one)
        book.close(one, UNDONE, "action")
        os.utime(book.directory / "closed" / f"{one.id}.json", (4_000_000_000, 4_000_000_000))
    last = entry()
    book.write(last)

    book.close(last, UNDONE, "action")

    found = [each.id for each in book.closed()]
    assert last.id in found
    assert len(found) == journal.KEPT


def test_a_closed_entry_that_cannot_be_read_is_passed_over(book: journal.Journal) -> None:
    one, other = entry(), entry()
    for each in (one, other):
        book.write(each)
        book.close(each, UNDONE, "action")
    (book.directory / "closed" / f"{one.id}.json").write_text("{")

    assert [each.id for each in book.closed()] == [other.id]


def test_a_failure_that_is_noted_late_does_not_open_an_entry_again(book: journal.Journal) -> None:
    one = entry()
    book.write(one)
    book.close(one, UNDONE, "guard")

    book.note(one.model_copy(update={"error": "no answer", "attempts": 1}))

    assert book.is_empty()


def test_the_folder_goes_once_nothing_is_open(book: journal.Journal) -> None:
    one = entry()
    book.write(one)

    book.remove()
    assert book.entries() == [one]

    book.close(one, UNDONE, "action")
    book.remove()
    assert not book.directory.exists()


# --- the lock ---


@contextlib.contextmanager
def _holder(book: journal.Journal, more: str = "") -> Generator["subprocess.Popen[str]"]:
    """A process that holds the lock until its stdin ends."""
    program = (
        "import subprocess, sys\nfrom ovs_pathfinder.temporary import journal\n"
        f"with journal.Journal({str(book.directory)!r}).lock('try-flows of run 5'):\n"
        f"    {more or 'pass'}\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(CHECKOUT / "lib"), "PATH": "/usr/bin:/bin"},
    ) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "held\n"
            yield child
        finally:
            child.kill()


def test_who_comes_second_is_told_who_is_at_it(book: journal.Journal) -> None:
    with _holder(book) as child, pytest.raises(journal.Busy) as caught, book.lock("another"):
        pytest.fail("it was locked twice")

    assert f"under way on this unit: try-flows of run 5 (process {child.pid}); wait for its end" in str(caught.value)


def test_the_lock_ends_with_its_process(book: journal.Journal) -> None:
    with _holder(book) as child:
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=10)

        with book.lock("another"):
            pass


def test_the_lock_does_not_pass_to_children(book: journal.Journal, tmp_path: pathlib.Path) -> None:
    pid = tmp_path / "pid"
    start = f"open({str(pid)!r}, 'w').write(str(subprocess.Popen(['sleep', '60'], close_fds=False).pid))"
    with _holder(book, start) as child:
        grandchild = processes.Identity.of(int(pid.read_text()))
        assert grandchild is not None
        try:
            child.kill()
            child.wait(timeout=10)

            with book.lock("another"):
                assert grandchild.alive
        finally:
            grandchild.kill()


def test_the_lock_is_waited_for(book: journal.Journal) -> None:
    with _holder(book) as child:
        assert child.stdin is not None
        child.stdin.close()

        with book.lock("another", wait=10):
            pass


def test_the_lock_is_free_after_a_failure(book: journal.Journal) -> None:
    with contextlib.suppress(ZeroDivisionError), book.lock("one"):
        raise ZeroDivisionError

    with book.lock("another"):
        pass
