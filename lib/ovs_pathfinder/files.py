"""The one place where files are opened that others write: logs, pid files, captures, what an operator names.

In the place of a log there may be a FIFO or a device, which to open or to read may block for ever.
"""

import errno
import os
import pathlib
import stat
from typing import IO


class NotRegularError(OSError):
    """What was to be read is a folder, a device, a FIFO or a socket."""


def open_regular(file: str | os.PathLike[str], *, follow: bool = True, buffering: int = -1) -> IO[bytes]:
    """Open a regular file to read it; opening neither blocks nor has any other effect.

    Args:
        file: Its path; files of /proc and /sys are regular, too.
        follow: Whether it may be a symbolic link.
        buffering: As of `open`.

    Raises:
        NotRegularError: It is something else.
        OSError: It cannot be opened.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(file, flags)
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file can have that name", os.fspath(file)) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularError(0, "it is no regular file", os.fspath(file))
        return os.fdopen(descriptor, "rb", buffering)
    except BaseException:
        os.close(descriptor)
        raise


def open_kept(file: str | os.PathLike[str], *, buffering: int = -1) -> IO[bytes]:
    """Open a file that an operator names, and that has been stored; raises as `open_regular`.

    What the kernel makes up when it is read has no size, and reading may take it from others (/proc/kmsg) or wait.
    """
    opened = open_regular(file, buffering=buffering)
    if not os.fstat(opened.fileno()).st_size:
        opened.close()
        raise OSError(errno.ENODATA, "it is empty, or is not kept on a disk", os.fspath(file))
    return opened


def read(file: str | os.PathLike[str], most: int = 1 << 20) -> bytes:
    """Return the content of a regular file, at most so many bytes of it; raises as `open_regular`."""
    with open_regular(file) as stream:
        return stream.read(most)


def text(file: str | os.PathLike[str]) -> str:
    """Return the content of a small regular file as text; raises as `open_regular`."""
    return read(pathlib.Path(file)).decode(errors="replace")
