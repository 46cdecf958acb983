"""Rules for packets as large as the network allows: where they are lost, and devices that do not take them."""

from collections.abc import Iterator

from .. import path
from ..evidence import record
from . import account, verdict
from . import case as case_

_TOO_LONG = "essage too long"
"""What ping, connect(2) and ovs-vswitchd say of a packet over a device's MTU (EMSGSIZE)."""


def impaired(case: case_.Case) -> Iterator[verdict.Finding]:
    """Tell what does not take large packets on a path that lets the probe's packets pass."""
    losses = account.large(case.plan, case.source, case.destination, case.account.together)
    loss = next((one for one in losses if one.total), None)
    roles: tuple[path.Role, ...] = ("source", "destination")
    is_explained = False
    for role in roles:
        if (wrong := _device(case, role, loss)) is not None:
            is_explained |= loss is not None and _is_lost_at(loss, role)
            yield wrong
    if loss is not None and not is_explained and (found := _large(case, loss)) is not None:
        yield found


def blame(case: case_.Case, loss: account.Loss) -> verdict.Finding | None:
    """Return what some of the small packets are lost by, where a device does not take the large ones beside them.

    A switch in userspace hands packets over in batches, and gives up the rest of a batch with one that is too large.
    """
    role: path.Role = "source" if loss.direction == "reply" else "destination"
    if loss.total or not _is_lost_at(loss, role):
        return None
    lost = account.large(case.plan, case.source, case.destination, case.account.together)
    found = _device(case, role, next((one for one in lost if one.total), None))
    return found if found is not None and found.certainty == "proven" else None


def untested(case: case_.Case) -> tuple[str, ...]:
    """Say what of large packets was not tested, as whole sentences."""
    plan, large, echoes = case.plan, case.source.large, case.source.large_echoes
    if large is None or not large.transmitted:
        said = next(iter(large.output.splitlines()), "") if large else ""
        why = "the MTU of the network is not known" if not plan.network.mtu else said or "none was sent"
        return (f"Large packets were not tested: {why}.",)
    if plan.protocol == "icmp" or (echoes is not None and echoes.answered):
        return ()
    return (
        f"Large packets were tested on the way to the destination alone: answers of {plan.protocol} may be small, and "
        "no large echo request was answered.",
    )


def _is_lost_at(loss: account.Loss, role: path.Role) -> bool:
    """Whether packets that go into a port's device, or come out of it, are lost right there."""
    point: path.Point = "source-port" if role == "source" else "destination-port"
    return loss.after == point and loss.direction == ("reply" if role == "source" else "forward")


def _device(case: case_.Case, role: path.Role, loss: account.Loss | None) -> verdict.Finding | None:
    """The device of a port takes smaller packets than its network carries."""
    evidence, network = case.evidence(role), case.plan.network
    device = evidence.devices.get(role) if evidence else None
    if evidence is None or device is None or not 0 < device.mtu < network.mtu:
        return None
    proof = _refusals(evidence, device, role)
    if loss is not None and _is_lost_at(loss, role):
        proof += (f"{loss.of} packets of {network.mtu} bytes were seen at {loss.before}, none of them at {loss.after}",)
    way = (
        "what its host sends is smaller, and larger packets to it are lost"
        if role == "source"
        else "larger ones are lost"
    )
    return case_.finding(
        case,
        "device-mtu-wrong",
        case_.hop(role, "port"),
        None,
        "proven" if proof else "likely",
        f"{device.name} has an MTU of {device.mtu} bytes, and the network {network.name or network.id} one of "
        f"{network.mtu}: {way}.",
        (f"ip link show {device.name}: mtu {device.mtu}; Neutron's network: mtu {network.mtu}", *proof),
        () if proof else ("No large packet was seen to be lost at that device.",),
    )


def _refusals(evidence: record.Evidence, device: record.Device, role: path.Role) -> tuple[str, ...]:
    """Quote who says that the device did not take a packet: the sender, the switch, or the kernel's counter."""
    said = [line for line in evidence.log if _TOO_LONG in line and f" {device.name}:" in line][:1]
    sent = [one for one in (evidence.large, evidence.large_echoes) if one is not None and role == "source"]
    said += [line.strip() for one in sent for line in one.output.splitlines() if _TOO_LONG in line][:1]
    if device.unsent and evidence.datapath_type == "system":
        said.append(f"the kernel's tx_errors of {device.name} rose by {device.unsent} during the probe")
    return tuple(said)


def _large(case: case_.Case, loss: account.Loss) -> verdict.Finding | None:
    """Packets of the network's MTU stop where small ones pass."""
    plan, probe = case.plan, case.source.large
    is_answer = plan.protocol != "icmp" and loss.direction == "reply"
    probe = case.source.large_echoes if is_answer else probe
    if probe is None or (loss.after == "source-port" and loss.direction == "forward"):
        return None  # the source's own device does not take them: it sends smaller ones
    segment = case_.segment(case, loss)
    hops: dict[str, path.Hop] = {
        "underlay": "underlay",
        "guest": "guest",
        "switch": case_.hop(segment.role, "br-int" if plan.same_host else case.between),
        "receiver": "source-port",
    }
    hop = hops.get(segment.kind)
    if hop is None:
        return None
    against = _against(case, segment, is_answer=is_answer)
    return case_.finding(
        case,
        "mtu-too-small",
        hop,
        segment.direction,
        "likely" if against else case.certainty(segment.role),
        f"Packets of {plan.network.mtu} bytes, the MTU of {plan.network.name or plan.network.id}, are lost, and small "
        "ones pass.",
        (
            f"{loss.of} {'answers to echo requests' if is_answer else 'packets'} of {plan.network.mtu} bytes were seen "
            f"at {loss.before or 'the sender'}, {loss.of - loss.lost} of them at {loss.after or 'the sender again'}; "
            f"the {case.account.sent} small ones were all answered",
            probe.command,
        ),
        against,
    )


def _against(case: case_.Case, segment: case_.Segment, *, is_answer: bool) -> tuple[str, ...]:
    """Say what else may lose just these packets."""
    if segment.kind not in ("underlay", "switch"):
        return ("What happens inside the guest cannot be seen from its host.",)
    if is_answer:
        return ("Whether small answers to echo requests pass was not tested: something may drop ICMP of any size.",)
    if case.plan.protocol == "tcp" and not case.plan.network.is_tunnelled:
        return ("A firewall in the physical network may drop a SYN with data, whatever its size.",)
    return ()
