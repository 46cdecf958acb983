"""What a question may use: this unit, its peers, the cloud, plans of earlier runs, and a folder for files."""

import dataclasses
import pathlib
from collections.abc import Callable
from contextlib import AbstractContextManager

from .. import cloud, path
from ..temporary import journal


@dataclasses.dataclass(frozen=True)
class Context:
    """All that comes from outside the host; the charm fills it in."""

    unit: str
    """This unit, such as `ovs-pathfinder/0`."""
    units: Callable[[], list[path.Unit]]
    """What every unit has told of itself."""
    connect: Callable[[], AbstractContextManager[cloud.Cloud]]
    """Signs in to the cloud; raises PathfinderError where there are no credentials."""
    plan: Callable[[str], path.Plan]
    """Returns the plan of a run; raises PathfinderError where there is none."""
    book: journal.Journal
    folder: pathlib.Path
    """Where captures and snapshots are kept."""
    longest: float
    """Seconds that a temporary change may live."""
    log: Callable[[str], None]
    """Is told of each stage, in words."""
    command: Callable[[str, str], str]
    """Writes a command to paste, from a unit and an action with its parameters."""
