"""Rules for losses outside the two switches: the sender, the underlay, the guest, the program that waits."""

from .. import path
from ..evidence import record
from . import account, verdict
from . import case as case_

_REJECTED = ("EACCES", "EHOSTUNREACH")
"""What connect(2) says where an ICMP error came back that a firewall sends."""


def sender(case: case_.Case, segment: case_.Segment) -> verdict.Finding:
    """Nothing, or not everything, came out of the source's device."""
    device = case.source.devices.get("source")
    probe = case.source.probe
    said = probe.output.strip().splitlines()[-6:] if probe else []
    plan = case.plan
    name = device.name if device else plan.source.port.tap
    if plan.source.port.is_guests and plan.source.address not in (device.addresses if device else ()):
        return case_.finding(
            case,
            "cannot-tell",
            None,
            None,
            "likely",
            f"{name} is a guest's port, and nothing can be sent from inside a guest: plan the path the other way "
            "round, or from a port of a host's own.",
        )
    if device is not None and device.present and plan.source.address not in device.addresses:
        has = ", ".join(device.addresses) or "no address"
        return case_.finding(
            case,
            "source-address-wrong",
            "source-port",
            "forward",
            "proven",
            f"{name} does not have the address {plan.source.address} that Neutron gave to its port; it has {has}.",
            tuple(said),
        )
    if device is not None and device.out_of_sight:
        return case_.finding(
            case,
            "cannot-tell",
            None,
            None,
            "likely",
            f"Nothing could be sent from the source's port: {device.out_of_sight}. Plan the path the other way round, "
            "or from a port of a host's own.",
            tuple(said),
        )
    if device is None or not device.present:
        return case_.finding(
            case,
            "port-not-plugged",
            "source-port",
            "forward",
            "proven",
            f"The source's device {name} does not exist on {plan.source.principal or plan.source.port.host}.",
            tuple(said),
        )
    state = f"neighbour entry of {plan.destination.address}: {case.source.neighbour_state or 'none'}"
    return case_.finding(
        case,
        "source-silent",
        "source-port",
        "forward",
        "proven" if segment.loss.total else "likely",
        f"{segment.loss.lost} of {segment.loss.of} packets never came out of {name}.",
        (*said, state),
    )


_OF_UNBOUND = ("cannot-tell", "tunnel-missing", "forwarding-entry-wrong", "underlay-loss", "underlay-unroutable")
"""What packets to a port that is bound to no real host may meet before."""


def unbound(case: case_.Case, first: verdict.Finding) -> verdict.Finding | None:
    """Nobody could look at the destination's host, and Neutron says itself that it could not bind the port there."""
    far = case.plan.destination
    if case.destination is not None or case.plan.same_host or far.port.vif_type not in ("unbound", "binding_failed"):
        return None
    if first.code not in _OF_UNBOUND or first.direction == "reply" or not case.account.losses[0].total:
        return None
    return case_.finding(
        case,
        "port-unbound",
        "destination-br-int",
        "forward",
        "likely",
        f"Neutron could not bind port {far.port.name or far.port.id} to {far.port.host} (vif_type "
        f"{far.port.vif_type}), and no packet to it is answered.",
        (f"Neutron's port: binding:host_id {far.port.host}, binding:vif_type {far.port.vif_type}", *first.evidence[:1]),
        (f"Nobody has looked at {far.port.host}: that its switch does not take the packets is what follows.",),
    )


def underlay(case: case_.Case, segment: case_.Segment) -> verdict.Finding:
    """Packets left one host's tunnel and did not arrive at the other's."""
    loss = segment.loss
    plan = case.plan
    ends = (plan.source, plan.destination) if loss.direction == "forward" else (plan.destination, plan.source)
    near, far = ends
    sides = (case.source, case.destination) if loss.direction == "forward" else (case.destination, case.source)
    evidence = sides[0]
    wire = sides[1].rendezvous if sides[1] else None
    if not plan.network.is_tunnelled:
        return _physical(case, segment, near, far)
    if not far.tunnel_address:
        return case_.finding(
            case,
            "cannot-tell",
            None,
            loss.direction,
            "likely",
            f"Nobody knows the tunnel end of {far.port.host}, so that nothing could be watched between the hosts.",
        )
    if evidence is not None and not evidence.underlay_route:
        return case_.finding(
            case,
            "underlay-unroutable",
            case_.hop(segment.role, "underlay"),
            loss.direction,
            "proven",
            f"{near.principal or near.port.host} has no route to the tunnel end {far.tunnel_address}.",
        )
    heard = wire is not None and near.tunnel_address in wire.by
    against = (
        f"Pings between the tunnel ends arrived, so the network carries other packets than {plan.network.type} ones."
        if heard
        else ""
    )
    watched = "underlay" in (loss.before or "") and "underlay" in (loss.after or "")
    unseen = (
        ""
        if watched
        else "Nobody watched both ends of the underlay: that the switches pass them is what the rules say."
    )
    return case_.finding(
        case,
        "underlay-loss",
        "underlay",
        loss.direction,
        case.certainty() if watched else "likely",
        f"{loss.lost} of {loss.of} {plan.network.type} packets "
        + (f"left {near.tunnel_address}" if watched else f"should have left {near.tunnel_address}")
        + f" and did not arrive at {far.tunnel_address}.",
        (f"seen at {loss.before}: {loss.of}; seen at {loss.after}: {loss.of - loss.lost}",),
        (unseen, against, *_apart(case)),
    )


def _physical(case: case_.Case, segment: case_.Segment, near: path.Endpoint, far: path.Endpoint) -> verdict.Finding:
    """Packets left one host for a physical network and did not arrive at the other."""
    loss, network = segment.loss, case.plan.network
    role: path.Role = "source" if near is case.plan.source else "destination"
    if not near.physical_bridge:
        return case_.finding(
            case,
            "segment-missing",
            case_.hop(role, "br-phys"),
            loss.direction,
            "likely",
            f"Neutron's agent on {near.principal or near.port.host} has no bridge for the physical network "
            f"{network.physical_network}.",
        )
    watched = "underlay" in (loss.before or "") and "underlay" in (loss.after or "")
    return case_.finding(
        case,
        "underlay-loss",
        "underlay",
        loss.direction,
        case.certainty() if watched else "likely",
        f"{loss.lost} of {loss.of} packets of {network} "
        + ("left" if watched else "should have left")
        + f" {near.principal or near.port.host} and did not arrive at {far.principal or far.port.host}: look whether "
        "the switches between them carry that VLAN on both ports.",
        (f"seen at {loss.before}: {loss.of}; seen at {loss.after}: {loss.of - loss.lost}",),
        (
            ""
            if watched
            else "Nobody watched both ends of the underlay: that the switches pass them is what the rules say.",
            *_apart(case),
        ),
    )


def guest(case: case_.Case, segment: case_.Segment) -> verdict.Finding:
    """Packets reached the guest's device, and it did not answer."""
    plan, loss = case.plan, segment.loss
    evidence = case.destination
    device = evidence.devices.get("destination") if evidence else None
    seen = _nearest(case)
    name = device.name if device else plan.destination.port.tap
    counts = f"{loss.of} packets were seen at {name}, and {loss.of - loss.lost} answers"
    if device is not None and not device.out_of_sight and not (device.up and device.carrier):
        code, text = "guest-port-down", f"{name} has no carrier: the guest's device behind it is down."
    elif _lives(case) and not (seen is not None and seen.neighbours.advertised):
        code = "guest-address-missing"
        text = (
            f"The guest behind {name} lives, as it answers for its link-local address, and does not answer for "
            f"{plan.destination.address}."
        )
    elif case.account.carrier == "neighbour":
        code = "guest-silent"
        text = f"The guest behind {name} does not answer the question for {plan.destination.address}."
    elif plan.protocol == "tcp":
        code, text = "service-silent", f"The guest behind {name} does not answer at port {plan.port}."
    elif seen is not None and seen.neighbours.advertised:
        code = "guest-filters-icmp"
        text = f"The guest behind {name} answers neighbour discovery and not ping."
    else:
        code, text = "guest-silent", f"The guest behind {name} gets the packets and answers none."
    if not loss.total:
        code, text = (
            "loss-intermittent",
            f"The guest behind {name} answered {loss.of - loss.lost} of {loss.of} packets.",
        )
    if code == "guest-address-missing":
        said = case.source.link_local
        counts += "; its link-local address " + ("answers ping" if said == "answered" else f"is {said} as a neighbour")
    certainty: verdict.Certainty = case.certainty("destination") if code == "guest-port-down" else "likely"
    return case_.finding(
        case,
        code,
        "guest",
        "forward",
        certainty,
        text,
        (counts,),
        () if code == "guest-port-down" else ("What happens inside the guest cannot be seen from its host.",),
    )


def _nearest(case: case_.Case) -> record.Observation | None:
    """Return what was seen at the point nearest to the guest that was watched."""
    for point in reversed(path.POINTS):
        evidence = case.evidence("source" if point.startswith("source") else "destination")
        if evidence is not None and (found := evidence.observation(point)) is not None:
            return found
    return None


def _lives(case: case_.Case) -> bool:
    """Whether the guest answers for its link-local address, and was asked for the plan's without an answer."""
    seen = _nearest(case)
    asked = seen is not None and bool(seen.neighbours.solicited)
    return asked and case.source.link_local in ("REACHABLE", "answered")


def misaddressed(case: case_.Case) -> verdict.Finding | None:
    """The source host sends to another MAC address than the destination's."""
    seen = case.source.observation("source-port")
    port = case.plan.destination.port
    wrong = seen.forward_destination_mac if seen else ""
    if not wrong or wrong == port.mac or any(pair.mac == wrong for pair in port.allowed_address_pairs):
        return None
    return case_.finding(
        case,
        "neighbour-entry-wrong",
        "source-port",
        "forward",
        "proven",
        f"The source host sends to MAC address {wrong}, and Neutron's port {port.name or port.id} has {port.mac}.",
        (f"neighbour entry of {case.plan.destination.address}: {case.source.neighbour_state or 'none'}",),
    )


def misanswered(case: case_.Case) -> verdict.Finding | None:
    """The guest sends its answers to another MAC address than the source's."""
    seen = case.destination.observation("destination-port") if case.destination else None
    port = case.plan.source.port
    wrong = seen.reply_destination_mac if seen else ""
    if not wrong or wrong == port.mac or any(pair.mac == wrong for pair in port.allowed_address_pairs):
        return None
    return case_.finding(
        case,
        "neighbour-entry-wrong",
        "guest",
        "reply",
        "proven",
        f"The guest answers to MAC address {wrong}, and Neutron's port {port.name or port.id} has {port.mac}: somebody "
        f"else has told it that {case.plan.source.address} is there.",
        (f"Ethernet destination of the answers at {seen.device if seen else 'the port'}: {wrong}",),
    )


def unresolved(case: case_.Case) -> verdict.Finding:
    """The destination's MAC address was asked for and answered, and the source host did not take the answer."""
    plan = case.plan
    return case_.finding(
        case,
        "neighbour-unresolved",
        "source-port",
        "reply",
        "likely",
        f"The answer to the question for {plan.destination.address} came back to the source's device, and the host "
        "did not take it.",
        (f"neighbour entry of {plan.destination.address}: {case.source.neighbour_state or 'none'}",),
    )


def receiver(case: case_.Case, segment: case_.Segment) -> verdict.Finding:
    """Answers came back to the source's device, and the program that sent did not get them."""
    loss = segment.loss
    probe = case.source.probe
    if probe is not None and any(word in probe.output for word in _REJECTED):
        return case_.finding(
            case,
            "service-refused",
            "guest",
            "forward",
            "likely",
            f"{case.plan.destination.label} is reached, and a firewall in the guest or before it rejects "
            f"{case.plan.protocol} port {case.plan.port}.",
            tuple(probe.output.strip().splitlines()[-4:]),
        )
    return case_.finding(
        case,
        "reply-lost",
        "source-port",
        "reply",
        "likely",
        f"{loss.of} answers came back to the source's device and {loss.of - loss.lost} were received by the sender.",
        tuple(probe.output.strip().splitlines()[-4:]) if probe else (),
    )


def refused(case: case_.Case) -> verdict.Finding | None:
    """The guest answered, with a refusal."""
    probe = case.source.probe
    if probe is None or not probe.refused or probe.refused < probe.answered:
        return None
    return case_.finding(
        case,
        "service-refused",
        "guest",
        "forward",
        "proven",
        f"{case.plan.destination.label} is reached and refuses {case.plan.protocol} port {case.plan.port}.",
        tuple(probe.output.strip().splitlines()[-4:]),
    )


def _apart(case: case_.Case) -> tuple[str, ...]:
    if case.account.together == "proven":
        return ()
    return ("That both hosts watched for the whole of the probe could not be told from what they heard of each other.",)


def held_back(case: case_.Case, found: verdict.Finding) -> verdict.Finding:
    """Add to a finding which packets are left out: each end keeps back what it cannot send without a MAC address."""
    ends = (
        (case.account.held, "packets", case.plan.source, case.plan.destination),
        (case.account.held_back, "answers", case.plan.destination, case.plan.source),
    )
    told = tuple(
        f"{count} more {what} are left out: {near.label} kept them back, as its question for the MAC address of "
        f"{far.address} was not answered"
        for count, what, near, far in ends
        if count
    )
    return found.model_copy(update={"evidence": (*found.evidence, *told)}) if told else found


def partial(case: case_.Case, segment: case_.Segment) -> verdict.Finding:
    """Some packets were lost within a switch, others passed."""
    loss: account.Loss = segment.loss
    end = case.plan.endpoint(segment.role)
    return case_.finding(
        case,
        "loss-intermittent",
        case_.hop(segment.role, "br-int"),
        segment.direction,
        case.certainty(segment.role),
        f"{loss.lost} of {loss.of} packets were lost in the switch of {end.principal or end.unit or end.port.host}.",
        (f"seen at {loss.before}: {loss.of}; seen at {loss.after}: {loss.of - loss.lost}",),
    )
