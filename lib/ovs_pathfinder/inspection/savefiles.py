"""The folder of capture files: for root only, never overwritten, never without room, not growing for ever."""

import contextlib
import datetime
import hashlib
import os
import pathlib
import re
import secrets

from .. import errors, files
from ..temporary import units
from . import folder as folder_

KEPT = 20
"""Files that are kept, the newest."""
MOST_BYTES = 200_000_000
"""Bytes of all files together."""
_STRANGE = re.compile(r"[^A-Za-z0-9_.-]")


def create(folder: pathlib.Path, unit: str, name: str, bound: int) -> pathlib.Path:
    """Make an empty file that only its owner can read, in a folder that only its owner can enter.

    Args:
        folder: The folder.
        unit: The unit that makes it, and deletes it when it goes; part of the name.
        name: What the file is of: a device.
        bound: Bytes that the file can have at the most.

    Raises:
        PathfinderError: There is no room for twice as much, or the folder is not what it should be.
    """
    try:
        folder_.prepare(folder)
        about = os.statvfs(folder)
        free = about.f_bavail * about.f_frsize
    except OSError as error:
        raise errors.PathfinderError(
            f"{folder} cannot be used for captures ({error.strerror or error}); remove what is in its place"
        ) from error
    if free < 2 * bound:
        raise errors.PathfinderError(
            f"the disk of {folder} has {free} bytes free, less than twice the {bound} bytes that the capture may take; "
            "lower packets, leave out full, or make room"
        )
    now = datetime.datetime.now(datetime.timezone.utc)
    # On Ubuntu, AppArmor lets tcpdump write to names that end so.
    file = folder / f"{now:%Y%m%dt%H%M%S}-{units.tag(unit)}+{_STRANGE.sub('_', name)}-{secrets.token_hex(3)}.pcap"
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise errors.PathfinderError(f"{file} cannot be made ({error.strerror or error})") from error
    return file


def prune(folder: pathlib.Path, newest: pathlib.Path) -> list[str]:
    """Remove the oldest files until no more than are kept are there; return their names."""
    found: list[tuple[float, int, pathlib.Path]] = []
    for file in folder.glob("*.pcap"):
        with contextlib.suppress(OSError):  # another process has removed it
            about = file.lstat()
            found.append((about.st_mtime, about.st_size, file))
    found.sort(key=lambda one: (one[2] == newest, one[0]), reverse=True)
    removed: list[str] = []
    total = 0
    for number, (_, size, file) in enumerate(found):
        total += size
        if file != newest and (number >= KEPT or total > MOST_BYTES):
            with contextlib.suppress(OSError):
                file.unlink()
                removed.append(file.name)
    return removed


def sha256(file: pathlib.Path) -> str:
    """Return a file's checksum."""
    digest = hashlib.sha256()
    with files.open_regular(file) as opened:
        while piece := opened.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
