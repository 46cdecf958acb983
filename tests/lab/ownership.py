"""Whose lab it is: each has a directory that names its owner, and the labs of dead owners are swept away."""

import contextlib
import os
import pathlib
import shutil

from . import node, processes

_ROOT = pathlib.Path("/tmp")  # noqa: S108 (a lab's directory has a random name and is made anew)
_PREFIX = "opf-lab-"
_PLACES = ("fabric", "ctl", "octavia", "compute", "guest", "guest2")


def sweep() -> list[str]:
    """Remove the labs whose owner is dead; return their names."""
    swept: list[str] = []
    for directory in _ROOT.glob(f"{_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # another process sweeps as well
            owner = processes.Identity.parse((directory / "owner").read_text())
            if not owner.alive:
                processes.end_recorded(directory / "processes")
                name = directory.name.removeprefix(_PREFIX)
                remove(name, directory)
                swept.append(name)
    return swept


def claim(name: str) -> pathlib.Path:
    """Make a lab's directory, which never exists without its owner's identity."""
    fresh, directory = _ROOT / f"opf-new-{name}", _ROOT / f"{_PREFIX}{name}"
    fresh.mkdir(mode=0o755)
    (fresh / "owner").write_text(str(processes.Identity.of(os.getpid())))
    return fresh.rename(directory)


def remove(name: str, directory: pathlib.Path) -> None:
    """Remove the namespaces and the files of a lab whose processes have ended."""
    places = [f"opf-{name}-{each}" for each in _PLACES]
    lines = [f"netns del {each}" for each in places if pathlib.Path("/run/netns", each).exists()]
    if lines:
        node.configure(lines)
    shutil.rmtree(directory, ignore_errors=True)
