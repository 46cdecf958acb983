"""The folder of snapshots: files appear whole or not at all, are never overwritten, and make room for newer ones."""

import contextlib
import datetime
import fcntl
import hashlib
import itertools
import os
import pathlib
import re
import secrets
from collections.abc import Generator
from typing import IO

from .. import errors, words
from .. import files as files_
from ..temporary import units
from . import folder

KEPT = 10
"""Newest files of each kind that are kept."""
MOST_BYTES = 500_000_000
"""Of all files together; older ones go first."""
SNAPSHOT, DIFFERENCES = ".flows", ".differences.txt"
"""The kinds of files, by their ends."""
_HALF = ".new-"
_TIME = "%Y%m%dt%H%M%Sz"
_NAME = re.compile(r"^(?P<time>\d{8}t\d{6}z)-(?P<rest>.+?)(?:\.\d+)?(?P<kind>\.flows|\.differences\.txt)$")


class Fresh:
    """A file that is being written."""

    def __init__(self, stream: IO[bytes], half: pathlib.Path, most: int) -> None:
        self._stream = stream
        self._half = half
        self._most = most
        self._hash = hashlib.sha256(usedforsecurity=False)
        self.bytes = 0
        self.file = pathlib.Path()
        """Where it is, once it is whole."""

    def write(self, data: bytes) -> None:
        """Append to the file.

        Raises:
            PathfinderError: There is no room, or it would be larger than all files together may be.
        """
        self.bytes += len(data)
        if self.bytes > self._most:
            raise errors.PathfinderError(
                f"it would be larger than {self._most} bytes, which is the most that is kept; nothing is kept of it"
            )
        self._hash.update(data)
        try:
            self._stream.write(data)
        except OSError as error:
            raise _refusal(self._half, error) from error

    @property
    def sha256(self) -> str:
        """Of what has been written so far, in hex."""
        return self._hash.hexdigest()


class Storage:
    """A folder of snapshots and lists of differences, readable by its owner only."""

    def __init__(self, place: pathlib.Path, *, kept: int = KEPT, most: int = MOST_BYTES) -> None:
        self.folder = place
        self._kept = kept
        self._most = most

    def files(self, kind: str = SNAPSHOT) -> list[pathlib.Path]:
        """Return the files of a kind, the newest first."""
        found: list[tuple[str, int, pathlib.Path]] = []
        with contextlib.suppress(FileNotFoundError):
            for file in self.folder.iterdir():
                name = _NAME.match(file.name)
                if name is not None and name["kind"] == kind:
                    found.append((name["time"], file.stat().st_mtime_ns, file))
        return [file for _, _, file in sorted(found, reverse=True)]

    def find(self, text: str) -> pathlib.Path:
        """Return the snapshot that an operator names: by path, by name, by label (the newest with it), or the newest.

        Args:
            text: What was given; empty for the newest.

        Raises:
            PathfinderError: There is none, and which there are.
        """
        files = self.files()
        if "/" in text:
            file = pathlib.Path(text)
            if not file.is_absolute():
                raise errors.PathfinderError(f"{text!r} is no absolute path; give one, or the name of a snapshot")
            return file
        if not files:
            raise errors.PathfinderError(f"there is no snapshot in {self.folder}; take one with snapshot-flows")
        if not text:
            return files[0]
        for file in files:
            name = _NAME.match(file.name)
            if text in (file.name, file.name.removesuffix(SNAPSHOT)) or (name and name["rest"].endswith(f"+{text}")):
                return file
        there = ", ".join(file.name for file in files)
        raise errors.PathfinderError(f"there is no snapshot {text[:80]!r} on this unit; there are {there}")

    @contextlib.contextmanager
    def writing(self, unit: str, label: str = "", kind: str = SNAPSHOT) -> Generator[Fresh]:
        """Write a new file, which appears under its name when the context ends well, and not at all otherwise.

        Args:
            unit: The unit that makes it, and deletes it when it goes; part of the name.
            label: The operator's word for it; part of the name.
            kind: The end of the name.

        Raises:
            PathfinderError: The folder cannot be used, or there is no room.
        """
        half = self.folder / f"{_HALF}{secrets.token_hex(8)}"
        try:
            self._prepare()
            descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _refusal(half, error) from error
        stream = os.fdopen(descriptor, "wb", 1 << 18)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # tells others that it is not left over
            fresh = Fresh(stream, half, self._most)
            yield fresh
            fresh.file = self._published(stream, half, unit, label, kind)
        finally:
            half.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # of what could not be written, and is told already
                stream.close()

    def make_room(self) -> list[str]:
        """Remove what is older than the newest files that may be kept; return the names of snapshots that are gone."""
        files = [*self.files(), *self.files(DIFFERENCES)]
        doomed = {*self.files()[self._kept :], *self.files(DIFFERENCES)[self._kept :]}
        size = sum(file.stat().st_size for file in files if file not in doomed)
        for file in sorted(set(files) - doomed, key=lambda file: file.name)[:-1]:
            if size > self._most:
                doomed.add(file)
                size -= file.stat().st_size
        for file in doomed:
            file.unlink(missing_ok=True)
        return sorted(file.name for file in doomed if file.name.endswith(SNAPSHOT))

    def _prepare(self) -> None:
        """Make the folder, and remove what a killed process has left half.

        Raises:
            OSError: That is not possible, or something else has its name.
        """
        folder.prepare(self.folder)
        for half in self.folder.glob(f"{_HALF}*"):
            _remove_if_left(half)

    def _published(self, stream: IO[bytes], half: pathlib.Path, unit: str, label: str, kind: str) -> pathlib.Path:
        """Give a file that is whole its name, in one step, and none that exists.

        Raises:
            PathfinderError: The disk does not take it.
        """
        now = datetime.datetime.now(datetime.timezone.utc).strftime(_TIME)
        stem = f"{now}-{units.tag(unit)}{f'+{label}' if label else ''}"
        try:
            stream.flush()
            os.fsync(stream.fileno())
            for number in itertools.count(1):
                file = self.folder / f"{stem}{f'.{number}' if number > 1 else ''}{kind}"
                with contextlib.suppress(FileExistsError):
                    file.hardlink_to(half)
                    _sync(self.folder)
                    return file
        except OSError as error:
            raise _refusal(half, error) from error
        raise AssertionError("there are numbers enough")


def _refusal(half: pathlib.Path, error: OSError) -> errors.PathfinderError:
    return errors.PathfinderError(
        f"nothing can be kept in {half.parent} ({error.strerror or error}), and nothing half is left there; make room, "
        "or look after that folder"
    )


def _remove_if_left(half: pathlib.Path) -> None:
    """Remove a file that nobody writes any more."""
    with contextlib.suppress(OSError), files_.open_regular(half, follow=False) as opened:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        half.unlink(missing_ok=True)


def _sync(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fetch(unit: str, file: pathlib.Path) -> str:
    """Return the command that copies a file to where it is typed: the folder is open to root alone.

    `juju ssh` gives the command a terminal where it is typed at one, which would change the ends of lines.
    """
    return f"{words.pasted('juju', 'ssh', '--pty=false', unit, 'sudo', 'cat', str(file))} > {words.pasted(file.name)}"
