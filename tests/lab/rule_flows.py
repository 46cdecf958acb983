"""The flows that Neutron's openvswitch firewall makes of security group rules.

After `neutron/agent/linux/openvswitch_firewall/rules.py` and `ConjIPFlowManager` of `firewall.py` (Zed).
"""

import dataclasses
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
"""A rule as the OpenStack API shows it."""

_NUMBERS = {
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "icmpv6": 58,
    "ipv6-icmp": 58,
    "ospf": 89,
    "sctp": 132,
}
_NAMED = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp", 132: "sctp"}
_WITH_PORTS = (6, 17, 132)
_ICMP = (1, 58)
_STATES = ("+est-rel-rpl", "+new-est")
_PER_PAIR = 8
"""Conjunction ids of a group and its remote: two for each of four priorities."""


@dataclasses.dataclass(frozen=True)
class Way:
    """One direction of one port."""

    direction: str
    table: int
    register: str
    """`reg5=0x2`."""
    vlan: int
    accept: str
    """What is done with a packet of a known connection."""
    commit: str
    """What is done with the first packet of a new one."""


def flows(way: Way, rules: Iterable[Object], members: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the flows of the rules of one direction.

    Args:
        way: The direction.
        rules: The rules of the port's groups, in that direction.
        members: The addresses and networks of remote groups and address groups.

    """
    rules = list(rules)
    for rule in rules:
        if _remote(rule):
            continue
        for match in _matches(rule, way.register):
            priority = 74 + _offset(rule)
            yield f"table={way.table},priority={priority},ct_state={_STATES[0]},{match},actions={way.accept}"
            yield f"table={way.table},priority={priority},ct_state={_STATES[1]},{match},actions={way.commit}"
    yield from _conjunctions(way, [rule for rule in rules if _remote(rule)], members)


def _remote(rule: Object) -> str:
    return rule["remote_group_id"] or rule.get("remote_address_group_id") or ""


def _number(rule: Object) -> int | None:
    protocol = rule["protocol"]
    if protocol is None:
        return None
    number = int(protocol) if str(protocol).isdecimal() else _NUMBERS[protocol]
    return 58 if number == 1 and rule["ethertype"] == "IPv6" else number


def _offset(rule: Object) -> int:
    """Return what a rule adds to its priority (`flow_priority_offset`)."""
    number = _number(rule)
    if number is None:
        return 0
    if number not in _ICMP:
        return 3
    return 1 if rule["port_range_min"] is None else 2 if rule["port_range_max"] is None else 3


def _matches(rule: Object, register: str) -> Iterator[str]:
    """Yield the matches of a rule, without its remote group: one for each block of its port range."""
    six, number = rule["ethertype"] == "IPv6", _number(rule)
    low, high = rule["port_range_min"], rule["port_range_max"]
    words = [_family(six, number), register]
    prefix = rule["normalized_cidr"] or rule["remote_ip_prefix"]
    if prefix and ipaddress.ip_network(prefix).prefixlen:
        words.append(f"{_side(rule['direction'], six)}={prefix}")
    if number in _ICMP and low is not None:
        kind = "icmpv6" if six else "icmp"
        words += [f"{kind}_type={low}"] + ([f"{kind}_code={high}"] if high is not None else [])
    elif number in _WITH_PORTS and low and high:
        for block in blocks(low, high):
            yield ",".join([*words, f"tp_dst={block}"])
        return
    yield ",".join(words)


def _family(six: bool, number: int | None) -> str:
    if number is None:
        return "ipv6" if six else "ip"
    if number in _NAMED:
        return _NAMED[number] + ("6" if six else "")
    return f"{'ipv6' if six else 'ip'},nw_proto={number}"


def _side(direction: str, six: bool) -> str:
    return f"{'ipv6' if six else 'nw'}_{'src' if direction == 'ingress' else 'dst'}"


def blocks(low: int, high: int) -> Iterator[str]:
    """Cut a port range into blocks that a mask can match (`port_rule_masking`)."""
    while low <= high:
        size = low & -low or 1 << 16
        while low + size - 1 > high:
            size //= 2
        yield str(low) if size == 1 else f"{low:#x}/{0x10000 - size:#x}"
        low += size


def _conjunctions(way: Way, rules: Sequence[Object], members: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the flows of rules for remote groups: one dimension is the addresses, the other all the rest.

    Port ranges that overlap without being equal are not merged here, as `merge_port_ranges` would.
    """
    bases: dict[tuple[str, str, str], int] = {}
    dimensions: dict[tuple[int, int, str], list[int]] = {}
    for rule in rules:
        pair = (rule["security_group_id"], _remote(rule), rule["ethertype"])
        base = bases.setdefault(pair, _PER_PAIR * (len(bases) + 1) + (0 if way.direction == "egress" else 10_000))
        identifier = base + 2 * _offset(rule)
        for match in _members(way, rule, members.get(_remote(rule), ())):
            dimensions.setdefault((1, _offset(rule), match), []).append(identifier)
        for match in _matches(rule, way.register):
            dimensions.setdefault((2, _offset(rule), match), []).append(identifier)
        yield from _accepted(way, rule, identifier)
    for (dimension, offset, match), identifiers in dimensions.items():
        for add, state in enumerate(_STATES):
            done = ",".join(f"conjunction({one + add},{dimension}/2)" for one in dict.fromkeys(identifiers))
            yield f"table={way.table},priority={70 + offset},ct_state={state},{match},actions={done}"


def _members(way: Way, rule: Object, addresses: Sequence[str]) -> Iterator[str]:
    """Yield the matches of the members of a remote group (`create_flows_for_ip_address_and_mac`)."""
    six = rule["ethertype"] == "IPv6"
    for address in addresses:
        network = ipaddress.ip_network(address, strict=False)
        if (network.version == 6) == six:
            yield f"{_family(six, None)},reg6={way.vlan:#x},{_side(way.direction, six)}={network}"


def _accepted(way: Way, rule: Object, identifier: int) -> Iterator[str]:
    family = _family(rule["ethertype"] == "IPv6", None)
    for add, (state, done) in enumerate(zip(_STATES, (way.accept, way.commit), strict=True)):
        match = f"conj_id={identifier + add},{family},{way.register}"
        actions = f"set_field:{identifier + add:#x}->reg7,{done}"
        yield f"table={way.table},priority={70 + _offset(rule)},ct_state={state},{match},actions={actions}"
