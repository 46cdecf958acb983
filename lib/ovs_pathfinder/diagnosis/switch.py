"""Rules for packets that enter a host's switch and do not leave it, the most specific first."""

import re
from collections.abc import Callable

from .. import path
from ..evidence import record
from ..vswitch import tables
from . import bugs, reading, verdict
from . import case as case_

_DEAD_VLAN = 4095
_GIVES_UP = re.compile(r"max translation depth|resubmit actions|stack overflow|[Rr]ecursion")
"""What ovs-vswitchd logs where it gives the translation of a packet up."""


def explain(case: case_.Case, segment: case_.Segment) -> verdict.Finding:
    """Name the cause of a loss within one host."""
    for rule in _RULES:
        found = rule(case, segment)
        if found is not None:
            return found
    return _unexplained(case, segment)


def suspect(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """Name a cause on a stretch that nobody watched to its end: what is plainly wrong there, but never as proven."""
    for rule in _STANDING:
        found = rule(case, segment)
        if found is not None:
            unseen = "No capture shows that packets are lost there."
            return found.model_copy(update={"certainty": "likely", "against": (*found.against, unseen)})
    return None


def _trace(case: case_.Case, segment: case_.Segment) -> record.Trace | None:
    return case.trace(segment.role, segment.direction)


def _who(case: case_.Case, segment: case_.Segment) -> str:
    end = case.plan.endpoint(segment.role)
    return end.principal or end.unit or end.port.host


def _ends(segment: case_.Segment) -> tuple[path.Role, ...]:
    """Return the ends of the path that are plugged into this switch, the sending one first."""
    return tuple(role for role in (segment.sender, segment.receiver) if role is not None)


def _device(case: case_.Case, role: path.Role) -> record.Device | None:
    evidence = case.evidence(role)
    return evidence.devices.get(role) if evidence else None


def _counts(case: case_.Case, segment: case_.Segment) -> str:
    """Say what was seen before and after the stretch."""
    loss = segment.loss
    what = "packets" if case.account.carrier == "probe" else "questions for the neighbour (ARP or ND)"
    came = loss.of - loss.lost
    return f"{loss.of} {what} were seen at {loss.before or 'the sender'}, {came} of them at {loss.after or 'it again'}"


# Rules, in order.


def not_plugged(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The device of a port is not on the host, or not on its switch."""
    for role in _ends(segment):
        device = _device(case, role)
        if device is None or (device.present and device.on_switch and (device.ofport or 0) > 0):
            continue
        where = "on the host" if not device.present else "on the switch"
        return case_.finding(
            case,
            "port-not-plugged",
            case_.hop(role, "port"),
            segment.direction,
            case.certainty(segment.role),
            f"The port's device {device.name} is not {where} of {_who(case, segment)}.",
            (_counts(case, segment), device.error),
        )
    return None


def sender_mac(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The sender's packets carry another MAC address than its Neutron port has."""
    role = segment.sender
    evidence = case.evidence(role) if role else None
    if evidence is None or role is None:
        return None
    watched = evidence.observation("source-port" if role == "source" else "destination-port")
    port = case.plan.endpoint(role).port
    seen = (watched.forward_mac if role == "source" else watched.reply_mac) if watched else ""
    if not seen or seen == port.mac or any(pair.mac == seen for pair in port.allowed_address_pairs):
        return None
    trace = evidence.trace(segment.direction, "seen")
    drops = trace is not None and trace.outcome == "dropped"
    return case_.finding(
        case,
        "source-mac-wrong",
        case_.hop(role, "br-int"),
        segment.direction,
        "proven" if drops else "likely",
        f"{_who(case, segment)} sends from MAC address {seen}, and Neutron's port {port.name or port.id} has "
        f"{port.mac}: anti-spoofing drops its packets.",
        (_counts(case, segment), *reading.quote(trace)),
        () if drops else ("The trace of the packet as it was seen does not end in a drop.",),
    )


def _ends_before(case: case_.Case, segment: case_.Segment, role: path.Role) -> bool:
    """Whether the flows drop the packets before they come to the receiving port, whose VLAN then says nothing."""
    trace = _trace(case, segment)
    if role != segment.receiver or trace is None or trace.outcome != "dropped" or not trace.steps:
        return False
    step = reading.end(trace)
    return step.bridge == "br-tun" or step.table in (81, 82)


def dead_vlan(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """A port is on the VLAN in which everything is dropped, as Neutron disabled or could not bind it."""
    for role in _ends(segment):
        device = _device(case, role)
        if device is None or device.tag != _DEAD_VLAN or _ends_before(case, segment, role):
            continue
        port = case.plan.endpoint(role).port
        if not port.admin_state_up:
            code, why = "port-disabled", "it is administratively down"
        elif port.vif_type in ("unbound", "binding_failed", ""):
            code, why = "port-unbound", f"Neutron could not bind it (vif_type {port.vif_type or 'empty'})"
        else:
            code, why = "port-not-wired", "Neutron's agent has not wired it"
        return case_.finding(
            case,
            code,
            case_.hop(role, "br-int"),
            segment.direction,
            case.certainty(segment.role),
            f"Port {port.name or port.id} of {_who(case, segment)} is on the dead VLAN {_DEAD_VLAN}: {why}.",
            (_counts(case, segment), f"{device.name}: tag {device.tag}", *reading.quote(_trace(case, segment))),
        )
    return None


def vlan_tag(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """A port's VLAN tag is another than the one that the flows give its network's packets on this host."""
    trace = _trace(case, segment)
    if trace is None or trace.local_vlan is None or trace.outcome not in ("dropped", "misdirected"):
        return None
    for role in _ends(segment):
        device = _device(case, role)
        if device is None or device.tag in (None, trace.local_vlan) or _ends_before(case, segment, role):
            continue
        return case_.finding(
            case,
            "vlan-tag-wrong",
            case_.hop(segment.role, reading.place(reading.end(trace).bridge)),
            segment.direction,
            case.certainty(segment.role),
            f"{device.name} on {_who(case, segment)} has the VLAN tag {device.tag}, and the flows put its network's "
            f"packets into VLAN {trace.local_vlan}.",
            (_counts(case, segment), *reading.quote(trace)),
        )
    return None


def tunnel_missing(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The host has no tunnel port towards the other one."""
    evidence = case.evidence(segment.role)
    if evidence is None or case.plan.same_host or (evidence.tunnel is not None and not evidence.tunnel_error):
        return None
    trace = _trace(case, segment)
    if trace is not None and trace.steps and trace.outcome == "dropped" and reading.end(trace).bridge == "br-int":
        return None  # the packet does not even get to where the tunnel is missed
    far = case.plan.endpoint("destination" if segment.role == "source" else "source")
    kind = case.plan.network.type
    remote = far.tunnel_address or "of unknown address"
    if evidence.tunnel_error:
        code = "tunnel-missing"
        text = (
            f"{_who(case, segment)}'s switch does not take its {kind} port {evidence.tunnel}: {evidence.tunnel_error}."
        )
    elif evidence.tunnel_remote and evidence.tunnel_remote != far.tunnel_address:
        code = "tunnel-mismatch"
        text = f"The {kind} port of {_who(case, segment)} that is named for {remote} leads to {evidence.tunnel_remote}."
    else:
        code = "tunnel-missing"
        text = f"{_who(case, segment)} has no {kind} port towards {far.principal or far.port.host} ({remote})."
    return case_.finding(
        case,
        code,
        case_.hop(segment.role, "br-tun"),
        segment.direction,
        case.certainty(segment.role),
        text,
        (_counts(case, segment), *reading.quote(trace)),
    )


def rules_drop(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The flows themselves drop the packet: a rule or an object is missing, or a foreign flow decides."""
    trace = _trace(case, segment)
    if trace is None or trace.outcome != "dropped" or not trace.steps:
        return None
    step = reading.end(trace)
    code, place, why = reading.cause(case, segment, trace, step)
    named = tables.name(step.bridge, step.table)
    where = f"table {step.table}{f' ({named})' if named else ''} of {step.bridge}"
    found = case_.finding(
        case,
        code,
        case_.hop(reading.side(segment, step), place),
        segment.direction,
        case.certainty(segment.role),
        f"On {_who(case, segment)} the packets end in {where}: {why}.",
        (_counts(case, segment), *reading.quote(trace)),
    )
    if not code.endswith("-rule-missing"):
        return found
    return found.model_copy(update={"next": reading.remedy(case, segment, step) or found.next})


def misdirected(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The flows send the packet somewhere else than to where the plan's other end is."""
    trace = _trace(case, segment)
    if trace is None or trace.outcome != "misdirected":
        return None
    in_tunnel = reading.end(trace).bridge != "br-int"
    code = "forwarding-entry-wrong" if in_tunnel else "vlan-tag-wrong"
    return case_.finding(
        case,
        code,
        case_.hop(segment.role, "br-tun" if in_tunnel else "br-int"),
        segment.direction,
        case.certainty(segment.role),
        f"On {_who(case, segment)} the flows send the packets to {', '.join(trace.outputs) or 'nowhere'}, "
        f"not to {trace.expected}.",
        (_counts(case, segment), *reading.quote(trace)),
    )


def known_bug(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """What was found out is what a known bug does, in a version that has it."""
    evidence = case.evidence(segment.role)
    if evidence is None:
        return None
    for bug, recognise in bugs.KNOWN:
        struck = recognise(case, segment, evidence) if bug.affects(evidence.ovs_version) else None
        if struck is None:
            continue
        logged = tuple(line for line in evidence.log if bug.logged in line)
        certain = segment.loss.total and (struck.certain or bool(logged))
        return case_.finding(
            case,
            "switch-known-bug",
            case_.hop(segment.role, struck.place),
            segment.direction,
            case.certainty(segment.role) if certain else "likely",
            f"Open vSwitch {evidence.ovs_version} on {_who(case, segment)} shows a known bug: {bug.title}. {bug.fix}",
            (_counts(case, segment), *struck.proof, *logged[:3], *bug.sources),
            () if certain else (f"ovs-vswitchd has not logged {bug.logged!r} since the probe began.",),
        )
    return None


def translation_failed(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The switch gives the translation of the packet up, as when flows resubmit to themselves."""
    evidence, plain = case.evidence(segment.role), _trace(case, segment)
    tracked = evidence.tracked(segment.direction) if evidence is not None and segment.sender is not None else ()
    trace = next((one for one in (plain, *tracked) if one is not None and one.outcome == "failed"), None)
    if trace is None:
        return None
    place = reading.place(reading.end(trace).bridge) if trace.steps else "br-int"
    when = "" if trace is plain else f", if the host's own conntrack calls them {trace.state},"
    logged = tuple(line for line in evidence.log if _GIVES_UP.search(line))[:2] if evidence else ()
    return case_.finding(
        case,
        "switch-disobeys",
        case_.hop(segment.role, place),
        segment.direction,
        "likely",
        f"The switch of {_who(case, segment)} gives up translating the packets{when} ({trace.reason}) and drops them.",
        (_counts(case, segment), *reading.quote(trace), *logged),
    )


def patch_broken(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The bridges are not joined, and the packet ends where it should pass from one to the other."""
    evidence, trace = case.evidence(segment.role), _trace(case, segment)
    if evidence is None or not evidence.patches or trace is None or trace.outcome != "dropped":
        return None
    place = reading.place(reading.end(trace).bridge) if trace.steps else "br-int"
    return case_.finding(
        case,
        "patch-broken",
        case_.hop(segment.role, place),
        segment.direction,
        case.certainty(segment.role),
        f"On {_who(case, segment)} br-int and br-tun are not joined: {evidence.patches[0]}.",
        (_counts(case, segment), *evidence.patches, *reading.quote(trace)),
    )


def device_down(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The switch hands packets to a guest's device that is down."""
    role = segment.receiver
    device = _device(case, role) if role else None
    if device is None or (device.up and device.carrier):
        return None
    return case_.finding(
        case,
        "guest-port-down",
        "guest" if role == "destination" else "source-port",
        segment.direction,
        case.certainty(segment.role),
        f"{device.name} on {_who(case, segment)} {'has no carrier' if device.up else 'is down'}: "
        "the device behind it is switched off.",
        (_counts(case, segment), *reading.quote(_trace(case, segment))),
    )


def conntrack_invalid(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The datapath drops packets that conntrack calls invalid, which no trace from outside can know."""
    invalid = [one for one in case_.dropping(case, segment.role, segment.direction) if one.ct_invalid]
    if not invalid:
        return None
    full = _full_conntrack(case, segment)
    what = "answers" if segment.direction == "reply" else "packets"
    return case_.finding(
        case,
        "conntrack-full" if full else "conntrack-invalid",
        case_.hop(segment.role, "br-int"),
        segment.direction,
        case.certainty(segment.role) if full else "likely",
        f"Conntrack on {_who(case, segment)} "
        + ("is full and has no room for the connection" if full else "does not know the connection")
        + f", so that the switch drops its {what} as invalid.",
        (
            _counts(case, segment),
            *full,
            *(f"datapath flow of the probe: {one.raw}" for one in invalid),
        ),
    )


def _full_conntrack(case: case_.Case, segment: case_.Segment) -> tuple[str, ...]:
    """Return what says that the tables which the packets use are full; another network's zone is not theirs."""
    evidence, trace = case.evidence(segment.role), _trace(case, segment)
    zone = f"conntrack zone {trace.local_vlan if trace else None} "
    tables = evidence.conntrack_full if evidence else ()
    theirs = [one for one in tables if one.startswith(zone) or not one.startswith("conntrack zone ")]
    counters = evidence.drops.items() if evidence else ()
    return (*theirs, *(f"{name} rose by {rise}" for name, rise in counters if name.startswith("conntrack")))


def passed_on(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """Every flow of the way counted the packets: they left the switch, and were lost or overlooked right behind it."""
    trace = _trace(case, segment)
    if (
        trace is None
        or trace.outcome not in ("forwarded", "flooded")
        or case_.dropping(case, segment.role, segment.direction)
    ):
        return None
    counted = [step.moved for step in trace.steps if step.moved is not None]
    if case.account.carrier != "probe" or not counted or min(counted) < segment.loss.lost:
        return None
    is_leaving = segment.receiver is None
    device = _device(case, segment.receiver) if segment.receiver else None
    where = trace.expected if is_leaving or device is None else device.name
    return case_.finding(
        case,
        "lost-behind-switch",
        case_.hop(segment.receiver or segment.role, "underlay" if is_leaving else "port"),
        segment.direction,
        "likely",
        f"The switch of {_who(case, segment)} handed the packets over to {where} by its own counters, and no capture "
        "saw them behind it.",
        (_counts(case, segment), *reading.quote(trace)),
        (
            "Either they are lost between the switch and the device (a firewall of the host, iptables_hybrid, QoS), "
            "or they leave through another device than the one that was watched.",
        ),
    )


def never_entered(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """Packets of a tunnel arrived at the host, and not even the first flow counted them."""
    trace = _trace(case, segment)
    if trace is None or segment.sender is not None or not trace.steps or case.account.carrier != "probe":
        return None
    first = trace.steps[0]
    if trace.outcome not in ("forwarded", "flooded") or first.moved is None or first.moved >= segment.loss.lost:
        return None
    return case_.finding(
        case,
        "underlay-loss",
        case_.hop(segment.role, "underlay"),
        segment.direction,
        "likely",
        f"Tunnel packets arrive at the device of {_who(case, segment)} and do not come into its switch.",
        (_counts(case, segment), f"{first}{reading.moved(first)}"),
        ("A firewall of the host, or a tunnel port that does not take them (key, address), looks like this.",),
    )


def disobeys(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """Theory forwards and practice drops: the switch does not do what its flows say."""
    trace = _trace(case, segment)
    if trace is None or trace.outcome not in ("forwarded", "flooded"):
        return None
    dropping = case_.dropping(case, segment.role, segment.direction)
    stuck = case_.stuck_step(trace, segment.loss.lost) if case.account.carrier == "probe" else None
    place = reading.place(stuck.bridge) if stuck and stuck.bridge in ("br-int", "br-tun") else "br-int"
    evidence = [_counts(case, segment), *reading.quote(trace, stuck)]
    if stuck is not None:
        evidence[-1] += ": the first on the traced path that did not count them"
    evidence += [f"datapath flow of the probe, actions:drop: {one.raw}" for one in dropping]
    proven = segment.loss.total and (bool(dropping) or stuck is not None)
    found = case_.finding(
        case,
        "switch-disobeys",
        case_.hop(segment.role, place),
        segment.direction,
        case.certainty(segment.role) if proven else "likely",
        f"The flows of {_who(case, segment)} forward the packets to {trace.expected}, and its switch drops them: "
        f"theory and practice part in {place}.",
        tuple(evidence),
        () if proven else ("Neither a datapath flow that drops nor a counter that stands still was found.",),
    )
    # Restarting a switch stops all traffic of its host: not on a suspicion.
    return found if found.certainty == "proven" else found.model_copy(update={"next": found.next[:1]})


def _unexplained(case: case_.Case, segment: case_.Segment) -> verdict.Finding:
    trace = _trace(case, segment)
    return case_.finding(
        case,
        "cannot-tell",
        case_.hop(segment.role, "br-int"),
        segment.direction,
        "likely",
        f"The packets are lost in the switch of {_who(case, segment)}, and no trace says why.",
        (_counts(case, segment), *reading.quote(trace)),
        (trace.reason if trace else "There is no trace of this direction from that host.",),
    )


_Rule = Callable[[case_.Case, case_.Segment], verdict.Finding | None]

_STANDING: tuple[_Rule, ...] = (
    not_plugged,
    sender_mac,
    dead_vlan,
    vlan_tag,
    known_bug,
    tunnel_missing,
    patch_broken,
    rules_drop,
    misdirected,
    translation_failed,
    device_down,
)
"""What is wrong whether or not packets were watched, the most specific first."""
_RULES: tuple[_Rule, ...] = (*_STANDING, conntrack_invalid, passed_on, never_entered, disobeys)
