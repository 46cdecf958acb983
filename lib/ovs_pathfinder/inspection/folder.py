"""Folders for what actions keep: for their owner only."""

import errno
import os
import pathlib
import stat


def prepare(folder: pathlib.Path) -> None:
    """Make a folder that only its owner can enter, or make sure of it.

    Raises:
        OSError: That is not possible, or something else has its name.
    """
    for one in (folder.parent, folder):
        one.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        raise NotADirectoryError(errno.ENOTDIR, "it is not a folder of this user's own")
    if stat.S_IMODE(about.st_mode) != 0o700:
        folder.chmod(0o700)
