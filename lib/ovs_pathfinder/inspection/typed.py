"""A packet that was typed → the traces to be made; what was left out is filled in from OpenStack and the switch."""

import datetime
import ipaddress
import secrets

from .. import cloud, errors, path
from ..evidence import host, synthetic, theory
from ..vswitch import database
from . import context as context_
from . import subjects

_TAP, _GUEST = "fe:16:3e:", "fa:16:3e:"
"""libvirt gives the host's end of a tap its guest's MAC address with a first byte of fe; Neutron's begin with fa."""


def of_port(wanted: subjects.Wanted, context: context_.Context) -> subjects.Subject:
    """Trace a packet from one of this host's ports to a destination.

    Raises:
        PathfinderError: The port is not here, or what is needed of the packet is not known.
    """
    here = subjects.Here.read()
    entry = here.entry(wanted.port)
    if "remote_ip" in entry.options:
        raise errors.PathfinderError(
            f"{entry.name} is a tunnel, and a typed packet comes from a port; give the port that it is sent from, or "
            "the run of a planned path to trace what comes out of the tunnel"
        )
    plan, trouble = planned(entry, wanted.destination, context, wanted.protocol, wanted.destination_port)
    if plan is None:
        return _alone(wanted, here, entry, trouble)
    plan = _with_sources(plan, wanted)
    both: tuple[path.Role, ...] = ("source", "destination")
    roles: list[path.Role] = [role for role in both if here.switch.port_of(plan.endpoint(role).port.id)]
    places = theory.places(plan, roles, here.switch, here.ports)
    forward = synthetic.headers(plan, "forward").model_copy(update=_given(wanted))
    asked, notes = list[subjects.Asked](), list[str]()
    for direction in subjects.directions_of(wanted):
        packet = forward if direction == "forward" else _answer(plan, forward)
        if direction in places:
            asked += subjects.tracings(wanted, direction, places[direction], packet)
        elif direction == "forward":
            place = here.place(entry, packet.destination_mac)
            asked += subjects.tracings(wanted, direction, place, packet, is_checked=False)
            notes.append(
                f"Where the packet should leave is not known, as the tunnel end of {wanted.destination} is not."
            )
        else:
            notes.append("The reply packet cannot be traced: this host has no tunnel for it.")
    warnings = mac_warnings(wanted, plan.source.port.mac, plan.destination.port.mac)
    return here.subject(f"{forward}, from {entry.name}", asked, warnings, notes)


def planned(
    entry: database.Interface,
    destination: str,
    context: context_.Context,
    protocol: path.Protocol = "icmp",
    port: int | None = None,
) -> tuple[path.Plan | None, str]:
    """Ask OpenStack for the path from a local port to a destination; return it, or why there is none."""
    identifier = entry.external_ids.get("iface-id")
    if not identifier:
        return None, f"{entry.name} is not a port of Neutron's"
    now = datetime.datetime.now(datetime.timezone.utc)
    try:
        with context.connect() as openstack:
            plan = cloud.make_plan(
                openstack,
                source=identifier,
                destination=destination,
                protocol=protocol,
                port=port,
                units=context.units(),
                run=path.new_run(now, secrets.token_bytes(8)),
                created=now.isoformat(timespec="seconds"),
            )
    except errors.PathfinderError as error:
        return None, str(error).rstrip(".")
    return plan, ""


def _with_sources(plan: path.Plan, wanted: subjects.Wanted) -> path.Plan:
    """Return a plan with the address that was typed for its source; it is of the destination's family."""
    if not wanted.source:
        return plan
    if (":" in wanted.source) != (plan.ip_version == 6):
        raise errors.PathfinderError(
            f"the source {wanted.source} and the destination {plan.destination.address} are of two IP versions; give "
            "two of one"
        )
    return plan.model_copy(update={"source": plan.source.model_copy(update={"address": wanted.source})})


def _given(wanted: subjects.Wanted) -> dict[str, str | int]:
    """Return what was typed of the forward packet's headers."""
    found = {
        "source_mac": wanted.source_mac,
        "destination_mac": wanted.destination_mac,
        "source_port": wanted.source_port,
    }
    return {name: value for name, value in found.items() if value}


def _answer(plan: path.Plan, forward: synthetic.Headers) -> synthetic.Headers:
    """Return the answer to a packet; its MAC addresses are Neutron's, whatever was typed for the packet."""
    return synthetic.headers(plan, "reply").model_copy(update={"destination_port": forward.source_port})


def _alone(wanted: subjects.Wanted, here: subjects.Here, entry: database.Interface, trouble: str) -> subjects.Subject:
    """Trace a packet with what was typed and what the switch knows."""
    try:
        destination = str(ipaddress.ip_address(wanted.destination))
    except ValueError:
        raise errors.PathfinderError(
            f"where {wanted.destination!r} is cannot be told, as {_lower(trouble)}; give an address and destination-mac"
        ) from None
    if not wanted.destination_mac:
        raise errors.PathfinderError(
            f"the MAC address of {destination} is not known, as {_lower(trouble)}; give it as destination-mac"
        )
    packet = synthetic.Headers(
        source_mac=wanted.source_mac or _own_mac(entry),
        destination_mac=wanted.destination_mac,
        source=wanted.source or _own_address(entry, destination),
        destination=destination,
        protocol=wanted.protocol,
        source_port=None if wanted.protocol == "icmp" else wanted.source_port or path.EPHEMERAL_PORT,
        destination_port=wanted.destination_port,
    )
    if (":" in packet.source) != (":" in destination):
        raise errors.PathfinderError(
            f"the source {packet.source} and the destination {destination} are of two IP versions; give two of one"
        )
    place = here.place(entry, packet.destination_mac)
    asked = subjects.tracings(wanted, "forward", place, packet, is_checked=bool(place.expected_port))
    notes = [f"OpenStack did not tell the path, so only this switch was asked: {trouble}."]
    if not place.expected_port:
        notes.append("Where the packet should leave is not known, so where it does leave could not be checked.")
    if wanted.direction != "forward":
        notes.append("The reply was not traced: where it would come in is not known.")
    warnings = mac_warnings(wanted, entry.external_ids.get("attached-mac", ""), "")
    return here.subject(f"{packet}, from {entry.name}", asked, warnings, notes)


def _lower(sentence: str) -> str:
    """Return a sentence for the midst of another one; names such as OpenStack keep their first letter."""
    first = sentence.split(" ", 1)[0]
    return sentence[:1].lower() + sentence[1:] if first in ("The", "Neither", "There") else sentence


def _own_mac(entry: database.Interface) -> str:
    link = host.link(entry.name) if entry.type == "internal" else None
    found = entry.external_ids.get("attached-mac") or (link.mac if link else "")
    if not found:
        raise errors.PathfinderError(f"the MAC address behind {entry.name} is not known; give source-mac")
    return found


def _own_address(entry: database.Interface, destination: str) -> str:
    """Return the address that the host has on a port, of the destination's family."""
    link = host.link(entry.name) if entry.type == "internal" else None
    usable = [one for one in (link.addresses if link else ()) if (":" in one) == (":" in destination)]
    global_ = [one for one in usable if not ipaddress.ip_address(one).is_link_local]
    if not (global_ or usable):
        raise errors.PathfinderError(f"the address behind {entry.name} is not known; give source")
    return (global_ or usable)[0]


def mac_warnings(wanted: subjects.Wanted, source: str, destination: str) -> list[str]:
    """Warn of typed MAC addresses that are not the ports' own; nothing is corrected.

    Args:
        wanted: What was typed.
        source: The source's MAC address as Neutron or the switch knows it; empty where they do not.
        destination: The destination's.
    """
    return [
        warning
        for name, given, own in (
            ("source", wanted.source_mac, source),
            ("destination", wanted.destination_mac, destination),
        )
        if given and (warning := _mac_warning(name, given, own))
    ]


def _mac_warning(name: str, given: str, own: str) -> str:
    if given == own:
        return ""
    is_known = f"that of the {name}'s port is {own}" if own else ""
    effect = "it is traced as given, and a switch floods to a MAC address that it does not know"
    if name == "source":
        effect = "it is traced as given, and port security drops what comes from a MAC address that is not the port's"
    if given.startswith(_TAP):
        guess = is_known or f"the guest's own would be {_GUEST}{given[len(_TAP) :]}"
        return f"The {name} MAC {given} is one that libvirt gives to the host's end of a tap; {guess}: {effect}."
    return f"The {name} MAC {given} is not the port's own; {is_known}: {effect}." if own else ""
