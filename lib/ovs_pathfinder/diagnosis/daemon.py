"""Rules for an ovs-vswitchd that cannot be asked: it does not answer, or a trace would never come back."""

from .. import path
from ..evidence import record
from . import case as case_
from . import reading, stretch, verdict

_ROUNDS = 2
"""How often a flow must have counted each packet for it to have gone round in a circle."""


def not_answering(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """Packets are lost in a switch whose daemon does not answer."""
    evidence = case.evidence(segment.role)
    if evidence is None or not evidence.vswitchd:
        return None
    return case_.finding(
        case,
        "vswitchd-not-answering",
        case_.hop(segment.role, "br-int"),
        segment.direction,
        "likely",
        f"ovs-vswitchd on {stretch.who(case, segment)} does not answer ({evidence.vswitchd}), and its switch loses the "
        "packets.",
        (stretch.counts(case, segment), _QUESTION),
        (_UNTRACED,),
    )


def hangs(case: case_.Case) -> verdict.Finding | None:
    """Packets pass a switch whose daemon does not answer, by what it made before: new connections may not."""
    for role, evidence in _hosts(case):
        if evidence.vswitchd:
            who = case.plan.endpoint(role).principal or evidence.unit
            return case_.finding(
                case,
                "vswitchd-not-answering",
                case_.hop(role, "br-int"),
                None,
                "proven",
                f"ovs-vswitchd on {who} does not answer ({evidence.vswitchd}): the probe's packets pass by flows that "
                "its datapath still has, and packets that need new ones are lost.",
                (_QUESTION,),
                (_UNTRACED,),
            )
    return None


_QUESTION = "ovs-appctl version, which costs a daemon that is alive next to nothing"
_UNTRACED = "Nothing was traced or counted there, so that what else may be wrong is not known."


def _hosts(case: case_.Case) -> list[tuple[path.Role, record.Evidence]]:
    roles: tuple[path.Role, ...] = ("source",) if case.plan.same_host else ("source", "destination")
    return [(role, found) for role in roles if (found := case.evidence(role)) is not None]


def conntrack_loop(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The flows send the packets through conntrack in a circle, so that the datapath drops them after a few rounds."""
    trace = stretch.trace(case, segment)
    if trace is None or trace.untraced != "conntrack-loop" or not trace.steps:
        return None
    counted = [step.moved for step in trace.steps if step.moved is not None]
    if len(counted) == len(trace.steps) and not any(counted):
        return None  # no packet has come to the circle
    went_round = segment.loss.total and case.account.carrier == "probe" and _went_round(trace, segment.loss.lost)
    step = trace.steps[0]
    return case_.finding(
        case,
        "conntrack-loop",
        case_.hop(segment.role, case.place(step.bridge)),
        segment.direction,
        case.certainty(segment.role) if went_round else "likely",
        f"On {stretch.who(case, segment)} the flows send the packets through conntrack in a circle ({step}), and the "
        "datapath drops what it has recirculated too often.",
        (stretch.counts(case, segment), *(f"{one}{reading.moved(one)}" for one in trace.steps), trace.reason),
        () if went_round else ("The counters of these flows do not show that the packets went round.",),
    )


def _went_round(trace: record.Trace, lost: int) -> bool:
    return any((step.moved or 0) >= _ROUNDS * lost for step in trace.steps)
