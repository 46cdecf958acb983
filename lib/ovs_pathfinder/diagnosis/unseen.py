"""Losses on a stretch that was not watched to its end: what can be said from flows and counters, and no more."""

import dataclasses

from .. import path
from ..evidence import record
from . import account, ends, reading, switch, verdict
from . import case as case_


def explain(case: case_.Case, loss: account.Loss) -> verdict.Finding:
    """Say what became of packets that went on from the last point that was watched, and were not answered there."""
    role: path.Role = "source" if case.plan.same_host else "destination"
    directions: tuple[path.Direction, ...] = ("forward", "reply")
    for direction in directions if case.evidence(role) is not None else ():
        there = case_.through(case, dataclasses.replace(loss, direction=direction), role)
        if (suspected := switch.suspect(case, there)) is not None:
            return suspected
    return _guest(case, loss) or case_.finding(
        case,
        "cannot-tell",
        None,
        None,
        "likely",
        f"{loss.lost} of {loss.of} packets got past {loss.before or 'the sender'} and were not answered; "
        "the way from there on was not watched.",
        (f"seen at {loss.before or 'the sender'}: {loss.of}",),
        _hidden(case),
    )


def _hidden(case: case_.Case) -> tuple[str, ...]:
    known = [one for one in (case.source, case.destination) if one is not None]
    told = (f"{one.point}: {one.out_of_sight}." for each in known for one in each.observations if one.out_of_sight)
    return tuple(dict.fromkeys(told))


def _guest(case: case_.Case, loss: account.Loss) -> verdict.Finding | None:
    """The switch let the packets out to a port that is out of sight, and no answer in."""
    evidence = case.destination
    device = evidence.devices.get("destination") if evidence else None
    out = case.trace("destination", "forward")
    if evidence is None or device is None or out is None or case.account.carrier != "probe":
        return None
    point = next((one for one in evidence.observations if one.point == "destination-port"), None)
    if point is None or not point.out_of_sight or out.outcome not in ("forwarded", "flooded"):
        return None
    counted = [step.moved for step in out.steps if step.moved is not None]
    silence = _silence(case, evidence, device, loss)
    if not counted or min(counted) < loss.lost or not silence:
        return None
    found = ends.guest(case, case_.Segment(loss, "guest", "destination"))
    seen = f"{loss.of} packets were seen at {loss.before or 'the sender'}; the switch sent them to {device.name}"
    return found.model_copy(
        update={
            "certainty": "likely",
            "evidence": (f"{seen}, and {silence}", *reading.quote(case, out)),
            "against": (f"The port cannot be watched: {point.out_of_sight}.", *found.against),
        }
    )


def _silence(case: case_.Case, evidence: record.Evidence, device: record.Device, loss: account.Loss) -> str:
    """Say what shows that no answers came in by the port; empty where nothing does.

    The flows of a port count all that its guest sends; the datapath has a flow for each kind of packet that came in.
    """
    back = case.trace("destination", "reply")
    own = [one for one in (back.steps if back else ()) if f"in_port={device.ofport}," in f"{one.match},"]
    counted = [one.moved for one in own if one.moved is not None]
    if counted and max(counted) < loss.lost:
        return f"its flows counted {max(counted)} from there"
    used = {one.direction for one in evidence.megaflows}
    return "its datapath has no flow for answers from there" if used == {"forward"} else ""
