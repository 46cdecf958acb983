"""What may leave and enter a port besides the rules: anti-spoofing, DHCP, discovery, ports without a filter."""

from typing import Any

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.cloud import groups, rules, security
from tests.unit.cloud import test_rules

MAC, OTHER_MAC = test_rules.MAC, "fa:16:3e:00:00:02"
GROUP = test_rules.GROUP
LINK_LOCAL = "fe80::f816:3eff:fe00:1"
EVERYTHING = (
    test_rules.rule("egress IPv4 - - -"),
    test_rules.rule("egress IPv6 - - -"),
    test_rules.rule("ingress IPv4 - - -"),
    test_rules.rule("ingress IPv6 - - -"),
)


def port(**changes: Any) -> path.Port:
    fields: dict[str, Any] = {
        "id": "p",
        "name": "",
        "mac": MAC,
        "addresses": ("10.0.0.1", "fc00::1"),
        "security_groups": (path.SecurityGroup(id=GROUP, name="web"),),
        "allowed_address_pairs": (
            path.AddressPair(mac=MAC, address="10.0.0.100"),
            path.AddressPair(mac=OTHER_MAC, address="10.9.0.0/16"),
        ),
    }
    return path.Port(**{**fields, **changes})


def group(*made: groups.Rule, stateful: bool = True) -> list[groups.Group]:
    return [groups.Group(id=GROUP, name="web", stateful=stateful, security_group_rules=made)]


def from_(text: str, mac: str = MAC, **changes: Any) -> rules.Packet:
    return test_rules.packet(text).model_copy(update={"source_mac": mac, **changes})


ALL = group(*EVERYTHING)


@pytest.mark.parametrize(
    ("text", "mac", "passes"),
    [
        ("10.0.0.1 > 10.0.0.9 tcp 80", MAC, True),
        ("fc00::1 > fc00::9 tcp 80", MAC, True),
        ("10.0.0.100 > 10.0.0.9 tcp 80", MAC, True),
        ("10.9.8.7 > 10.0.0.9 tcp 80", OTHER_MAC, True),
        (f"{LINK_LOCAL} > fe80::9 udp 5353", MAC, True),
        ("10.0.0.2 > 10.0.0.9 tcp 80", MAC, False),
        ("10.0.0.1 > 10.0.0.9 tcp 80", OTHER_MAC, False),
        ("10.9.8.7 > 10.0.0.9 tcp 80", MAC, False),
        ("10.10.0.1 > 10.0.0.9 tcp 80", OTHER_MAC, False),
        ("fe80::bad > fe80::9 udp 5353", MAC, False),
    ],
)
def test_a_port_sends_from_its_own_addresses_and_pairs_alone(text: str, mac: str, passes: bool) -> None:
    found = security.egress(port(), from_(text, mac), ALL, {})

    assert found.passes == passes
    assert (found.kind == "spoofed") == (not passes)
    if not passes:
        source = text.split()[0]
        assert found.missing == f"openstack port set --allowed-address ip-address={source},mac-address={mac} p"


@pytest.mark.parametrize(
    ("text", "changes", "kind"),
    [
        ("fc00::1 > ff02::2 icmp 133/0", {}, "always"),
        ("fc00::1 > ff02::1:ff00:9 icmp 135/0", {}, "always"),
        ("fc00::1 > fc00::9 icmp 136/0", {}, "always"),
        ("fc00::1 > ff02::1 icmp 134/0", {}, "never"),
        ("fc00::bad > ff02::1:ff00:9 icmp 135/0", {}, "spoofed"),
        ("0.0.0.0 > 255.255.255.255 udp 67", {"source_port": 68}, "always"),
        ("10.0.0.1 > 10.0.0.9 udp 67", {"source_port": 68}, "always"),
        ("10.0.0.2 > 10.0.0.9 udp 67", {"source_port": 68}, "spoofed"),
        ("fc00::1 > ff02::1:2 udp 547", {"source_port": 546}, "always"),
        ("10.0.0.1 > 10.0.0.9 udp 68", {"source_port": 67}, "never"),
        ("fc00::1 > fc00::9 udp 546", {"source_port": 547}, "never"),
        ("10.0.0.1 > 10.0.0.9 udp 67", {}, "no-rule"),
        ("fc00::1 > fc00::9 icmp 128/0", {}, "no-rule"),
    ],
)
def test_some_packets_leave_without_a_rule_and_others_never(text: str, changes: dict[str, Any], kind: str) -> None:
    found = security.egress(port(), from_(text, **changes), group(), {})

    assert found.kind == kind
    assert found.passes == (kind == "always")


@pytest.mark.parametrize(
    ("text", "changes", "kind"),
    [
        ("fc00::9 > fc00::1 icmp 136/0", {}, "always"),
        ("fe80::9 > ff02::1 icmp 134/0", {}, "always"),
        ("10.0.0.9 > 10.0.0.1 udp 68", {"source_port": 67}, "always"),
        ("10.0.0.9 > 10.0.0.1 udp 67", {"source_port": 68}, "no-rule"),
        ("fc00::9 > fc00::1 icmp 133/0", {}, "no-rule"),
    ],
)
def test_some_packets_enter_without_a_rule(text: str, changes: dict[str, Any], kind: str) -> None:
    assert security.ingress(port(), from_(text, OTHER_MAC, **changes), group(), {}).kind == kind


PACKET = from_("10.0.0.9 > 10.0.0.1 tcp 80", OTHER_MAC)


@pytest.mark.parametrize(
    ("changes", "passes", "kind", "missing"),
    [
        ({"port_security_enabled": False}, True, "unfiltered", ""),
        ({"device_owner": "network:router_interface"}, True, "unfiltered", ""),
        ({"admin_state_up": False}, False, "off", "openstack port set --enable p"),
        ({"admin_state_up": False, "port_security_enabled": False}, False, "off", "openstack port set --enable p"),
        ({"security_groups": ()}, False, "no-group", "openstack port set --security-group GROUP p"),
    ],
)
def test_a_port_may_have_no_filter_or_let_nothing_pass(
    changes: dict[str, Any], passes: bool, kind: str, missing: str
) -> None:
    known = ALL if changes.get("security_groups") != () else []

    found = security.ingress(port(**changes), PACKET, known, {})

    assert (found.passes, found.kind, found.missing) == (passes, kind, missing)


def test_a_group_that_is_not_shown_leaves_open_what_others_do_not_allow() -> None:
    hidden = path.SecurityGroup(id="hidden", name="")
    both = port(security_groups=(*port().security_groups, hidden))

    assert security.ingress(both, PACKET, ALL, {}).passes is True
    found = security.ingress(both, PACKET, group(), {})
    assert (found.passes, found.kind) == (None, "unknown")
    assert "security group hidden is not shown" in found.why


def test_a_remote_group_that_is_not_shown_leaves_it_open() -> None:
    remote = test_rules.rule("ingress IPv4 tcp - -", remote_group_id=test_rules.OTHER)

    assert security.ingress(port(), PACKET, group(remote), {}).passes is None
    assert security.ingress(port(), PACKET, group(remote), {test_rules.OTHER: ()}).passes is False
    assert security.ingress(port(), PACKET, group(remote), {test_rules.OTHER: ("10.0.0.9",)}).passes is True


def test_only_remote_groups_that_decide_are_asked_for() -> None:
    remote = test_rules.rule("ingress IPv4 tcp - -", remote_group_id=test_rules.OTHER)
    listed = test_rules.rule("ingress IPv4 tcp 80 -", remote_address_group_id=test_rules.HOLDING)
    other = test_rules.rule("ingress IPv4 udp - -", remote_group_id="another")

    assert security.needed(port(), PACKET, "ingress", group(remote, listed, other)) == {
        test_rules.OTHER,
        test_rules.HOLDING,
    }
    assert security.needed(port(), PACKET, "ingress", group(remote, *EVERYTHING)) == set()
    assert security.needed(port(port_security_enabled=False), PACKET, "ingress", group(remote)) == set()


def test_the_nearest_rules_are_named_with_what_stands_against_them() -> None:
    known = group(
        test_rules.rule("ingress IPv4 udp 53 -", id="1"),
        test_rules.rule("ingress IPv6 icmp 128-0 fc00::/64", id="2"),
        test_rules.rule("ingress IPv6 tcp 80 -", id="3"),
        test_rules.rule("ingress IPv4 tcp 22 -", id="4"),
        test_rules.rule("egress IPv4 tcp 80 -", id="5"),
        test_rules.rule("ingress IPv4 tcp 80 10.1.0.0/16", id="6"),
    )

    found = security.ingress(port(), PACKET, known, {})

    assert [(one.id, one.why_not) for one in found.near] == [
        ("3", "it is for IPv6"),
        ("4", "it is for port 22"),
        ("6", "it is for 10.1.0.0/16"),
    ]
    assert found.why == f"as no ingress rule of web ({GROUP}) allows tcp 80 from 10.0.0.9"


def test_an_answer_passes_by_conntrack_but_for_stateless_groups_and_spoofing() -> None:
    own = port()
    request = security.ingress(own, PACKET, ALL, {})
    answer = PACKET.answer(MAC)

    assert security.reply(request, own, answer, group(), {}).kind == "conntrack"
    assert security.reply(request, own, answer, group(stateful=False), {}).kind == "no-rule"
    assert security.reply(request, own, answer, group(*EVERYTHING, stateful=False), {}).kind == "rule"
    strange = answer.model_copy(update={"source": "10.0.0.77"})
    assert security.reply(request, own, strange, ALL, {}).kind == "spoofed"
    assert security.reply(request, port(port_security_enabled=False), strange, [], {}).kind == "unfiltered"


def test_an_echo_request_is_answered_by_an_echo_reply() -> None:
    assert from_("fc00::9 > fc00::1 icmp 128/0").answer(MAC).icmp_type == 129
    assert from_("10.0.0.9 > 10.0.0.1 icmp 8/0").answer(MAC).icmp_type == 0
    back = PACKET.answer(MAC)
    assert (back.source, back.source_port, back.destination_port) == ("10.0.0.1", 80, 40000)
