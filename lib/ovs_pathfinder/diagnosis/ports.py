"""Rules for the ports at a path's ends: plugged, wired, on their VLAN, sending as Neutron knows them."""

from .. import path
from . import case as case_
from . import reading, stretch, verdict

_DEAD_VLAN = 4095


def trunk(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The bridge of a trunk does not join a port to its guest's device as Neutron's trunk says."""
    for role in stretch.ends(segment):
        device = stretch.device(case, role)
        wrong = device.trunk if device is not None else None
        if device is None or wrong is None or not wrong.fault or _ends_before(case, segment, role):
            continue
        return case_.finding(
            case,
            wrong.fault,
            case_.hop(role, "port" if wrong.fault == "port-not-plugged" else "br-int"),
            segment.direction,
            case.certainty(segment.role),
            f"On {stretch.who(case, segment)} {wrong.problem}.",
            (stretch.counts(case, segment), *reading.quote(case, stretch.trace(case, segment))),
        )
    return None


def not_plugged(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The device of a port is not on the host, or not on its switch."""
    for role in stretch.ends(segment):
        device = stretch.device(case, role)
        if device is None or device.out_of_sight or (device.present and device.on_switch and (device.ofport or 0) > 0):
            continue
        where = "on the host" if not device.present else "on the switch"
        return case_.finding(
            case,
            "port-not-plugged",
            case_.hop(role, "port"),
            segment.direction,
            case.certainty(segment.role),
            f"The port's device {device.name} is not {where} of {stretch.who(case, segment)}.",
            (stretch.counts(case, segment), device.error),
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
        f"{stretch.who(case, segment)} sends from MAC address {seen}, and Neutron's port {port.name or port.id} has "
        f"{port.mac}: anti-spoofing drops its packets.",
        (stretch.counts(case, segment), *reading.quote(case, trace)),
        () if drops else ("The trace of the packet as it was seen does not end in a drop.",),
    )


def _ends_before(case: case_.Case, segment: case_.Segment, role: path.Role) -> bool:
    """Whether the flows drop the packets before they come to the receiving port, whose VLAN then says nothing."""
    trace = stretch.trace(case, segment)
    if role != segment.receiver or trace is None or trace.outcome != "dropped" or not trace.steps:
        return False
    step = reading.end(case, trace)
    return step.bridge != "br-int" or step.table in (81, 82)


def dead_vlan(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """A port is on the VLAN in which everything is dropped, as Neutron disabled or could not bind it."""
    for role in stretch.ends(segment):
        device = stretch.device(case, role)
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
            f"Port {port.name or port.id} of {stretch.who(case, segment)} is on the dead VLAN {_DEAD_VLAN}: {why}.",
            (
                stretch.counts(case, segment),
                f"{device.name}: tag {device.tag}",
                *reading.quote(case, stretch.trace(case, segment)),
            ),
        )
    return None


def vlan_tag(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """A port's VLAN tag is another than the one that the flows give its network's packets on this host."""
    trace = stretch.trace(case, segment)
    if trace is None or trace.local_vlan is None or not trace.stops or trace.outcome == "failed":
        return None
    for role in stretch.ends(segment):
        device = stretch.device(case, role)
        if device is None or device.tag in (None, trace.local_vlan) or _ends_before(case, segment, role):
            continue
        return case_.finding(
            case,
            "vlan-tag-wrong",
            case_.hop(segment.role, case.place(reading.end(case, trace).bridge)),
            segment.direction,
            case.certainty(segment.role),
            f"{device.name} on {stretch.who(case, segment)} has the VLAN tag {device.tag}, and the flows put its "
            f"network's packets into VLAN {trace.local_vlan}.",
            (stretch.counts(case, segment), *reading.quote(case, trace)),
        )
    return None


def device_down(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The switch hands packets to a guest's device that is down."""
    role = segment.receiver
    device = stretch.device(case, role) if role else None
    if device is None or device.out_of_sight or (device.up and device.carrier):
        return None
    return case_.finding(
        case,
        "guest-port-down",
        "guest" if role == "destination" else "source-port",
        segment.direction,
        case.certainty(segment.role),
        f"{device.name} on {stretch.who(case, segment)} {'has no carrier' if device.up else 'is down'}: "
        "the device behind it is switched off.",
        (stretch.counts(case, segment), *reading.quote(case, stretch.trace(case, segment))),
    )
