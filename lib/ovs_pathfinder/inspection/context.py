"""What a question may use: this unit, its peers, the cloud, plans of earlier runs, and a folder for files."""

import dataclasses
import pathlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from .. import cloud, path
from ..temporary import journal


class Command(Protocol):
    """Writes the command that runs an action, in the syntax of the Juju that runs."""

    def __call__(self, unit: str, action: str, *params: str) -> str:
        """Return it, from a unit, an action, and parameters such as `run=RUN`."""
        ...


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
    command: Command
    """Writes a command to paste."""
