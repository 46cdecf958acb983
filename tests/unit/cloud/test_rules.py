"""Security group rules, each against a packet, and sets of them against an oracle that lists what they allow."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder import path
from ovs_pathfinder.cloud import groups, rules, security

MAC = "fa:16:3e:00:00:01"
OWN = {4: "10.0.0.1", 6: "fc00::1"}
GROUP = "11111111-0000-4000-8000-000000000001"
OTHER = "22222222-0000-4000-8000-000000000002"
HOLDING = "33333333-0000-4000-8000-000000000003"


def rule(text: str, **changes: Any) -> groups.Rule:
    """Make a rule: `ingress IPv4 tcp 80-90 10.0.0.0/8`, where `-` is any."""
    direction, ethertype, protocol, ports, prefix = text.split()
    low, _, high = ports.partition("-") if ports != "-" else ("", "", "")
    fields: dict[str, Any] = {
        "id": "r",
        "direction": direction,
        "ethertype": ethertype,
        "protocol": None if protocol == "-" else protocol,
        "port_range_min": int(low) if low else None,
        "port_range_max": int(high or low) if low else None,
        "remote_ip_prefix": None if prefix == "-" else prefix,
    }
    return groups.Rule(**{**fields, **changes})


def packet(text: str) -> rules.Packet:
    """Make a packet: `10.0.0.9 > 10.0.0.1 tcp 80`, `fc00::9 > fc00::1 icmp 128/0`."""
    source, _, destination, protocol, *rest = text.split()
    six = ":" in destination
    number = rules.number(protocol, 6 if six else 4)
    assert number is not None
    fields: dict[str, Any] = {"source_mac": MAC, "source": source, "destination": destination, "protocol": number}
    if number in rules.WITH_PORTS:
        fields |= {"source_port": 40000, "destination_port": int(rest[0])}
    elif number in rules.ICMP.values():
        fields |= dict(zip(("icmp_type", "icmp_code"), map(int, rest[0].split("/")), strict=True))
    return rules.Packet(**fields)


MATCHING = [
    ("ingress IPv4 - - -", "10.0.0.9 > 10.0.0.1 tcp 80"),
    ("ingress IPv4 any - -", "10.0.0.9 > 10.0.0.1 ospf"),
    ("ingress IPv4 tcp - -", "10.0.0.9 > 10.0.0.1 tcp 80"),
    ("ingress IPv4 6 80 -", "10.0.0.9 > 10.0.0.1 tcp 80"),
    ("ingress IPv4 TCP 80-90 -", "10.0.0.9 > 10.0.0.1 tcp 90"),
    ("ingress IPv4 udp 53 10.0.0.9", "10.0.0.9 > 10.0.0.1 udp 53"),
    ("ingress IPv4 tcp - 0.0.0.0/0", "192.168.1.1 > 10.0.0.1 tcp 80"),
    ("ingress IPv4 tcp - 10.0.0.77/24", "10.0.0.9 > 10.0.0.1 tcp 80"),
    ("ingress IPv6 tcp - FC00:0::/64", "fc00::9 > fc00::1 tcp 80"),
    ("egress IPv4 tcp - 10.0.0.0/8", "10.0.0.1 > 10.9.9.9 tcp 80"),
    ("ingress IPv4 icmp - -", "10.0.0.9 > 10.0.0.1 icmp 8/0"),
    ("ingress IPv4 icmp 8-0 -", "10.0.0.9 > 10.0.0.1 icmp 8/0"),
    ("ingress IPv6 icmp - -", "fc00::9 > fc00::1 icmp 128/0"),
    ("ingress IPv6 icmpv6 - -", "fc00::9 > fc00::1 icmp 128/0"),
    ("ingress IPv6 ipv6-icmp - -", "fc00::9 > fc00::1 58 128/0"),
    ("ingress IPv6 58 - -", "fc00::9 > fc00::1 icmp 128/0"),
    ("ingress IPv6 1 128-0 -", "fc00::9 > fc00::1 icmp 128/0"),
    ("ingress IPv4 vrrp - -", "10.0.0.9 > 10.0.0.1 112"),
    ("ingress IPv4 sctp 7 -", "10.0.0.9 > 10.0.0.1 sctp 7"),
]
MISSING = [
    ("ingress IPv6 - - -", "10.0.0.9 > 10.0.0.1 tcp 80", "it is for IPv6"),
    ("ingress IPv4 udp - -", "10.0.0.9 > 10.0.0.1 tcp 80", "it is for udp"),
    ("ingress IPv4 tcp 22 -", "10.0.0.9 > 10.0.0.1 tcp 80", "it is for port 22"),
    ("ingress IPv4 tcp 81-90 -", "10.0.0.9 > 10.0.0.1 tcp 80", "it is for ports 81 to 90"),
    ("ingress IPv4 tcp - 10.1.0.0/16", "10.0.0.9 > 10.0.0.1 tcp 80", "it is for 10.1.0.0/16"),
    ("ingress IPv4 icmp 0-0 -", "10.0.0.9 > 10.0.0.1 icmp 8/0", "it is for type 0 code 0"),
    ("egress IPv4 tcp - 10.0.0.1", "10.0.0.1 > 10.0.0.9 tcp 80", "it is for 10.0.0.1"),
    ("ingress IPv4 hopopt - -", "10.0.0.9 > 10.0.0.1 tcp 80", "it is for hopopt"),
    ("ingress IPv4 quic - -", "10.0.0.9 > 10.0.0.1 udp 443", "it is for the unknown protocol quic"),
    ("ingress IPv6 ipv6-icmp - -", "10.0.0.9 > 10.0.0.1 icmp 8/0", "it is for IPv6"),
    ("ingress IPv4 icmp - -", "fc00::9 > fc00::1 icmp 128/0", "it is for IPv4"),
]


@pytest.mark.parametrize(("text", "sent"), MATCHING)
def test_a_rule_matches(text: str, sent: str) -> None:
    assert rules.mismatches(rule(text), packet(sent), {}) == []


@pytest.mark.parametrize(("text", "sent", "why"), MISSING)
def test_a_rule_says_why_it_does_not_match(text: str, sent: str, why: str) -> None:
    assert rules.mismatches(rule(text), packet(sent), {}) == [why]


def test_the_normalised_prefix_counts() -> None:
    odd = rule("ingress IPv4 tcp - 10.0.0.77/24", normalized_cidr="10.0.0.0/24")

    assert rules.mismatches(odd, packet("10.0.0.9 > 10.0.0.1 tcp 80"), {}) == []
    assert rules.text(odd) == "ingress IPv4 tcp from 10.0.0.0/24"


def test_a_remote_group_is_its_members_addresses_and_pairs() -> None:
    remote = rule("ingress IPv4 tcp - -", remote_group_id=OTHER)
    sent = packet("10.0.0.9 > 10.0.0.1 tcp 80")

    assert rules.mismatches(remote, sent, {}) == []  # not known yet
    assert rules.mismatches(remote, sent, {OTHER: ("10.0.0.8", "10.0.0.9")}) == []
    assert rules.mismatches(remote, sent, {OTHER: ("10.0.0.8/29",)}) == []
    assert rules.mismatches(remote, sent, {OTHER: ("10.0.0.8",)}) == [
        f"it is for the group {OTHER}, which does not have 10.0.0.9"
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ingress IPv4 - - -", "ingress IPv4 any protocol from anywhere"),
        ("egress IPv6 tcp 80-90 fc00::/64", "egress IPv6 tcp 80-90 to fc00::/64"),
        ("ingress IPv4 icmp 8-0 -", "ingress IPv4 icmp type 8 code 0 from anywhere"),
        ("ingress IPv4 89 - 10.0.0.0/8", "ingress IPv4 89 from 10.0.0.0/8"),
    ],
)
def test_a_rule_is_told_in_a_line(text: str, told: str) -> None:
    assert rules.text(rule(text)) == told


@pytest.mark.parametrize(
    ("sent", "way", "command"),
    [
        ("10.0.0.9 > 10.0.0.1 tcp 80", "ingress", "--protocol tcp --dst-port 80 --remote-ip 10.0.0.9/32"),
        ("fc00::1 > fc00::9 udp 53", "egress", "--protocol udp --dst-port 53 --remote-ip fc00::9/128"),
        ("fc00::9 > fc00::1 icmp 128/0", "ingress", "--protocol ipv6-icmp --icmp-type 128 --remote-ip fc00::9/128"),
        ("10.0.0.9 > 10.0.0.1 ospf", "ingress", "--protocol 89 --remote-ip 10.0.0.9/32"),
    ],
)
def test_the_rule_that_is_missing_matches_the_packet(sent: str, way: security.Way, command: str) -> None:
    version = packet(sent).version

    found = rules.command(packet(sent), way, GROUP)

    start = f"openstack security group rule create --{way} --ethertype IPv{version} "
    assert found == f"{start}{command} {GROUP}"


PROTOCOLS: dict[int, tuple[str | None, ...]] = {
    4: (None, "tcp", "6", "udp", "icmp", "1", "ospf"),
    6: (None, "tcp", "udp", "17", "icmp", "icmpv6", "58"),
}
ADDRESSES = {4: [f"10.0.0.{one}" for one in range(8)], 6: [f"fc00::{one}" for one in range(8)]}
PREFIXES: dict[int, tuple[str | None, ...]] = {
    4: (None, "0.0.0.0/0", "10.0.0.0/30", "10.0.0.4/31", "10.0.0.7", "10.0.0.6/30"),
    6: (None, "::/0", "fc00::/126", "fc00::4/127", "fc00::7"),
}
PORTS = range(1, 6)
ICMP_TYPES = {4: (0, 8), 6: (128, 129)}
REMOTES = {OTHER: ("10.0.0.2", "fc00::2", "10.0.0.4/30"), HOLDING: ("fc00::/126",)}


@st.composite
def random_rules(draw: st.DrawFn) -> groups.Rule:
    version = draw(st.sampled_from((4, 6)))
    protocol = draw(st.sampled_from(PROTOCOLS[version]))
    low = high = None
    number = rules.number(protocol, version)
    if number in (6, 17) and draw(st.booleans()):
        low = draw(st.sampled_from(PORTS))
        high = draw(st.integers(low, max(PORTS)))
    elif number in (1, 58) and draw(st.booleans()):
        low = draw(st.sampled_from(ICMP_TYPES[version]))
        high = draw(st.sampled_from((None, 0)))
    kind = draw(st.sampled_from(("prefix", "group", "address group")))
    return groups.Rule(
        id=str(draw(st.integers(0, 10**6))),
        direction=draw(st.sampled_from(("ingress", "egress"))),
        ethertype="IPv6" if version == 6 else "IPv4",
        protocol=protocol,
        port_range_min=low,
        port_range_max=high,
        remote_ip_prefix=draw(st.sampled_from(PREFIXES[version])) if kind == "prefix" else None,
        remote_group_id=OTHER if kind == "group" else None,
        remote_address_group_id=HOLDING if kind == "address group" else None,
    )


def allowed(one: groups.Rule) -> set[tuple[str, str, int, int]]:
    """List all that a rule allows: direction, the other end, protocol, and port or ICMP type."""
    version = 6 if one.ethertype == "IPv6" else 4
    names = {None: (6, 17, 1, 58, 89), "6": (6,), "tcp": (6,), "udp": (17,), "17": (17,), "ospf": (89,)}
    icmp = (1,) if version == 4 else (58,)
    numbers = names.get(one.protocol, icmp)
    details: dict[int, tuple[int, ...]] = {
        6: tuple(PORTS),
        17: tuple(PORTS),
        89: (0,),
        1: ICMP_TYPES[4],
        58: ICMP_TYPES[6],
    }
    return {
        (one.direction, address, number, detail)
        for address in ADDRESSES[version]
        for number in numbers
        for detail in details[number]
        if number not in (1, 58) or number in icmp
        if reaches(one, address)
        if one.port_range_min is None or detail == one.port_range_min or one.port_range_min < detail <= top(one, number)
    }  # fmt: skip


def top(one: groups.Rule, number: int) -> int:
    return (one.port_range_max or 0) if number in (6, 17) else -1


def reaches(one: groups.Rule, address: str) -> bool:
    """Say by its last digit whether a rule is for an address."""
    last = int(address[-1])
    members: dict[str | None, set[int]] = {
        None: set(range(8)), "0.0.0.0/0": set(range(8)), "::/0": set(range(8)),
        "10.0.0.0/30": {0, 1, 2, 3}, "10.0.0.4/31": {4, 5}, "10.0.0.7": {7}, "10.0.0.6/30": {4, 5, 6, 7},
        "fc00::/126": {0, 1, 2, 3}, "fc00::4/127": {4, 5}, "fc00::7": {7},
    }  # fmt: skip
    if one.remote_group_id:
        return last in ({2, 4, 5, 6, 7} if one.ethertype == "IPv4" else {2})
    if one.remote_address_group_id:
        return one.ethertype == "IPv6" and last in {0, 1, 2, 3}
    return last in members[one.remote_ip_prefix]


def sent(way: str, address: str, number: int, detail: int) -> rules.Packet:
    own = OWN[6 if ":" in address else 4]
    source, destination = (own, address) if way == "egress" else (address, own)
    return rules.Packet(
        source_mac=MAC,
        source=source,
        destination=destination,
        protocol=number,
        source_port=40000 if number in (6, 17) else None,
        destination_port=detail if number in (6, 17) else None,
        icmp_type=detail if number in (1, 58) else None,
        icmp_code=0 if number in (1, 58) else None,
    )


@given(st.lists(random_rules(), max_size=6))
def test_a_set_of_rules_lets_pass_what_a_list_of_all_that_they_allow_has(made: list[groups.Rule]) -> None:
    port = path.Port(
        id="p", name="", mac=MAC, addresses=(OWN[4], OWN[6]), security_groups=(path.SecurityGroup(id=GROUP, name="g"),)
    )
    group = groups.Group(id=GROUP, name="g", security_group_rules=tuple(made))
    everything = set[tuple[str, str, int, int]]().union(*map(allowed, made))
    details = {6: PORTS, 17: PORTS, 89: (0,)}
    cases = [
        (way, address, number, detail)
        for way, version in itertools.product(("egress", "ingress"), (4, 6))
        for address in ADDRESSES[version]
        for number, values in {**details, (1 if version == 4 else 58): ICMP_TYPES[version]}.items()
        for detail in values
    ]

    for case in cases:
        judge = security.egress if case[0] == "egress" else security.ingress
        verdict = judge(port, sent(*case), [group], REMOTES)
        assert verdict.passes == (case in everything), case
        assert (verdict.rule is not None) == verdict.passes
        assert bool(verdict.missing) != verdict.passes
