"""An operator's own flows: whose traffic they may match, and which ports they name."""

import re
import shutil
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder import errors, path
from ovs_pathfinder.temporary import flows, injection, rule
from ovs_pathfinder.vswitch import database
from tests.unit import plans
from tests.unit.vswitch import private

SWITCH = database.Switch(
    bridges=("br-int", "br-tun"),
    interfaces=(
        database.Interface(name="o-hm0", bridge="br-int", type="internal", ofport=3),
        database.Interface(name="tapabc", bridge="br-int", ofport=-1),
        database.Interface(name="gre-ac1400d1", bridge="br-tun", type="gre", ofport=2),
    ),
)
PROBES = {
    (4, "icmp"): "icmp,nw_src=192.168.77.231,nw_dst=192.168.77.207",
    (4, "tcp"): "tcp,nw_src=192.168.77.231,nw_dst=192.168.77.207,tcp_dst=9443",
    (4, "udp"): "udp,nw_src=192.168.77.231,nw_dst=192.168.77.207,udp_dst=5555",
    (6, "icmp"): "icmp6,ipv6_src=fc00::f816:3eff:fea8:7ef6,ipv6_dst=fc00::f816:3eff:fe0d:9acf",
    (6, "tcp"): "tcp6,ipv6_src=fc00::f816:3eff:fea8:7ef6,ipv6_dst=fc00::f816:3eff:fe0d:9acf,tcp_dst=9443",
    (6, "udp"): "udp6,ipv6_src=fc00::f816:3eff:fea8:7ef6,ipv6_dst=fc00::f816:3eff:fe0d:9acf,udp_dst=5555",
}
ANSWERS = {
    (4, "icmp"): "icmp,nw_src=192.168.77.207,nw_dst=192.168.77.231",
    (6, "tcp"): "tcp6,ipv6_src=fc00::f816:3eff:fe0d:9acf,ipv6_dst=fc00::f816:3eff:fea8:7ef6,tcp_src=9443",
}
QUESTIONS = {
    4: "arp,arp_spa=192.168.77.231,arp_tpa=192.168.77.207",
    6: "icmp6,icmpv6_type=135,dl_src=fa:16:3e:a8:7e:f6,nd_target=fc00::f816:3eff:fe0d:9acf",
}

each_kind = pytest.mark.parametrize(("ip", "protocol"), plans.KINDS)
ICMP4, TCP4, ICMP6 = plans.of(4, "icmp"), plans.of(4, "tcp"), plans.of(6, "icmp")


def prepare(
    text: str, plan: path.Plan | None = ICMP4, *, bridge: str = "br-int", allow_broad: bool = False
) -> flows.Flows:
    return injection.prepare(text, bridge, SWITCH, plan, allow_broad=allow_broad)


def refusal(attempt: Callable[[], Any]) -> str:
    """Return the sentence with which something is refused."""
    with pytest.raises(errors.PathfinderError) as caught:
        attempt()
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert not sentence.endswith(".")
    assert len(sentence) < 600
    return sentence


def is_narrow(match: str, plan: path.Plan = ICMP4) -> bool:
    return injection.is_narrow(plan, rule.Rule(match=match))


# --- whose traffic ---


@each_kind
def test_a_flow_for_the_probe_is_narrow(ip: Literal[4, 6], protocol: path.Protocol) -> None:
    plan = plans.of(ip, protocol)

    assert is_narrow(PROBES[ip, protocol], plan)
    assert is_narrow(f"in_port=3,dl_vlan=1,{PROBES[ip, protocol]}", plan)


@pytest.mark.parametrize(("ip", "protocol"), ANSWERS)
def test_a_flow_for_its_answers_is_narrow(ip: Literal[4, 6], protocol: path.Protocol) -> None:
    assert is_narrow(ANSWERS[ip, protocol], plans.of(ip, protocol))


@each_kind
def test_a_flow_for_the_ends_questions_is_narrow(ip: Literal[4, 6], protocol: path.Protocol) -> None:
    assert is_narrow(QUESTIONS[ip], plans.of(ip, protocol))


@each_kind
@given(data=st.data())
def test_a_flow_that_lacks_one_field_is_not(ip: Literal[4, 6], protocol: path.Protocol, data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([PROBES[ip, protocol], QUESTIONS[ip]])).split(",")
    more = data.draw(st.lists(st.sampled_from(["in_port=3", "dl_vlan=1", "dl_dst=fa:16:3e:0d:9a:cf"]), unique=True))
    lacking = data.draw(st.integers(0, len(whole) - 1))
    match = ",".join([*more, *whole[:lacking], *whole[lacking + 1 :]])

    assert not is_narrow(match, plans.of(ip, protocol)), match


@pytest.mark.parametrize(
    "match",
    [
        "icmp,ip_src=192.168.77.231,ip_dst=192.168.77.207",
        "icmp,nw_dst=192.168.77.207,nw_src=192.168.77.231,icmp_type=8,icmp_code=0",
        "icmp,nw_src=192.168.77.231,nw_dst=192.168.77.207,eth_dst=fa:16:3e:0d:9a:cf,ct_state=+trk,reg5=0x2/0xff",
    ],
)
def test_other_names_and_further_fields_are_understood(match: str) -> None:
    assert is_narrow(match)


def test_ports_may_be_called_tp() -> None:
    assert is_narrow("tcp,nw_src=192.168.77.231,nw_dst=192.168.77.207,tp_dst=9443", TCP4)


def test_addresses_may_be_spelled_otherwise() -> None:
    assert is_narrow(PROBES[6, "icmp"].replace("fc00::f816", "FC00:0:0:0:f816"), ICMP6)


@pytest.mark.parametrize(
    "match",
    [
        "",
        "ip",
        "icmp",
        "in_port=3",
        "icmp,nw_src=192.168.77.231/24,nw_dst=192.168.77.207",
        "icmp,nw_src=192.168.77.231/0.0.0.0,nw_dst=192.168.77.207",
        "icmp,nw_src=192.168.77.231,nw_dst=192.168.77.208",
        "icmp,nw_src=192.168.77.231,nw_dst=192.168.77.231",
        "icmp,nw_src=192.168.77.1,nw_dst=192.168.77.207",
        "icmp6,nw_src=192.168.77.231,nw_dst=192.168.77.207",
        "tcp,nw_src=192.168.77.231,nw_dst=192.168.77.207,tcp_dst=9443",
        "arp,arp_spa=192.168.77.231",
        "arp,arp_tpa=192.168.77.207",
    ],
)
def test_a_flow_for_more_or_for_others_is_not_narrow(match: str) -> None:
    assert not is_narrow(match)


@pytest.mark.parametrize(
    "match",
    [
        "icmp,nw_src=192.168.77.231,nw_dst=192.168.77.207,nw_proto=6",
        "icmp,nw_src=192.168.77.231,nw_dst=192.168.77.207,tcp",
        "icmp,nw_src=192.168.77.231,nw_dst=192.168.77.207,ip_src=0.0.0.0/0",
        "icmp,nw_src=192.168.77.231,ip_src=192.168.77.231,nw_dst=192.168.77.207",
        "arp,arp_spa=192.168.77.231,arp_tpa=192.168.77.207,nw_src=0.0.0.0/0",
    ],
)
def test_a_field_that_takes_another_one_back_makes_a_flow_broad(match: str) -> None:
    assert not is_narrow(match)


def test_a_port_under_two_names_is_not_narrow() -> None:
    assert not is_narrow("tcp,nw_src=192.168.77.231,nw_dst=192.168.77.207,tcp_dst=9443,tp_dst=22", TCP4)
    assert not is_narrow("tcp,nw_src=192.168.77.231,nw_dst=192.168.77.207,tcp_dst=9443,udp", TCP4)


_FIELDS = st.sampled_from(
    [
        *PROBES[4, "tcp"].split(","),
        *PROBES[4, "icmp"].split(","),
        *QUESTIONS[4].split(","),
        *PROBES[6, "icmp"].split(","),
        *QUESTIONS[6].split(","),
        *("icmp", "icmp6", "tcp", "udp", "ip", "arp", "in_port=3", "dl_vlan=1", "icmp_type=8", "icmpv6_type=136"),
        *("nw_src=0.0.0.0/0", "ip_src=0.0.0.0/0", "ip_src=192.168.77.231", "ip_dst=192.168.77.207", "nw_proto=6"),
        *("tp_dst=9443", "tp_dst=80", "tp_src=80", "tp_src=0", "nw_tos=0", "nw_frag=later", "ip_proto=17"),
        *("dl_type=0x0800", "eth_type=0x86dd", "eth_src=00:00:00:00:00:00/00:00:00:00:00:00", "ipv6_src=::/0"),
        *("arp_op=1", "reg5=0/0", "ct_state=-trk", "vlan_tci=0/0", "icmp_type=128", "icmp_code=0"),
    ]
)


@pytest.mark.skipif(shutil.which("ovs-ofctl") is None, reason="needs ovs-ofctl")
@given(
    base=st.sampled_from([PROBES[4, "tcp"], PROBES[4, "icmp"], QUESTIONS[4], PROBES[6, "icmp"], QUESTIONS[6]]),
    more=st.lists(_FIELDS, max_size=2, unique_by=lambda field: field.partition("=")[0]),
    at=st.integers(0, 6),
    plan=st.sampled_from([ICMP4, TCP4, ICMP6]),
)
def test_what_is_narrow_is_so_in_the_switch_s_own_reading(base: str, more: list[str], at: int, plan: path.Plan) -> None:
    kept = [
        field for field in base.split(",") if field.partition("=")[0] not in {one.partition("=")[0] for one in more}
    ]
    match = ",".join([*kept[:at], *more, *kept[at:]])
    if not is_narrow(match, plan):
        return

    said = private.call("ovs-ofctl", "--no-names", "-O", "OpenFlow14", "parse-flow", f"{match},actions=drop")

    read = set(re.split(r"[, ]", said.rpartition("ADD ")[2].partition(" actions=")[0]))
    assert any(required <= read for required in _required(plan)), said


def _required(plan: path.Plan) -> list[set[str]]:
    """Return what a flow must hold at the least, in the words in which ovs-ofctl prints it."""
    words = [
        [PROBES[plan.ip_version, plan.protocol], QUESTIONS[plan.ip_version]],
        [text for (ip, protocol), text in ANSWERS.items() if (ip, protocol) == (plan.ip_version, plan.protocol)],
    ]
    printed = {"tcp_dst": "tp_dst", "tcp_src": "tp_src", "icmpv6_type": "icmp_type"}
    found: list[set[str]] = []
    for text in (text for texts in words for text in texts):
        fields = (field.partition("=") for field in text.split(","))
        found.append({f"{printed.get(name, name)}{equals}{value}" for name, equals, value in fields})
    return [*found, *({"icmp_type=136", *one - {"icmp_type=135"}} for one in found if "icmp_type=135" in one)]


def test_a_broad_flow_is_refused_with_the_least_that_it_must_match() -> None:
    sentence = refusal(lambda: prepare("priority=96,icmp,actions=NORMAL"))

    assert "the flow 'table=0,priority=96,icmp,actions=NORMAL' matches more than the traffic of run" in sentence
    assert PROBES[4, "icmp"] in sentence
    assert "allow-broad=true" in sentence


def test_one_broad_flow_among_narrow_ones_is_refused() -> None:
    narrow = f"priority=96,{PROBES[4, 'icmp']},actions=NORMAL"

    assert "priority=97" in refusal(lambda: prepare(f"{narrow} priority=97,actions=drop {narrow}"))


def test_without_a_run_any_flow_is_broad() -> None:
    sentence = refusal(lambda: prepare(f"priority=96,{PROBES[4, 'icmp']},actions=NORMAL", None))

    assert "name the run" in sentence


@pytest.mark.parametrize("plan", [None, ICMP4])
def test_a_broad_flow_may_be_wanted(plan: path.Plan | None) -> None:
    made = prepare("table=60,priority=96,actions=NORMAL", plan, allow_broad=True)

    assert [str(one) for one in made.rules] == ["table=60,priority=96,actions=NORMAL"]


# --- which ports ---


def test_the_name_of_a_port_becomes_its_number() -> None:
    made = prepare(f"priority=96,in_port=o-hm0,{PROBES[4, 'icmp']},actions=output:o-hm0")

    assert made.rules[0].match == f"in_port=3,{PROBES[4, 'icmp']}"


@pytest.mark.parametrize("port", ["3", "0x3", "LOCAL", "local", "65534"])
def test_numbers_and_openflow_s_own_ports_stay(port: str) -> None:
    made = prepare(f"in_port={port},actions=drop", allow_broad=True)

    assert made.rules[0].match == f"in_port={port}"


@pytest.mark.parametrize("port", ["o-hm1", "gre-ac1400d1", "tapabc", "-1", "3x"])
def test_a_port_that_the_bridge_has_not_is_refused(port: str) -> None:
    sentence = refusal(lambda: prepare(f"in_port={port},{PROBES[4, 'icmp']},actions=drop"))

    assert f"there is no port {port!r} on br-int" in sentence
    assert "ovs-vsctl list-ports br-int" in sentence


def test_a_bridge_that_is_not_there_is_refused_by_name() -> None:
    assert refusal(lambda: prepare("actions=drop", bridge="br-ex")) == (
        "there is no bridge 'br-ex' on this host; name one of br-int, br-tun"
    )


def test_each_injection_has_a_cookie_of_its_own() -> None:
    made = [prepare("actions=drop", allow_broad=True) for _ in range(2)]

    assert made[0].cookie != made[1].cookie
