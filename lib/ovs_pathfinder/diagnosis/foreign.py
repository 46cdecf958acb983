"""Rules for flows of others in the way: what the path would be without them decides, and not that they are there."""

from .. import path
from ..evidence import record
from ..vswitch import tables
from . import case as case_
from . import reading, stretch, verdict

_PASSES = ("forwarded", "flooded")
_ENDS = ("dropped", "misdirected", "failed")
_DOUBTS: dict[str, str] = {
    "perhaps-agent": "Extensions of Neutron's agent have cookies of their own, and an agent that was restarted had "
    "another one before: the flow may be the agent's.",
    "charm": "The flow's cookie is this charm's own: it was added for a time, and clean-up takes it away.",
}


def diverted(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The switch would pass the packets on without a flow that is not the agent's, and with it does not."""
    trace = stretch.trace(case, segment)
    return diverting(case, segment, segment.role, trace) if trace is not None else None


def diverting(
    case: case_.Case, segment: case_.Segment, role: path.Role, trace: record.Trace, more: tuple[str, ...] = ()
) -> verdict.Finding | None:
    """Say the same of the switch of a host, which may be one that the packets passed before they were lost.

    Args:
        case: The case.
        segment: Where they were lost.
        role: The host.
        trace: What its switch does with them.
        more: What else shows it.
    """
    without = trace.without
    if without is None or trace.outcome not in _ENDS or without.outcome not in _PASSES:
        return None
    return _finding(case, segment, role, trace, without, _does(case, trace, without), is_seen=True, more=more)


def readdressed(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """A flow on the way that is not the agent's gives the packets other addresses; they are lost there or later."""
    for role in _passed(case, segment):
        trace = case.trace(role, segment.direction)
        without = trace.without if trace is not None else None
        if trace is None or without is None or without.outcome not in _PASSES or not without.rewritten:
            continue
        seen = _seen_behind(case, role, segment.direction, without)
        what = f"gives the packets other addresses ({', '.join(without.rewritten)})"
        return _finding(case, segment, role, trace, without, what, is_seen=bool(seen), more=seen)
    return None


def doubt(
    case: case_.Case, segment: case_.Segment, found: verdict.Finding, *, is_by_flows: bool = False
) -> verdict.Finding:
    """Weaken a finding where somebody else's flow may be its cause, and what the path would be without it is unknown.

    Args:
        case: The case.
        segment: Where the packets were lost.
        found: The finding.
        is_by_flows: Whether it rests on what the flows on the way do.
    """
    trace = stretch.trace(case, segment)
    if trace is None or found.code == "foreign-flow":
        return found
    unsure = (is_by_flows and _unknown_owner(case, segment, trace)) or _unknown_effect(trace)
    if not unsure:
        return found
    certainty = "likely" if found.certainty == "proven" else found.certainty
    return found.model_copy(update={"certainty": certainty, "against": (*found.against, unsure)})


def _unknown_owner(case: case_.Case, segment: case_.Segment, trace: record.Trace) -> str:
    """Say that the flows on the way may be anybody's, as the agent's cookie was not read; empty where it was."""
    evidence = case.evidence(segment.role)
    known = evidence.agent_cookies if evidence is not None else {}
    met = {step.bridge for step in trace.steps if step.priority is not None and step.bridge in tables.AGENTS_OWN}
    unknown = sorted(met - known.keys())
    if not unknown:
        return ""
    return f"The agent's cookie on {' and '.join(unknown)} is not known, so the flows there may be somebody else's."


def _unknown_effect(trace: record.Trace) -> str:
    without = trace.without
    if without is None or without.outcome in (*_PASSES, *_ENDS):
        return ""
    return (
        f"A flow that does not have the agent's cookie is on the way ({_name(without)}), and what the path would be "
        f"without it is not known: {without.reason}."
    )


def _does(case: case_.Case, trace: record.Trace, without: record.Without) -> str:
    """Say what a flow does to packets that would pass without it."""
    end = reading.end(case, trace)
    if trace.outcome == "misdirected":
        return f"sends the packets to {', '.join(trace.outputs) or 'nowhere'}, not to {trace.expected}"
    if trace.outcome == "failed":
        return "makes the switch give the packets up"
    if end == without.flow:
        return "drops the packets"
    return f"changes the packets or their way, so that they are dropped in table {end.table} of {end.bridge}"


def _passed(case: case_.Case, segment: case_.Segment) -> tuple[path.Role, ...]:
    """Return the hosts whose switches the packets passed in this direction up to the place where they were lost."""
    if case.plan.same_host:
        return ("source",)
    order: tuple[path.Role, ...] = ("source", "destination")
    order = order if segment.direction == "forward" else order[::-1]
    if segment.kind in ("switch", "underlay"):
        return order[: order.index(segment.role) + 1]
    return order


def _seen_behind(
    case: case_.Case, role: path.Role, direction: path.Direction, without: record.Without
) -> tuple[str, ...]:
    """Quote where the packets were seen behind that switch with a MAC address that the flow gave them."""
    points = case.plan.points if direction == "forward" else case.plan.points[::-1]
    entry = next(at for at, point in enumerate(points) if case.plan.same_host or _role(point) == role)
    behind = points[entry + 1 :]
    for point in behind:
        evidence = case.evidence(_role(point))
        seen = evidence.observation(point) if evidence is not None else None
        if seen is None:
            continue
        macs = (
            (seen.forward_mac, seen.forward_destination_mac)
            if direction == "forward"
            else (seen.reply_mac, seen.reply_destination_mac)
        )
        for mac in macs:
            if mac and any(f"={mac}" in text for text in without.rewritten):
                return (f"the packets were seen at {seen.point} with MAC address {mac}",)
    return ()


def _role(point: path.Point) -> path.Role:
    return "source" if point.startswith("source") else "destination"


def _name(without: record.Without) -> str:
    step = without.flow
    does = f", actions={without.actions}" if without.actions else ""
    return f"{step}, cookie {step.cookie}{does}"


def _finding(
    case: case_.Case,
    segment: case_.Segment,
    role: path.Role,
    trace: record.Trace,
    without: record.Without,
    what: str,
    *,
    is_seen: bool,
    more: tuple[str, ...] = (),
) -> verdict.Finding:
    step, doubts = without.flow, _DOUBTS.get(without.owner, "")
    end = case.plan.endpoint(role)
    certain = is_seen and not doubts
    unseen = "" if is_seen else "The packets were not seen with those addresses."
    return case_.finding(
        case,
        "foreign-flow",
        case_.hop(reading.side(segment, step) if role == segment.role else role, case.place(step.bridge)),
        segment.direction,
        case.certainty(role) if certain else "likely",
        f"On {end.principal or end.unit or end.port.host} a flow that is not the Neutron agent's {what}: "
        f"{_name(without)}.",
        (
            stretch.counts(case, segment),
            *reading.quote(case, trace, step),
            f"without it the packets would meet {without.instead}, and be {without.outcome}: {without.command}",
            *more,
        ),
        (doubts, unseen),
    )
