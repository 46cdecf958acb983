"""A packet's way past the security groups of two ports: out of the sender's, into the receiver's, and back."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Literal

from .. import cloud, errors, path
from ..cloud import groups, neutron, rules, search, security
from ..evidence import filtered, synthetic

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


class Check(path.Model):
    """What becomes of the packet, or of its answer, at one port."""

    what: Literal["request", "reply"]
    port: str
    port_id: str
    host: str = ""
    verdict: security.Verdict
    flows: filtered.Filtered | None = None
    """What the flows do; None where the port is not on this host, and of an answer."""

    @property
    def way(self) -> str:
        """Say where the packet goes, in a word."""
        return "out" if self.verdict.way == "egress" else "in"

    @property
    def differs(self) -> bool:
        """Whether the flows do something else than the rules say; not where one of both cannot be told."""
        if self.flows is None or None in (self.flows.passes, self.verdict.passes):
            return False
        return self.flows.passes != self.verdict.passes

    @property
    def compared(self) -> str:
        """Hold the flows against the rules, in a sentence without its full stop; empty where there is nothing."""
        if self.flows is None:
            return ""
        if self.flows.passes is None:
            return f"what the flows of this host do cannot be told: {self.flows.where}"
        if self.differs:
            said = "do not let" if self.flows.passes else "let"
            return f"Neutron's rules {said} it {self.way}; {self.lag}"
        agree = (
            "agree" if self.verdict.passes is not None else f"{'let' if self.flows.passes else 'do not let'} it pass"
        )
        return f"the flows of this host {agree} ({self.flows.where})"

    @property
    def lag(self) -> str:
        """Say what the flows do that the rules do not; empty where they agree."""
        if not self.differs or self.flows is None:
            return ""
        done = f"let it {self.way}" if self.flows.passes else "do not"
        return f"the flows of this host {done} ({self.flows.where}): the agent has not followed"


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

    def ask_remotes(self, openstack: cloud.Cloud) -> list[str]:
        """Ask for the addresses of the remote groups that decide; return what is not known afterwards."""
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

    def _ask(self, openstack: cloud.Cloud, end: End, other: End, packet: rules.Packet, way: security.Way) -> list[str]:
        """Find out whether the other end is a member of the remote groups of one; Neutron is asked where it must be."""
        if end.port is None:
            return []
        mine = self._of(end.port)
        wanted = security.needed(end.port, packet, way, mine)
        if theirs := wanted & _groups_of(other):
            self._remotes |= dict.fromkeys(theirs, (other.address,))
            return []
        if not wanted:
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

    def checks(self) -> list[Check]:
        """Say what becomes of the packet at both ports and, if it passes, of its answer."""
        requests: list[tuple[path.Port, security.Verdict]] = []
        for end, judge in ((self.sender, security.egress), (self.receiver, security.ingress)):
            if end.port is not None:
                requests.append((end.port, judge(end.port, self.packet, self._of(end.port), self._remotes)))
        found = [_check("request", port, verdict) for port, verdict in requests]
        if any(verdict.passes is not True for _, verdict in requests):
            return found
        for port, request in reversed(requests):
            verdict = security.reply(request, port, self.answer, self._of(port), self._remotes)
            found.append(_check("reply", port, verdict))
        return found


def _groups_of(end: End) -> set[str]:
    """Return the groups that an end's address is a member of by its port, as remote groups see it."""
    if end.port is None:
        return set()
    members = (*end.port.addresses, *(pair.address for pair in end.port.allowed_address_pairs))
    is_member = any(rules.is_within(end.address, one) for one in members)
    return {one.id for one in end.port.security_groups} if is_member else set()


def _check(what: Literal["request", "reply"], port: path.Port, verdict: security.Verdict) -> Check:
    return Check(what=what, port=port.name or port.id, port_id=port.id, host=port.host, verdict=verdict)


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
        source_port=(wanted.source_port or synthetic.SOURCE_PORT) if has_ports else None,
        destination_port=wanted.destination_port if has_ports else None,
        icmp_type=(_ECHO[version] if wanted.icmp_type is None else wanted.icmp_type) if is_icmp else None,
        icmp_code=(wanted.icmp_code or 0) if is_icmp else None,
    )


def planned(openstack: cloud.Cloud, plan: path.Plan) -> tuple[End, End]:
    """Return the ends of a planned path, with their ports as they are now.

    Raises:
        PathfinderError: Neutron does not know one of them any more.
    """
    found = {one.id: one for one in neutron.ports(openstack, id=[plan.source.port.id, plan.destination.port.id])}
    for end in (plan.source, plan.destination):
        if end.port.id not in found:
            raise errors.PathfinderError(
                f"Neutron does not know port {end.port.id} of {end.label} any more, which run {plan.run} is of; plan "
                "the path again with plan-path"
            )
    first, second = (
        End(address=end.address, port=found[end.port.id].as_path(())) for end in (plan.source, plan.destination)
    )
    return first, second


def named(openstack: cloud.Cloud, port: str, address: str, remote: str) -> tuple[End, End, list[str]]:
    """Find a port by its id, name or address, and the port that has the other end's address.

    Returns:
        The port's end, the other one, and sentences on what is odd.

    Raises:
        PathfinderError: There is no such port, there are several, or it has no address to go with the other end's.
    """
    found = search.source(openstack, port)
    if len(found.ports) > 1:
        matches = [f"port {one.id} ({', '.join(one.addresses) or 'no address'})" for one in found.ports]
        raise errors.PathfinderError(
            f"{port} is ambiguous: {search.listed(matches, found.truncated)}; name one by its id"
        )
    own = next(iter(found.ports))
    end = End(address=address or _own_address(own, found, remote), port=own.as_path(()))
    other, notes = _other(openstack, remote, own)
    return end, other, notes


def _own_address(own: neutron.Port, found: search.Found, remote: str) -> str:
    fitting = [one for one in (*found.addresses, *own.addresses) if (":" in one) == (":" in remote)]
    is_link_local = ipaddress.ip_address(remote).is_link_local
    if is_link_local and ":" in remote:
        fitting.insert(0, security.link_local(own.mac_address))
    if not fitting:
        raise errors.PathfinderError(
            f"port {own.id} has no IPv{6 if ':' in remote else 4} address to go with {remote} (it has "
            f"{', '.join(own.addresses) or 'none'}); give another remote, or the port's address"
        )
    return fitting[0]


def _other(openstack: cloud.Cloud, remote: str, own: neutron.Port) -> tuple[End, list[str]]:
    """Find the port with the other end's address, on the port's network before all others."""
    if ipaddress.ip_address(remote).is_link_local:
        return End(address=remote), [f"{remote} is a link-local address: whose it is was not looked up."]
    found = neutron.ports(openstack, fixed_ips=[f"ip_address={remote}"])
    near = [one for one in found if one.network_id == own.network_id]
    if near:
        return End(address=remote, port=near[0].as_path(())), []
    if len(found) == 1:
        note = f"{remote} is on another network, {found[0].network_id}: its packets take a router."
        return End(address=remote, port=found[0].as_path(())), [note]
    if found:
        return End(address=remote), [f"{len(found)} ports on other networks have the address {remote}: none was taken."]
    return End(address=remote), [f"Neutron knows no port with the address {remote}: only port {own.id} was looked at."]
