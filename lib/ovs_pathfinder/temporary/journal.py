"""The journal: what is changed on this host for the moment, and how to undo it, on disk before anything changes."""

import contextlib
import datetime
import errno
import fcntl
import os
import pathlib
import re
import secrets
import shutil
import stat
import time
from collections.abc import Generator
from typing import Annotated, Literal

import pydantic

from .. import errors, files, path, process
from . import change as change_
from . import clock, flows, mirror, place, port_security, units

KEPT = 20
"""Closed entries that are kept, to tell an operator what was undone and by whom."""
_UNWRITABLE = (errno.EROFS, errno.EIO, errno.ENOSPC, errno.EDQUOT)
"""A disk that takes nothing, as one that was remounted read-only after a failure."""
_HALF = re.compile(r".+\.(?P<pid>[0-9]+)\.new")
"""A file that is being written, with its writer: the action and its guard may write down one entry at once."""

By = Literal["action", "guard", "sweep"]
Kind = Annotated[
    flows.Flows | port_security.PortSecurity | mirror.Mirror,
    pydantic.Field(discriminator="kind"),
]


class Entry(path.Model):
    """One temporary change."""

    version: Literal[1] = 1
    id: Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9a-f]{12}$")]
    change: Kind
    action: str
    """What it is for: the action's name."""
    run: str = ""
    unit: str = ""
    """The unit that made it; empty in an entry of an earlier revision, which belongs to the host."""
    created: str
    """UTC, ISO 8601."""
    deadline: float
    """Seconds since the epoch after which it must be gone, for people: clocks are set."""
    began: clock.Moment | None = None
    """From when its life is counted; None in an entry of an earlier revision."""
    seconds: float = 0.0
    """How long it may live."""
    stays: bool = False
    """Whether it lives until its deadline without the process that made it."""
    pid: int
    """The process that made it."""
    attempts: int = 0
    """How often an undo has failed."""
    error: str = ""
    """Why the last one failed."""
    conflict: str = ""
    """What others have changed meanwhile, so that nothing was put back: an operator must look."""
    closed: str = ""
    """UTC, ISO 8601; empty while it is open."""
    by: By | None = None
    outcome: change_.Outcome | None = None

    @property
    def left(self) -> float:
        """Seconds that it may still live; after a reboot, which ends what a switch holds, none."""
        if self.began is None:
            return self.deadline - time.time()
        ago = self.began.ago
        return 0.0 if ago is None else self.seconds - ago

    @property
    def until(self) -> str:
        """The deadline in words, UTC."""
        return datetime.datetime.fromtimestamp(self.deadline, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")

    def __str__(self) -> str:
        what = f"{self.change.describe()}, by {self.action}"
        return f"{self.id}: {what}{f' of run {self.run}' if self.run else ''} since {self.created}"


class Busy(errors.PathfinderError):
    """Another process changes or undoes something on this unit."""


class Journal:
    """A folder with one file for each open change, readable by its owner only."""

    def __init__(self, directory: str | os.PathLike[str] | None = None, unit: str = "") -> None:
        self.unit = unit
        """The unit that reads and writes it; the folder is that of all units of the host."""
        self.directory = pathlib.Path(directory or place.directory()).absolute()
        self._open = self.directory / "open"
        self._closed = self.directory / "closed"

    def write(self, entry: Entry) -> None:
        """Put an entry on disk for good: whole or not at all, and still there after a power cut.

        Raises:
            PathfinderError: The disk does not take it; nothing may be changed then.
        """
        try:
            self._prepare()
            _write(self._open / f"{entry.id}.json", entry.model_dump_json(indent=1))
        except OSError as error:
            raise errors.PathfinderError(
                f"the journal {self.directory} cannot be written ({error.strerror or error}), and without it nothing "
                "is changed on this host; make room there or repair it"
            ) from error

    def entries(self) -> list[Entry]:
        """Return what is open, the oldest first.

        Raises:
            PathfinderError: A file cannot be read; that is said rather than passed over.
        """
        found, damaged = self.readable()
        if damaged:
            raise damaged[0]
        return found

    def readable(self) -> tuple[list[Entry], list[errors.PathfinderError]]:
        """Return what is open, the oldest first, and an error for each file that cannot be read."""
        found: list[Entry] = []
        damaged: list[errors.PathfinderError] = []
        for file in _files(self._open):
            try:
                entry = _read(file)
            except errors.PathfinderError as error:  # noqa: PERF203 - one must not hide the others
                damaged.append(error)
            else:
                found += [entry] if entry is not None else []
        return sorted(found, key=lambda entry: entry.created), damaged

    def entry(self, identifier: str) -> Entry | None:
        """Return an open entry; None where it is closed.

        Raises:
            PathfinderError: Its file cannot be read.
        """
        return _read(self._open / f"{identifier}.json")

    def close(self, entry: Entry, outcome: change_.Outcome, by: By) -> str:
        """Take an entry off the list of what is open; its undo has been seen to work.

        Returns:
            Why it is still there, as a sentence; empty where it is not.
        """
        done = entry.model_copy(update={"closed": _now(), "by": by, "outcome": outcome, "error": ""})
        with contextlib.suppress(OSError):  # a full disk must not keep open what is undone
            file = self._closed / f"{entry.id}.json"
            _write(file, done.model_dump_json(indent=1))
            others = sorted(set(_files(self._closed)) - {file}, key=lambda each: each.stat().st_mtime)
            for old in others[: 1 - KEPT]:
                old.unlink(missing_ok=True)
        file = self._open / f"{entry.id}.json"
        try:
            file.unlink(missing_ok=True)
            _sync(self._open)
        except OSError as error:
            return (
                f"The journal's file {file} cannot be removed ({error.strerror or error}), so the next sweep looks "
                "again and finds nothing to undo."
            )
        return ""

    def closed(self) -> list[Entry]:
        """Return what was closed of late, the newest first."""
        found: list[Entry] = []
        for file in _files(self._closed):
            with contextlib.suppress(errors.PathfinderError):
                entry = _read(file)
                found += [entry] if entry is not None else []
        return sorted(found, key=lambda entry: entry.closed, reverse=True)

    def note(self, entry: Entry) -> None:
        """Write down how an undo failed; a disk that does not take it changes nothing."""
        if not (self._open / f"{entry.id}.json").exists():
            return  # its guard has undone and closed it meanwhile
        with contextlib.suppress(errors.PathfinderError):
            self.write(entry)

    def is_empty(self) -> bool:
        """Return whether nothing is open, at the cost of one look at a folder."""
        return not place.open_entries(self.directory)

    def register(self, charm: pathlib.Path) -> None:
        """Write down that the unit lives on this host; `charm` is the folder of its charm, which goes with it.

        Raises:
            OSError: The folder cannot be written.
        """
        self._prepare()
        units.register(self.directory, self.unit, charm)

    def others(self) -> frozenset[str]:
        """Return the other units of this host, which see to what they have made."""
        return units.others(self.directory, self.unit)

    def remove(self) -> None:
        """Remove what the unit has kept; once nothing is open, the last unit of the host removes the whole folder."""
        if self.others():
            units.forget(self.directory, self.unit)
            return
        if not self.is_empty():
            return
        for kept in ("captures", "snapshots", "units"):
            shutil.rmtree(self.directory / kept, ignore_errors=True)
        for folder in (self._open, self._closed, self.directory):
            with contextlib.suppress(OSError):
                for file in folder.iterdir():
                    if file.is_file():
                        file.unlink()
                folder.rmdir()

    @contextlib.contextmanager
    def lock(self, doing: str, wait: float = 0.0) -> Generator[None]:
        """Keep other processes of this host from changing or undoing anything; it ends with this process and its tools.

        What is undone needs no disk that can be written: there the lock that is there already is taken.

        Args:
            doing: What for, in words, for those who find it held.
            wait: Seconds that it is waited for.

        Raises:
            Busy: Another process holds it.
            PathfinderError: The folder is not one of this user's own.
        """
        descriptor = self._open_lock()
        if descriptor is None:
            yield
            return
        try:
            _flock(descriptor, wait)
            with contextlib.suppress(OSError):  # no room for a word about it
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{doing} (process {os.getpid()})".encode(), 0)
            with process.sharing(descriptor):
                yield
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int | None:
        """Open the file of the lock; None where there is none and no other process can make one.

        Raises:
            PathfinderError: The folder is not one of this user's own.
        """
        file, flags = self.directory / "lock", os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            try:
                self._prepare()
                return os.open(file, os.O_RDWR | os.O_CREAT | flags, 0o600)
            except OSError as error:
                if error.errno not in _UNWRITABLE:
                    raise
            with contextlib.suppress(FileNotFoundError):
                return os.open(file, os.O_RDONLY | flags)
        except OSError as error:
            raise errors.PathfinderError(
                f"{self.directory} cannot be used ({error.strerror or error}), so nothing is changed on this host"
            ) from error
        return None

    def _prepare(self) -> None:
        """Make the folders, for their owner only, and remove what processes that are gone have left half-written.

        Raises:
            OSError: That is not possible, or something else has their name.
        """
        for folder in (self.directory, self._open, self._closed):
            if not folder.exists():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sync(folder.parent)
            about = folder.lstat()
            if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
                raise NotADirectoryError(f"{folder} is not a folder of this user's own")
            if stat.S_IMODE(about.st_mode) != 0o700:
                folder.chmod(0o700)
            _remove_halves(folder)


def new(kind: Kind, *, seconds: float, action: str, run: str = "", unit: str = "", stays: bool = False) -> Entry:
    """Make an entry for a change that may live for so many seconds from now."""
    return Entry(
        id=secrets.token_hex(6),
        change=kind,
        action=action,
        run=run,
        unit=unit,
        created=_now(),
        deadline=time.time() + seconds,
        began=clock.now(),
        seconds=seconds,
        stays=stays,
        pid=os.getpid(),
    )


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    try:
        return [file for file in folder.iterdir() if file.suffix == ".json"]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(file: pathlib.Path) -> Entry | None:
    """Return what is in a file; None where it is gone, because its entry has been closed at this moment."""
    try:
        return Entry.model_validate_json(files.read(file))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise errors.PathfinderError(
            f"the journal's file {file} cannot be read, so a change that it speaks of may be left: look into it, undo "
            f"by hand what it names, and delete it ({type(error).__name__})"
        ) from error


def _write(file: pathlib.Path, text: str) -> None:
    """Write a file so that after a crash there is the old one or the new one, and nothing between (rename(2))."""
    fresh = file.with_suffix(f".{os.getpid()}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    _sync(file.parent)


def _remove_halves(folder: pathlib.Path) -> None:
    for file in folder.iterdir():
        half = _HALF.fullmatch(file.name)
        if half is not None and not pathlib.Path("/proc", half["pid"]).exists():
            with contextlib.suppress(OSError):  # it is in nobody's way
                file.unlink()


def _sync(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flock(descriptor: int, wait: float) -> None:
    end = time.monotonic() + wait
    while not _locks(descriptor):
        if time.monotonic() >= end:
            holder = os.pread(descriptor, 300, 0).decode(errors="replace")
            raise Busy(
                f"another temporary change is under way on this unit: {holder or 'a process that does not say'}; "
                "wait for its end"
            )
        time.sleep(0.02)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
