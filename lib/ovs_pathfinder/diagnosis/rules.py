"""Rules for what a host's flows, tunnels and bridges do with packets by their own account."""

from ..vswitch import tables
from . import case as case_
from . import reading, stretch, verdict


def tunnel_missing(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The host has no tunnel port towards the other one."""
    evidence = case.evidence(segment.role)
    if evidence is None or case.plan.same_host or not case.plan.network.is_tunnelled:
        return None
    if evidence.tunnel is not None and not evidence.tunnel_error:
        return None
    trace = stretch.trace(case, segment)
    if trace is not None and trace.steps and trace.outcome == "dropped" and reading.end(case, trace).bridge == "br-int":
        return None  # the packet does not even get to where the tunnel is missed
    far = case.plan.endpoint("destination" if segment.role == "source" else "source")
    kind = case.plan.network.type
    remote = far.tunnel_address or "of unknown address"
    who = stretch.who(case, segment)
    if evidence.tunnel_error:
        code = "tunnel-missing"
        text = f"{who}'s switch does not take its {kind} port {evidence.tunnel}: {evidence.tunnel_error}."
    elif evidence.tunnel_remote and evidence.tunnel_remote != far.tunnel_address:
        code = "tunnel-mismatch"
        text = f"The {kind} port of {who} that is named for {remote} leads to {evidence.tunnel_remote}."
    else:
        code = "tunnel-missing"
        text = f"{who} has no {kind} port towards {far.principal or far.port.host} ({remote})."
    return case_.finding(
        case,
        code,
        case_.hop(segment.role, "br-tun"),
        segment.direction,
        case.certainty(segment.role),
        text,
        (stretch.counts(case, segment), *reading.quote(case, trace)),
    )


def patch_broken(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The bridges are not joined, and the packet ends where it should pass from one to the other."""
    evidence, trace = case.evidence(segment.role), stretch.trace(case, segment)
    if evidence is None or not evidence.patches or trace is None or trace.outcome != "dropped":
        return None
    place = case.place(reading.end(case, trace).bridge) if trace.steps else "br-int"
    other = case.plan.endpoint(segment.role).physical_bridge or "br-tun"
    return case_.finding(
        case,
        "patch-broken",
        case_.hop(segment.role, place),
        segment.direction,
        case.certainty(segment.role),
        f"On {stretch.who(case, segment)} br-int and {other} are not joined: {evidence.patches[0]}.",
        (stretch.counts(case, segment), *evidence.patches, *reading.quote(case, trace)),
    )


def rules_drop(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The flows themselves drop the packet: a rule or an object is missing, or a foreign flow decides."""
    trace = stretch.trace(case, segment)
    if trace is None or trace.outcome != "dropped" or not trace.steps:
        return None
    step = reading.end(case, trace)
    code, place, why = reading.cause(case, segment, trace, step)
    named = tables.name(step.bridge, step.table)
    where = f"table {step.table}{f' ({named})' if named else ''} of {step.bridge}"
    found = case_.finding(
        case,
        code,
        case_.hop(reading.side(segment, step), place),
        segment.direction,
        case.certainty(segment.role),
        f"On {stretch.who(case, segment)} the packets end in {where}: {why}.",
        (stretch.counts(case, segment), *reading.quote(case, trace)),
    )
    if not code.endswith("-rule-missing"):
        return found
    return found.model_copy(update={"next": reading.remedy(case, segment, step) or found.next})


def misdirected(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The flows send the packet somewhere else than to where the plan's other end is."""
    trace = stretch.trace(case, segment)
    if trace is None or trace.outcome != "misdirected":
        return None
    behind = case.place(reading.end(case, trace).bridge) != "br-int"
    code = "forwarding-entry-wrong" if behind and case.plan.network.is_tunnelled else "vlan-tag-wrong"
    return case_.finding(
        case,
        code,
        case_.hop(segment.role, case.between if behind else "br-int"),
        segment.direction,
        case.certainty(segment.role),
        f"On {stretch.who(case, segment)} the flows send the packets to {', '.join(trace.outputs) or 'nowhere'}, "
        f"not to {trace.expected}.",
        (stretch.counts(case, segment), *reading.quote(case, trace)),
    )


def rules_drop_live(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The flows drop the packet as the datapath has it, though not as the plan describes it."""
    evidence, trace = case.evidence(segment.role), stretch.trace(case, segment)
    live = evidence.trace(segment.direction, "live") if evidence is not None else None
    if live is None or live.outcome != "dropped" or not live.steps:
        return None
    if trace is not None and trace.outcome == "dropped":
        return None
    passes = trace is not None and trace.reaches
    step = reading.end(case, live)
    code, place, why = reading.cause(case, segment, live, step)
    dropping = case_.dropping(case, segment.role, segment.direction)
    return case_.finding(
        case,
        code,
        case_.hop(reading.side(segment, step), place),
        segment.direction,
        "likely",
        f"On {stretch.who(case, segment)} the packets, as the datapath has them, end in table {step.table} of "
        f"{step.bridge}: {why}.",
        (
            stretch.counts(case, segment),
            *reading.quote(case, live),
            *(f"datapath flow of the probe: {one.raw}" for one in dropping),
        ),
        ("The packet as the plan describes it would pass; the trace of the datapath's own key does not.",)
        if passes
        else (),
    )
