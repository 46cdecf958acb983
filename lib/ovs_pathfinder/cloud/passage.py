"""A packet's way past the security groups of two ports: out of the sender's, into the receiver's, and back."""

from collections.abc import Mapping, Sequence
from typing import Literal

from .. import errors, path
from . import connection, groups, rules, security

_ECHO = {4: 8, 6: 128}
_NOBODY = "00:00:00:00:00:00"
"""The MAC address of a sender that is no port: nothing looks at it."""


class End(path.Model):
    """One end of the packet's way."""

    address: path.Address
    port: path.Port | None = None
    """None where Neutron knows no port with that address."""

    @property
    def label(self) -> str:
        """Name it."""
        return self.address if self.port is None else f"port {self.port.name or self.port.id}"


class Wanted(path.Model):
    """What of a packet was named; what was not is filled in."""

    protocol: str
    destination_port: int | None = None
    source_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    source_mac: str = ""


class Case:
    """A packet, the ports at its ends, and what Neutron says of their groups."""

    def __init__(self, sender: End, receiver: End, packet: rules.Packet, known: Sequence[groups.Group]) -> None:
        self.packet = packet
        self._groups = known
        names = {one.id: one.name for one in known}
        self.sender, self.receiver = _named(sender, names), _named(receiver, names)
        self.answer = packet.answer(mac_of(self.receiver))
        self._remotes: dict[str, tuple[str, ...]] = {}

    def _of(self, port: path.Port) -> list[groups.Group]:
        """Return the groups of a port that are shown."""
        mine = {one.id for one in port.security_groups}
        return [one for one in self._groups if one.id in mine]

    def ask_remotes(self, openstack: connection.Cloud | None) -> list[str]:
        """Ask for the addresses of the remote groups that decide; return what is not known afterwards.

        Without a cloud only the two ends' own memberships are known: what else decides stays open.
        """
        is_stateless = any(not one.stateful for one in self._groups)
        packets = (self.packet, self.answer) if is_stateless else (self.packet,)
        notes: list[str] = []
        for packet in packets:
            first, second = self.sender, self.receiver
            if packet is self.answer:
                first, second = second, first
            notes += self._ask(openstack, first, second, packet, "egress")
            notes += self._ask(openstack, second, first, packet, "ingress")
        return notes

    def requests(self) -> list[tuple[path.Port, security.Verdict]]:
        """Say what becomes of the packet at each of its ends that is a port, the sender's first."""
        found: list[tuple[path.Port, security.Verdict]] = []
        for end, judge in ((self.sender, security.egress), (self.receiver, security.ingress)):
            if end.port is not None:
                found.append((end.port, judge(end.port, self.packet, self._of(end.port), self._remotes)))
        return found

    def reply(self, port: path.Port, request: security.Verdict) -> security.Verdict:
        """Say what becomes of the answer at a port that the packet has passed."""
        return security.reply(request, port, self.answer, self._of(port), self._remotes)

    def _ask(
        self, openstack: connection.Cloud | None, end: End, other: End, packet: rules.Packet, way: security.Way
    ) -> list[str]:
        """Find out whether the other end is a member of the remote groups of one; Neutron is asked where it must be."""
        if end.port is None:
            return []
        mine = self._of(end.port)
        wanted = security.needed(end.port, packet, way, mine)
        if theirs := wanted & _groups_of(other):
            self._remotes |= dict.fromkeys(theirs, (other.address,))
            return []
        if not wanted or openstack is None:
            return []
        used = [rule for group in mine for rule in group.rules if rule.remote in wanted]
        found = groups.members(openstack, {one.remote_group_id or "" for one in used} - {""}, other.address)
        listed = groups.address_groups(openstack, {one.remote for one in used if not one.remote_group_id})
        self._remotes |= {**found.addresses, **listed}
        return self._forget(found, other.address) if found.truncated else []

    def _forget(self, found: groups.Members, address: str) -> list[str]:
        """Leave open who is a member of groups of which only some members were asked for."""
        for group, addresses in found.addresses.items():
            if not any(rules.is_within(address, one) for one in addresses):
                del self._remotes[group]
        return [
            f"A remote group has more than {groups.MOST} members: whether {address} is an allowed address pair of the "
            "others was not looked up."
        ]


def _groups_of(end: End) -> set[str]:
    """Return the groups that an end's address is a member of by its port, as remote groups see it."""
    if end.port is None:
        return set()
    members = (*end.port.addresses, *(pair.address for pair in end.port.allowed_address_pairs))
    is_member = any(rules.is_within(end.address, one) for one in members)
    return {one.id for one in end.port.security_groups} if is_member else set()


def _named(end: End, names: Mapping[str, str]) -> End:
    """Return an end whose port's groups have names."""
    if end.port is None:
        return end
    named = tuple(path.SecurityGroup(id=one.id, name=names.get(one.id, one.name)) for one in end.port.security_groups)
    return end.model_copy(update={"port": end.port.model_copy(update={"security_groups": named})})


def mac_of(end: End) -> str:
    """Return the MAC address with which an end sends from its address."""
    if end.port is None:
        return _NOBODY
    own = [mac for mac, network in security.own(end.port) if rules.is_within(end.address, network)]
    return own[0] if own else end.port.mac


def packet(wanted: Wanted, sender: End, receiver: End) -> rules.Packet:
    """Put together the packet that is asked about.

    Raises:
        PathfinderError: Its addresses are of two IP versions, or what it needs is missing.
    """
    version: Literal[4, 6] = 6 if ":" in receiver.address else 4
    if (":" in sender.address) != (version == 6):
        raise errors.PathfinderError(
            f"{sender.address} and {receiver.address} are of two IP versions; give two addresses of one"
        )
    protocol = rules.number(wanted.protocol, version)
    if protocol is None:
        raise errors.PathfinderError("a packet has one protocol; give its name or its number")
    has_ports, is_icmp = protocol in rules.WITH_PORTS, protocol == rules.ICMP[version]
    return rules.Packet(
        source_mac=wanted.source_mac or mac_of(sender),
        source=sender.address,
        destination=receiver.address,
        protocol=protocol,
        source_port=(wanted.source_port or path.EPHEMERAL_PORT) if has_ports else None,
        destination_port=wanted.destination_port if has_ports else None,
        icmp_type=(_ECHO[version] if wanted.icmp_type is None else wanted.icmp_type) if is_icmp else None,
        icmp_code=(wanted.icmp_code or 0) if is_icmp else None,
    )
