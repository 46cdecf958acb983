"""What became of paths that somebody asked about, also of those that no report could be made of."""

from typing import Literal

from .. import path
from ..diagnosis import verdict


class Outcome(path.Model):
    """One path: its diagnosis, or why there is none."""

    source: str
    """As it was asked for."""
    destination: str
    note: str = ""
    """What else is known of the destination: which amphora it is."""
    plan: path.Plan | None = None
    diagnosis: verdict.Diagnosis | None = None
    problems: tuple[str, ...] = ()
    """Whole sentences on what went wrong on the way."""
    next: tuple[str, ...] = ()
    """Commands that would tell more."""
    seconds: float = 0.0

    @property
    def verdict(self) -> verdict.Verdict:
        """The diagnosis's; where there is none, nobody can tell."""
        return self.diagnosis.verdict if self.diagnosis else "cannot-tell"


class Outcomes(path.Model):
    """All paths of one command."""

    version: Literal[1] = 1
    paths: tuple[Outcome, ...]

    @property
    def worst(self) -> verdict.Verdict:
        """The verdict that an operator must act on first; that of no path at all is ok."""
        found = {one.verdict for one in self.paths}
        for one in _WORST_FIRST:
            if one in found:
                return one
        return "ok"


_WORST_FIRST: tuple[verdict.Verdict, ...] = ("broken", "degraded", "cannot-tell")
