"""What every kind of temporary change is: something that can be described, checked, made and undone."""

import abc
from typing import Literal

from .. import cloud, path


class Outcome(path.Model):
    """How an undo ended; that it could not be done at all is an error instead."""

    state: Literal["undone", "gone", "conflict"]
    """Taken back; nothing was there any more; or others have changed the same thing since, and it was left alone."""
    text: str
    """One sentence."""


class Change(path.Model, abc.ABC):
    """A change, with all that its undo needs: this is what the journal keeps.

    `undo` may be called by another process than `make` was, after a restart, twice, or though nothing was ever made.
    """

    @abc.abstractmethod
    def describe(self) -> str:
        """Say in a few words what is changed."""

    @abc.abstractmethod
    def check(self) -> None:
        """Look whether anything of others is in the way, without changing anything.

        Raises:
            PathfinderError: The change must not be made.
        """

    @abc.abstractmethod
    def make(self, seconds: int, credentials: cloud.Credentials | None) -> None:
        """Make the change, so that the switch itself ends it after `seconds` where it can.

        Raises:
            PathfinderError: It could not be made, in whole or in part.
        """

    @abc.abstractmethod
    def undo(self, credentials: cloud.Credentials | None) -> Outcome:
        """Take the change back, and nothing else, and look whether it is gone.

        Raises:
            PathfinderError: That is not possible now, or something is left.
        """
