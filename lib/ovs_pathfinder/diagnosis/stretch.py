"""What rules ask about the stretch of the path on which packets were lost."""

from .. import path
from ..evidence import record
from . import case as case_


def trace(case: case_.Case, segment: case_.Segment) -> record.Trace | None:
    """Return what the switch there would do with the packets."""
    return case.trace(segment.role, segment.direction)


def who(case: case_.Case, segment: case_.Segment) -> str:
    """Name the host there: by the unit that operators know best."""
    end = case.plan.endpoint(segment.role)
    return end.principal or end.unit or end.port.host


def ends(segment: case_.Segment) -> tuple[path.Role, ...]:
    """Return the ends of the path that are plugged into this switch, the sending one first."""
    return tuple(role for role in (segment.sender, segment.receiver) if role is not None)


def device(case: case_.Case, role: path.Role) -> record.Device | None:
    """Return the device of one end's port."""
    evidence = case.evidence(role)
    return evidence.devices.get(role) if evidence else None


def counts(case: case_.Case, segment: case_.Segment) -> str:
    """Say what was seen before and after the stretch."""
    loss = segment.loss
    what = "packets" if case.account.carrier == "probe" else "questions for the neighbour (ARP or ND)"
    came = loss.of - loss.lost
    return f"{loss.of} {what} were seen at {loss.before or 'the sender'}, {came} of them at {loss.after or 'it again'}"


def counters(case: case_.Case, segment: case_.Segment) -> tuple[str, ...]:
    """Quote what the switch there has counted of packets that it dropped, whoever's they were."""
    evidence = case.evidence(segment.role)
    rises = evidence.drops.items() if evidence is not None else ()
    return tuple(f"{name} rose by {rise} during the probe, for all packets of the switch" for name, rise in rises)
