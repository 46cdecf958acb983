"""Which evidence counts: of this run, from the units of the path, each for its own part and in its own name.

No unit is trusted with another's words. Whose evidence is comes from where it came from: the owner of the databag, the
unit that an action's result is of. Only what an operator hands over without that is believed about its unit.
"""

import dataclasses
from collections.abc import Iterable

from .. import errors, path
from . import record, wire


@dataclasses.dataclass(frozen=True)
class Heard:
    """What counts of all that was said."""

    evidence: tuple[record.Evidence, ...] = ()
    """One for each unit at the most."""
    trials: tuple[record.Trial, ...] = ()
    refused: tuple[str, ...] = ()
    """Whole sentences on what does not count, and why."""


def hear(plan: path.Plan, left: Iterable[wire.Said], handed: Iterable[wire.Said] = ()) -> Heard:
    """Choose what counts; what was handed over wins, as a databag can be old inside an action.

    Args:
        plan: The path.
        left: What units left in their databags.
        handed: What was handed over as a parameter.

    Raises:
        PathfinderError: What was handed over without the unit that it came from is of another path.
    """
    evidence: dict[str, wire.Said] = {}
    trials: dict[tuple[str, str, path.Role], record.Trial] = {}
    refused: list[str] = []
    for said in (*left, *sorted(handed, key=lambda one: bool(one.origin))):
        wrong = said.wrong or _objection(plan, said)
        if wrong or said.found is None:
            refused.append(_sentence(plan, said, wrong))
        elif isinstance(said.found, record.Trial):
            trials[said.found.unit, said.found.trial, said.found.role] = said.found
        else:
            _check_single(evidence.get(said.found.unit), said)
            evidence[said.found.unit] = said
    found = tuple(one.found for one in evidence.values() if isinstance(one.found, record.Evidence))
    return Heard(found, tuple(trials.values()), tuple(dict.fromkeys(refused)))


def _sentence(plan: path.Plan, said: wire.Said, wrong: str) -> str:
    if not said.origin:
        raise errors.PathfinderError(f"{wrong}; hand over what probe-path answered for this run")
    return f"What {said.origin} says of run {plan.run} does not count: {wrong}."


def _check_single(known: wire.Said | None, said: wire.Said) -> None:
    """Refuse two that claim to be of one unit, where nothing but their own words tells whose they are."""
    if known is not None and not known.origin and not said.origin and known.found != said.found:
        unit = said.found.unit if said.found else ""
        raise errors.PathfinderError(
            f"two different pieces of evidence say that they are of {unit}; hand over one, or all that `juju run "
            "--format json` printed, which names the unit of each"
        )


def _objection(plan: path.Plan, said: wire.Said) -> str:
    """Say why evidence does not count; empty where it does."""
    found = said.found
    if found is None:
        return ""
    if said.origin and found.unit != said.origin:
        return f"it says that it is of {found.unit or 'no unit'}"
    if found.run != plan.run:
        return f"the evidence of {found.unit} is of run {found.run}, and this report is of run {plan.run}"
    roles: tuple[path.Role, ...] = ("source", "destination")
    own = tuple(role for role in roles if found.unit and plan.endpoint(role).unit == found.unit)
    if not own:
        return f"{found.unit or 'no unit'} is not on the path"
    if isinstance(found, record.Evidence):
        is_own = sorted(found.roles) == sorted(own)
        return (
            "" if is_own else f"it is of the {' and '.join(found.roles)}, and {found.unit} is the {' and '.join(own)}"
        )
    if "source" not in own and (found.role != "destination" or any(one.sent for one in _rounds(found))):
        return f"it is of a trial in which {found.unit} has no such part"
    return ""


def _rounds(trial: record.Trial) -> list[record.Attempt]:
    return [one for one in (trial.before, trial.during, trial.after) if one is not None]
