"""Where the journal of this host is; to look whether anything is in it costs no more than the look."""

import os
import pathlib

DIRECTORY = "/var/lib/ovs-pathfinder"


def directory() -> pathlib.Path:
    """Return the journal's folder; OVS_PATHFINDER_STATE names another one, where several hosts share a disk."""
    return pathlib.Path(os.environ.get("OVS_PATHFINDER_STATE") or DIRECTORY)


def open_entries(where: pathlib.Path) -> list[pathlib.Path]:
    """Return the files of the changes that are not undone yet."""
    try:
        return [file for file in (where / "open").iterdir() if file.suffix == ".json"]
    except (FileNotFoundError, NotADirectoryError):
        return []
