"""The units of the charm on this host: they share one folder, and each takes only its own out of it when it goes."""

import contextlib
import pathlib
import re

from .. import files

_FOLDER = "units"
_KEPT = ("captures", "snapshots")
_OWNED = re.compile(r"[0-9]{8}t[0-9]{6}z?-(?P<tag>[a-z0-9-]+)(?=[+.])")
"""How the name of a kept file begins: when it was made, and the unit that made it."""


def tag(unit: str) -> str:
    """Return a unit's name as files bear it, such as `ovs-pathfinder-0`."""
    return unit.replace("/", "-")


def register(where: pathlib.Path, unit: str, charm: pathlib.Path) -> None:
    """Write down that a unit lives on this host, and where Juju keeps its charm, which goes when the unit is gone.

    Raises:
        OSError: The folder cannot be written.
    """
    folder = where / _FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / tag(unit)).write_text(str(charm))


def others(where: pathlib.Path, unit: str) -> frozenset[str]:
    """Return the names of the other units that live on this host.

    One whose charm is gone does not count: it was removed by force, without its last hook.
    """
    found: set[str] = set()
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for marker in (where / _FOLDER).iterdir():
            if marker.name != tag(unit) and _lives(marker):
                application, _, number = marker.name.rpartition("-")
                found.add(f"{application}/{number}")
    return frozenset(found)


def forget(where: pathlib.Path, unit: str) -> None:
    """Delete what a unit has kept, and that it lives here."""
    own = [file for kept in _KEPT for file in (where / kept).glob("*") if _owner(file) == tag(unit)]
    for file in (*own, where / _FOLDER / tag(unit)):
        with contextlib.suppress(OSError):  # a disk that cannot be written: it goes with the last unit
            file.unlink()


def _owner(file: pathlib.Path) -> str:
    """Return the tag of the unit that made a file; empty where an earlier revision did not write it down."""
    owned = _OWNED.match(file.name)
    return owned["tag"] if owned else ""


def _lives(marker: pathlib.Path) -> bool:
    try:
        return pathlib.Path(files.read(marker).decode()).is_dir()
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
