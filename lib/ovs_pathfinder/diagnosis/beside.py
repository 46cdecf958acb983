"""Rules for what is wrong beside the probe's packets: heartbeats, the agent, mirrors that stayed."""

from collections.abc import Iterator

from .. import path, words
from ..evidence import record
from . import account, bugs, daemon, reading, sizes, verdict
from . import case as case_

_TOLD = 3
"""Differences since a snapshot that are quoted."""
_AGENTS_WORK = (
    "port-not-wired",
    "vlan-tag-wrong",
    "flows-missing",
    "tunnel-missing",
    "tunnel-mismatch",
    "forwarding-entry-wrong",
    "segment-missing",
)
"""What Neutron's agent would have put right, if it ran; a rule that is missing is missing in Neutron."""
IMPAIRING = ("vswitchd-not-answering", "device-mtu-wrong", "mtu-too-small", "heartbeat-blocked")
"""What leaves a path working for the probe's packets, and broken for others."""


def impaired(case: case_.Case) -> Iterator[verdict.Finding]:
    """Tell what else does not work on a path that lets the probe's packets pass."""
    if (found := daemon.hangs(case)) is not None:
        yield found
    yield from sizes.impaired(case)
    if (found := _heartbeats(case)) is not None:
        yield found


def noticed(case: case_.Case, first: verdict.Finding) -> Iterator[verdict.Finding]:
    """Tell what stands beside a finding and takes none of the probe's packets away."""
    yield from _agents(case, first)
    roles: tuple[path.Role, ...] = ("source",) if case.plan.same_host else ("source", "destination")
    for role in roles:
        evidence = case.evidence(role)
        if evidence is None:
            continue
        if (found := _stale(case, role, evidence)) is not None and first.code != found.code:
            yield found
        if evidence.mirrors:
            yield case_.finding(
                case,
                "leftover-mirror",
                case_.hop(role, "br-int"),
                None,
                "possible",
                f"{words.many(len(evidence.mirrors), 'mirror')} on {evidence.unit}'s switch may have been left behind.",
                evidence.mirrors,
                ("A mirror copies packets and loses none; somebody may be using it.",),
            )


def _stale(case: case_.Case, role: path.Role, evidence: record.Evidence) -> verdict.Finding | None:
    """Older connections between the two ends are dropped, as a rule was gone for a while; the probe's are new ones."""
    dropping = [one for one in (*evidence.megaflows, *evidence.heartbeats) if one.drops and one.ct_marked]
    if not dropping:
        return None
    return case_.finding(
        case,
        "conntrack-stale",
        case_.hop(role, "br-int"),
        dropping[0].direction,
        "possible",
        f"Conntrack on {evidence.unit}'s host remembers a connection between the two ends as one that was cut off, and "
        "its packets are dropped; new connections are not touched by that.",
        tuple(f"datapath flow of connections that were cut off: {one.raw}" for one in dropping[:2]),
        ("A rule that was taken away for good cuts off what it let pass, as it should.",),
    )


def remember(case: case_.Case, found: verdict.Finding) -> verdict.Finding:
    """Add to a finding what has changed on its host since the newest snapshot, and what its agent is known for."""
    if found.hop is None or found.hop in ("underlay", "guest"):
        return found
    evidence = case.evidence("source" if found.hop.startswith("source") else "destination")
    if evidence is not None:
        found = found.model_copy(update={"next": (*found.next, *bugs.hints(found, evidence))})
    history = evidence.history if evidence is not None else None
    if evidence is None or history is None:
        return found
    since = f"since the snapshot {history.snapshot}, taken {history.taken}"
    versions = f"{history.version or 'unknown'} then, {evidence.ovs_version or 'unknown'} now"
    lines = [f"{words.many(history.count, 'difference') if history.count else 'no difference'} in the rules {since}"]
    lines += [f"Open vSwitch was {versions}"] if history.version != evidence.ovs_version else []
    lines += history.differences[:_TOLD]
    return found.model_copy(update={"evidence": (*found.evidence, *lines)})


def blame(case: case_.Case, found: verdict.Finding) -> verdict.Finding | None:
    """Return what a finding comes from, where the agent does not run that would have put it right."""
    if found.code not in _AGENTS_WORK or found.hop is None:
        return None
    role: path.Role = "source" if found.hop.startswith("source") else "destination"
    end = case.plan.endpoint(role)
    if end.agent_alive is not False:
        return None
    return case_.finding(
        case,
        "agent-down",
        found.hop,
        found.direction,
        "likely",
        f"Neutron's agent on {end.principal or end.port.host} does not report, and what it should have put right is "
        f"wrong: {found.summary}",
        (f"Neutron's agent list: the Open vSwitch agent on {end.port.host} is not alive", *found.evidence),
        found.against,
    )


def _agents(case: case_.Case, first: verdict.Finding) -> Iterator[verdict.Finding]:
    if first.code == "agent-down":
        return
    seen: set[str] = set()
    for end in (case.plan.source, case.plan.destination):
        if end.agent_alive is False and end.port.host not in seen:
            seen.add(end.port.host)
            yield case_.finding(
                case,
                "agent-down",
                None,
                None,
                "possible",
                f"Neutron's Open vSwitch agent on {end.principal or end.port.host} does not report to Neutron; what "
                "changes in the cloud does not come to that host.",
                (f"Neutron's agent list: the Open vSwitch agent on {end.port.host} is not alive",),
            )


def _heartbeats(case: case_.Case) -> verdict.Finding | None:
    """Octavia's health manager would not get the amphora's messages, by the rules or by what the switch does."""
    if not case.plan.has_heartbeats:
        return None
    roles: tuple[path.Role, ...] = ("source",) if case.plan.same_host else ("destination", "source")
    for role in roles:
        evidence = case.evidence(role)
        found = _blocked(case, role, evidence) if evidence is not None else None
        if found is not None:
            return found
    return None


def _blocked(case: case_.Case, role: path.Role, evidence: record.Evidence) -> verdict.Finding | None:
    segment = case_.through(case, account.Loss("reply", None, None, 1, 1), role)
    trace = evidence.trace("reply", "heartbeat")
    # A flow for what conntrack calls invalid looks at neither protocol nor address: its packets may be anybody's.
    dropping = tuple(one for one in evidence.heartbeats if one.drops and not one.ct_marked and not one.ct_invalid)
    quoted = tuple(f"datapath flow of the heartbeats, actions:drop: {one.raw}" for one in dropping)
    who = case.plan.endpoint(role)
    name = who.principal or who.unit or who.port.host
    if trace is not None and trace.stops and trace.steps:
        step = reading.end(case, trace)
        _, place, why = reading.cause(case, segment, trace, step, "udp port 5555")
        return case_.finding(
            case,
            "heartbeat-blocked",
            case_.hop(reading.side(segment, step), place),
            "reply",
            "proven" if dropping else "likely",
            f"The amphora's heartbeats to Octavia's health manager (UDP 5555) end in table {step.table} of "
            f"{step.bridge} on {name}: {why}.",
            (*reading.quote(case, trace), *quoted),
            () if dropping else ("No heartbeat was seen to be dropped: that they are is what the rules say.",),
        )
    if not dropping or len(dropping) < len(evidence.heartbeats):
        return None
    return case_.finding(
        case,
        "heartbeat-blocked",
        case_.hop(role, "br-int"),
        "reply",
        "likely",
        f"The amphora's heartbeats to Octavia's health manager (UDP 5555) are dropped in the switch of {name}, and "
        + ("the rules let them pass." if trace is not None and trace.reaches else "no trace says why."),
        (*quoted, *reading.quote(case, trace)),
    )
