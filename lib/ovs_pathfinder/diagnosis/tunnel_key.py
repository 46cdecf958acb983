"""The rule for packets that come out of a tunnel with another key than their network has."""

from .. import path
from . import case as case_
from . import foreign, reading, stretch, verdict


def wrong(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """Packets arrive at a host with another key: the sender's flows set it, and the receiver is not at fault."""
    network = case.plan.network
    if segment.kind != "switch" or segment.sender is not None or not network.is_tunnelled or case.plan.same_host:
        return None
    borne = _borne(case, segment)
    if not borne or network.segmentation_id in borne:
        return None
    near: path.Role = "destination" if segment.role == "source" else "source"
    trace = case.trace(near, segment.direction)
    keys = ", ".join(f"{key:#x}" for key in borne)
    seen = f"tunnel keys of the packets as seen at {segment.role}-underlay: {keys}; {network} has {_key(case)}"
    if trace is not None and (found := foreign.diverting(case, segment, near, trace, (seen,))) is not None:
        return found
    shown = trace is not None and trace.outcome == "misdirected" and bool(trace.steps)
    end = reading.end(case, trace) if trace is not None and shown else None
    who = case.plan.endpoint(near)
    return case_.finding(
        case,
        "forwarding-entry-wrong",
        case_.hop(near, "br-tun"),
        segment.direction,
        case.certainty() if shown else "likely",
        f"{who.principal or who.unit or who.port.host} sends the packets into the tunnel with key {keys}, and "
        f"{network.name or network.id} has {_key(case)}" + (f": {end}." if end is not None else "."),
        (stretch.counts(case, segment), seen, *reading.quote(case, trace, end)),
        () if shown else ("No trace of the sender's flows shows where it sets that key.",),
    )


def _key(case: case_.Case) -> str:
    return f"{case.plan.network.segmentation_id or 0:#x}"


def _borne(case: case_.Case, segment: case_.Segment) -> tuple[int, ...]:
    """Return the keys with which the packets of that direction came to the host."""
    point: path.Point = "source-underlay" if segment.role == "source" else "destination-underlay"
    evidence = case.evidence(segment.role)
    seen = evidence.observation(point) if evidence is not None else None
    if seen is None:
        return ()
    return seen.reply_tunnel_keys if segment.direction == "reply" else seen.forward_tunnel_keys
