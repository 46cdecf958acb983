"""Whose lab it is: each has a directory that names its owner, and the labs of dead owners are swept away."""

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Generator

from . import node, processes

_PREFIX = "opf-lab-"


def root() -> pathlib.Path:
    """Return where labs have their directories; a lab's has a random name and is made anew."""
    return pathlib.Path(os.environ.get("OVS_PATHFINDER_LABS", "/tmp"))  # noqa: S108


@contextlib.contextmanager
def _alone(directory: pathlib.Path) -> Generator[None]:
    """Keep other processes from sweeping the same lab; wait for one that does."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sweep() -> list[str]:
    """Remove the labs whose owner is dead; return their names."""
    swept: list[str] = []
    for directory in root().glob(f"{_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError), _alone(directory):  # another process has swept it
            owner = processes.Identity.parse((directory / "owner").read_text())
            if not owner.alive:
                processes.end_recorded(directory / "processes")
                name = directory.name.removeprefix(_PREFIX)
                remove(name, directory)
                swept.append(name)
    return swept


def claim(name: str) -> pathlib.Path:
    """Make a lab's directory, which never exists without its owner's identity."""
    fresh, directory = root() / f"opf-new-{name}", root() / f"{_PREFIX}{name}"
    fresh.mkdir(mode=0o755)
    (fresh / "owner").write_text(str(processes.Identity.of(os.getpid())))
    return fresh.rename(directory)


def remove(name: str, directory: pathlib.Path) -> None:
    """Remove the namespaces and the files of a lab whose processes have ended."""
    lines = [f"netns del {each.name}" for each in pathlib.Path("/run/netns").glob(f"opf-{name}-*")]
    if lines:
        node.configure(lines)
    shutil.rmtree(directory, ignore_errors=True)
