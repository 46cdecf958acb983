"""Which packets Neutron lets out of a port and into it: security group rules, and what comes before them.

All here is computed from what the API says. The order is that of Neutron's `openvswitch` firewall
(`openvswitch_firewall/firewall.py`): packets that need no rule, packets that no rule can allow, anti-spoofing, rules.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from .. import path, words
from . import groups as groups_
from . import rules

Way = Literal["egress", "ingress"]
"""As Neutron says it: out of the port, or into it."""
Kind = Literal["rule", "always", "unfiltered", "conntrack", "never", "off", "spoofed", "no-rule", "no-group", "unknown"]
"""Why it passes: a rule, always, port security is off, the request did; or why not: never, the port is off, a source
that is not the port's, no rule, no group; or not known, as a group is not shown."""

_ICMPV6, _UDP = 58, 17
_OUT_ALWAYS = {130: "a query for multicast listeners", 133: "a router solicitation", 135: "a neighbour solicitation"}
_IN_ALWAYS = {130: "a query for multicast listeners", 134: "a router advertisement", 135: "a neighbour solicitation"}
_ADVERTISEMENT, _ROUTER_ADVERTISEMENT = 136, 134
_NEAREST, _FEW = 3, 2
"""How many rules are named that come near, and how many things may stand against one of them."""


class Considered(path.Model):
    """A rule that was looked at."""

    id: str
    group: path.SecurityGroup
    text: str
    """Such as `ingress IPv6 tcp 9443 from anywhere`."""
    why_not: str = ""
    """Why it does not let the packet pass; empty where it does."""

    def __str__(self) -> str:
        return f"rule {self.id} of {name(self.group)} ({self.text})"


class Verdict(path.Model):
    """What becomes of a packet at one port."""

    way: Way
    passes: bool | None
    """None where it cannot be told."""
    kind: Kind
    why: str
    """Goes on from `passes` or `is dropped`: `by rule …`, `as no ingress rule …`."""
    rule: Considered | None = None
    near: tuple[Considered, ...] = ()
    """The rules that come nearest, where none lets it pass."""
    missing: str = ""
    """The command that would let it pass."""


def egress(
    port: path.Port, packet: rules.Packet, groups: Sequence[groups_.Group], remotes: Mapping[str, Sequence[str]]
) -> Verdict:
    """Say whether a port may send a packet; `remotes` has the addresses of the remote groups that matter."""
    return _before_rules(port, packet, "egress") or _by_rules(port, packet, "egress", groups, remotes)


def ingress(
    port: path.Port, packet: rules.Packet, groups: Sequence[groups_.Group], remotes: Mapping[str, Sequence[str]]
) -> Verdict:
    """Say whether a port may receive a packet."""
    return _before_rules(port, packet, "ingress") or _by_rules(port, packet, "ingress", groups, remotes)


def reply(
    request: Verdict,
    port: path.Port,
    packet: rules.Packet,
    groups: Sequence[groups_.Group],
    remotes: Mapping[str, Sequence[str]],
) -> Verdict:
    """Say whether the answer to a request passes the port that the request passed.

    It does because conntrack knows the request; the address that it comes from must be the port's all the same, and a
    stateless group needs a rule for it.

    Args:
        request: What became of the request at that port.
        port: The port.
        packet: The answer.
        groups: The port's security groups.
        remotes: As for `egress`.
    """
    way: Way = "ingress" if request.way == "egress" else "egress"
    if (found := _before_rules(port, packet, way)) is not None:
        return found
    if any(not group.stateful for group in groups):
        return _by_rules(port, packet, way, groups, remotes)
    return Verdict(way=way, passes=True, kind="conntrack", why="by conntrack, as the request did")


def needed(port: path.Port, packet: rules.Packet, way: Way, groups: Iterable[groups_.Group]) -> set[str]:
    """Return the remote groups and address groups whose addresses decide; none where another rule does already."""
    if _before_rules(port, packet, way) is not None:
        return set()
    found: set[str] = set()
    for rule in (rule for group in groups for rule in group.rules if rule.direction == way):
        if rules.mismatches(rule, packet, {}):
            continue
        if not rule.remote:
            return set()
        found.add(rule.remote)
    return found


def _before_rules(port: path.Port, packet: rules.Packet, way: Way) -> Verdict | None:
    """Return what is decided without any rule."""
    if not port.admin_state_up:
        why = f"as port {port.id} is switched off (admin_state_up is false)"
        return Verdict(way=way, passes=False, kind="off", why=why, missing=_set(port, "--enable"))
    if port.device_owner.startswith("network:"):
        why = f"unfiltered, as the port is Neutron's own ({port.device_owner})"
        return Verdict(way=way, passes=True, kind="unfiltered", why=why)
    if not port.port_security_enabled:
        return Verdict(way=way, passes=True, kind="unfiltered", why="unfiltered, as port security is off")
    return _base_egress(port, packet) if way == "egress" else _base_ingress(packet)


def _base_egress(port: path.Port, packet: rules.Packet) -> Verdict | None:
    is_own = _is_own(port, packet)
    if packet.protocol == _ICMPV6 and is_own and packet.icmp_type in (*_OUT_ALWAYS, _ADVERTISEMENT):
        return _always("egress", _OUT_ALWAYS.get(packet.icmp_type or 0, "a neighbour advertisement"))
    ends = (packet.source_port, packet.destination_port) if packet.protocol == _UDP else (None, None)
    is_asking = packet.source == "0.0.0.0" and packet.source_mac == port.mac  # noqa: S104 - of DHCPDISCOVER
    if ends == _dhcp(packet.version) and (is_own or is_asking):
        return _always("egress", "a request for DHCP")
    if ends == _dhcp(packet.version)[::-1]:
        return _never("an answer of DHCP, which a port may not give")
    if packet.protocol == _ICMPV6 and packet.icmp_type == _ROUTER_ADVERTISEMENT:
        return _never("a router advertisement, which a port may not send")
    return None if is_own else _spoofed(port, packet)


def _base_ingress(packet: rules.Packet) -> Verdict | None:
    if packet.protocol == _ICMPV6 and packet.icmp_type in (*_IN_ALWAYS, _ADVERTISEMENT):
        return _always("ingress", _IN_ALWAYS.get(packet.icmp_type or 0, "a neighbour advertisement"))
    if packet.protocol == _UDP and (packet.source_port, packet.destination_port) == _dhcp(packet.version)[::-1]:
        return _always("ingress", "an answer of DHCP")
    return None


def _dhcp(version: int) -> tuple[int, int]:
    """Return the ports of a client and of a server."""
    return (68, 67) if version == 4 else (546, 547)


def _always(way: Way, what: str) -> Verdict:
    return Verdict(way=way, passes=True, kind="always", why=f"without any rule, as it is {what}")


def _never(what: str) -> Verdict:
    return Verdict(way="egress", passes=False, kind="never", why=f"whatever the rules say, as it is {what}")


def own(port: path.Port) -> list[tuple[str, str]]:
    """Return the MAC addresses and networks that a port may send from."""
    pairs = [(port.mac, address) for address in (*port.addresses, link_local(port.mac))]
    return [*pairs, *((pair.mac, pair.address) for pair in port.allowed_address_pairs)]


def _is_own(port: path.Port, packet: rules.Packet) -> bool:
    return any(mac == packet.source_mac and rules.is_within(packet.source, network) for mac, network in own(port))


def link_local(mac: str) -> str:
    """Return the link-local address that follows from a MAC address (RFC 4291, appendix A)."""
    digits = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([digits[0] ^ 2, *digits[1:3], 0xFF, 0xFE, *digits[3:]])
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + identifier))


def _spoofed(port: path.Port, packet: rules.Packet) -> Verdict:
    known = [mac for mac, network in own(port) if rules.is_within(packet.source, network)]
    if known:
        why = f"as port {port.id} may send from {packet.source} with the MAC {known[0]} only, not {packet.source_mac}"
    else:
        why = f"as {packet.source} is neither an address of port {port.id} nor one of its allowed address pairs"
    pair = f"ip-address={packet.source},mac-address={packet.source_mac}"
    missing = _set(port, "--allowed-address", pair)
    return Verdict(way="egress", passes=False, kind="spoofed", why=why, missing=missing)


def _by_rules(
    port: path.Port,
    packet: rules.Packet,
    way: Way,
    groups: Sequence[groups_.Group],
    remotes: Mapping[str, Sequence[str]],
) -> Verdict:
    """Look for the rule that lets a packet pass."""
    looked_at: list[tuple[int, bool, Considered]] = []
    is_unknown = False
    for group in groups:
        for rule in (rule for rule in group.rules if rule.direction == way):
            reasons = rules.mismatches(rule, packet, remotes)
            one = Considered(
                id=rule.id,
                group=path.SecurityGroup(id=group.id, name=group.name),
                text=rules.text(rule),
                why_not="; ".join(reasons),
            )
            if not reasons and (not rule.remote or rule.remote in remotes):
                return Verdict(way=way, passes=True, kind="rule", why=f"by {one}", rule=one)
            is_unknown = is_unknown or not reasons
            is_other = rules.number(rule.protocol, packet.version) not in (None, packet.protocol)
            looked_at.append((len(reasons), is_other, one))
    if not port.security_groups:
        why = f"as port {port.id} has port security and no security group"
        return Verdict(way=way, passes=False, kind="no-group", why=why, missing=_set(port, "--security-group", "GROUP"))
    hidden = sorted({one.id for one in port.security_groups} - {group.id for group in groups})
    if hidden or is_unknown:
        what = f"security group {hidden[0]} is" if hidden else "the addresses of a remote group are"
        return Verdict(
            way=way, passes=None, kind="unknown", why=f"as {what} not shown to these credentials", near=_near(looked_at)
        )
    named = " or ".join(name(one) for one in port.security_groups)
    why = f"as no {way} rule of {named} allows {packet.words(way)}"
    missing = rules.command(packet, way, groups[0].id) if groups else ""
    return Verdict(way=way, passes=False, kind="no-rule", why=why, near=_near(looked_at), missing=missing)


def _near(looked_at: Sequence[tuple[int, bool, Considered]]) -> tuple[Considered, ...]:
    """Return the rules that the fewest things stand against; those for another protocol are further off."""
    ordered = sorted(looked_at, key=lambda one: one[:2])
    fewest = max(1, min((count for count, *_ in ordered), default=0))
    return tuple(one for count, _, one in ordered if count <= min(fewest, _FEW))[:_NEAREST]


def _set(port: path.Port, *options: str) -> str:
    return words.pasted("openstack", "port", "set", *options, port.id)


def name(group: path.SecurityGroup) -> str:
    """Name a group, with its id where that says more."""
    return f"{group.name} ({group.id})" if group.name else f"group {group.id}"
