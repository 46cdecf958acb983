"""What trials show, and what that says for or against a finding."""

import dataclasses
import math
from collections.abc import Collection, Sequence

from .. import path
from ..evidence import record
from . import verdict

_NO_LOSS = ("path-ok", "service-refused")
"""Codes of findings that packets got through: to whether some are lost, they have nothing to say."""
_AROUND_LIMIT = "The trial goes around a rate limit as well, so that it does not say that the switch is at fault."
_CHANCE = 0.02
"""Below this, losses that come and go are not what made the difference between the rounds."""
_BEYOND: dict[path.Role, tuple[path.Point, ...]] = {
    "source": ("source-underlay", "destination-port"),
    "destination": ("destination-port",),
}
"""Where packets that have got through an end's br-int are seen next; on one host there is no underlay."""


def judge(trials: Sequence[record.Trial]) -> tuple[verdict.Trial, ...]:
    """Say of each trial in one sentence what it showed.

    Where one unit sent and another made the change, each has a record: the sender's counts are told, and what the
    other says of its undo.
    """
    senders = [one for one in trials if one.before.sent]
    halves = [one for one in trials if not one.before.sent]
    told = [_judge(one, next((half for half in halves if _is_same(one, half)), None)) for one in senders]
    alone = [half for half in halves if not any(_is_same(one, half) for one in senders)]
    return (*told, *(_unsent(half) for half in alone))


def _is_same(one: record.Trial, other: record.Trial) -> bool:
    return (one.trial, one.role) == (other.trial, other.role)


@dataclasses.dataclass(frozen=True)
class _Count:
    """How many packets of a round got through, of how many, and the same in words."""

    passed: int
    of: int
    text: str


@dataclasses.dataclass(frozen=True)
class _Rounds:
    """What is compared: the three rounds, and what became of the packets that count."""

    before: _Count
    during: _Count
    after: _Count
    what: str
    learned: bool
    """Whether the last round may have gone well because of what was learned in the one before."""


def _judge(trial: record.Trial, half: record.Trial | None) -> verdict.Trial:
    before = trial.before
    problem = trial.problem or (half.problem if half else "")
    left = trial.left or (half.left if half else "")
    if before.answered == before.sent:
        text = problem or f"All {before.sent} packets were answered before anything was changed."
        return _told(trial, "needless", text, left)
    answered = _answers(trial, learned=trial.learned or bool(half and half.learned))
    if answered is None or problem:
        return _unclear(trial, problem, left)
    made = half if half and trial.role == "destination" else trial
    seen = _arrivals(made)
    if not any(one.passed for one in (answered.before, answered.during, answered.after)) and seen is not None:
        further = _compare(trial, seen, left)
        if further.effect == "heals":
            text = f"{further.summary} Even so, no answer came to any of them."
            return further.model_copy(update={"summary": text})
    told = _compare(trial, answered, left)
    return _unmet(made, answered, left) if told.effect == "none" and not _was_met(made) else told


def _was_met(made: record.Trial) -> bool:
    """Whether packets may have come to what was changed, by the record of the unit that changed it."""
    if made.met is not None or made.during is None:
        return made.met != 0
    return made.role == "source" or made.during.forward.get("destination-underlay") != 0


def _unmet(made: record.Trial, rounds: _Rounds, left: str) -> verdict.Trial:
    text = f"With {made.change}, {rounds.during.text} {rounds.what}; no packet came to what was changed there, so that "
    return _told(made, "unclear", f"{text}the trial says nothing of it.", left)


def _unsent(half: record.Trial) -> verdict.Trial:
    """Tell what was seen where the change was made; the unit that sent has not been heard of."""
    seen = _arrivals(half)
    if seen is None or half.problem:
        return _unclear(half, half.problem, half.left)
    told = _compare(half, seen, half.left)
    return _unmet(half, seen, half.left) if told.effect == "none" and not _was_met(half) else told


def _answers(trial: record.Trial, *, learned: bool) -> _Rounds | None:
    if trial.during is None or trial.after is None:
        return None
    before, during, after = (
        _Count(one.answered, one.sent, f"{one.answered} of {one.sent}")
        for one in (trial.before, trial.during, trial.after)
    )
    return _Rounds(before, during, after, "packets were answered", learned)


def _arrivals(trial: record.Trial) -> _Rounds | None:
    """Count the packets that have got through the bridge; None where nobody watched behind it in every round."""
    if trial.during is None or trial.after is None:
        return None
    rounds = (trial.before, trial.during, trial.after)
    for point in _BEYOND[trial.role]:
        seen = [each.forward[point] for each in rounds if point in each.forward]
        if len(seen) == len(rounds):
            of = max(*seen, *(one.sent for one in rounds))
            before, during, after = (_Count(one, of, str(one)) for one in seen)
            where = "left the source's host" if point == "source-underlay" else "came to the destination's port"
            return _Rounds(before, during, after, f"packets {where}", trial.learned)
    return None


def _compare(trial: record.Trial, rounds: _Rounds, left: str) -> verdict.Trial:
    before, during, after = rounds.before, rounds.during, rounds.after
    said = f"With {trial.change}, {during.text} {rounds.what}"
    if during.passed <= before.passed:
        text = f"{said}, and {before.text} without: what it goes around does not lose them."
        return _told(trial, "none", text, left)
    if after.passed >= during.passed:
        text = f"{said}, {before.text} before and {after.text} afterwards: "
        if rounds.learned:
            text += "the destination has learned the source's MAC address meanwhile, so the last round tells nothing."
            return _told(trial, "unclear", text, left)
        return _told(trial, "passing", f"{text}that the switch was touched at all may have healed it for now.", left)
    text = f"{said}; without, {before.text} before and {after.text} afterwards"
    if _chance(during, max(before.passed, after.passed)) > _CHANCE:
        text += ": that may be chance with losses that come and go; try again with a larger count."
        return _told(trial, "unclear", text, left)
    return _told(trial, "heals", f"{text}.", left)


def _chance(during: _Count, without: int) -> float:
    """Return how probable so many packets are in one round, if all three rounds lose packets alike.

    It is the one-sided test of Fisher, with the better of the two other rounds taken twice.
    """
    each, passed = during.of, during.passed + 2 * without
    every = _ways(3 * each, passed)
    return sum(
        math.exp(_ways(each, one) + _ways(2 * each, passed - one) - every)
        for one in range(during.passed, min(each, passed) + 1)
    )


def _ways(of: int, chosen: int) -> float:
    """Return the logarithm of the number of ways to choose: of many packets, the number itself has many digits."""
    return math.lgamma(of + 1) - math.lgamma(chosen + 1) - math.lgamma(of - chosen + 1)


def _unclear(trial: record.Trial, problem: str, left: str) -> verdict.Trial:
    return _told(trial, "unclear", problem or f"The trial with {trial.change} did not come to its end.", left)


def _told(trial: record.Trial, effect: verdict.Effect, text: str, left: str) -> verdict.Trial:
    return verdict.Trial(trial=trial.trial, unit=trial.unit, role=trial.role, effect=effect, summary=text, left=left)


def called_for(plan: path.Plan, judged: str, hop: str, tried: Collection[tuple[str, path.Role]]) -> path.Role | None:
    """Say at which end's br-int flows should be tried, where packets stop in one and it has not been done.

    Args:
        plan: The path.
        judged: The verdict.
        hop: Where packets stop; empty where that is not known.
        tried: The kind and the end of each trial that was made.
    """
    role: path.Role = "source" if hop.startswith("source") else "destination"
    if judged != "broken" or not hop.endswith("br-int") or ("flows", role) in tried or not all(units(plan, role)):
        return None
    return role


def units(plan: path.Plan, role: path.Role) -> tuple[str, ...]:
    """Return the units on which flows are tried at one end; an empty name stands for a host without a unit."""
    is_alone = role == "source" or plan.same_host
    return (plan.source.unit,) if is_alone else (plan.source.unit, plan.destination.unit)


def weigh(
    finding: verdict.Finding, trials: Sequence[verdict.Trial], limited: Collection[path.Role] = ()
) -> verdict.Finding:
    """Add to a finding what the trials say for it or against it; its certainty stays what the probe made it.

    Args:
        finding: The finding.
        trials: The trials.
        limited: The ends at whose br-int a rate limit stands, which a trial goes around like all other flows.
    """
    if finding.code in _NO_LOSS:
        return finding
    healing = [one for one in trials if one.effect == "heals" and _is_there(finding, one)]
    for_it = [one.summary for one in healing if finding.code != "switch-disobeys" or one.role not in limited]
    against = [one.summary for one in trials if _contradicts(finding, one)]
    against += [f"{one.summary} {_AROUND_LIMIT}" for one in healing if one.summary not in for_it]
    return finding.model_copy(
        update={"evidence": (*finding.evidence, *for_it), "against": (*finding.against, *against)}
    )


def _is_there(finding: verdict.Finding, trial: verdict.Trial) -> bool:
    """Whether the finding is on the bridge whose tables the trial went around; of an unknown hop, it may be."""
    return finding.hop in (None, f"{trial.role}-br-int")


def _contradicts(finding: verdict.Finding, trial: verdict.Trial) -> bool:
    if trial.effect in ("passing", "needless"):
        return True
    if trial.effect == "heals":
        return not _is_there(finding, trial)
    return trial.effect == "none" and finding.hop == f"{trial.role}-br-int"
