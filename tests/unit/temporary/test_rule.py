"""An operator's flows: read as ovs-ofctl reads them, or refused in one sentence."""

import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovs_pathfinder import errors
from ovs_pathfinder.temporary import rule

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def refusal(attempt: Callable[[], Any]) -> str:
    """Return the sentence with which something is refused."""
    with pytest.raises(errors.PathfinderError) as caught:
        attempt()
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert not sentence.endswith(".")
    assert len(sentence) < 700
    return sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("actions=drop", ["table=0,priority=32768,actions=drop"]),
        (
            "table=0,priority=96,icmp6,in_port=3,actions=NORMAL",
            ["table=0,priority=96,icmp6,in_port=3,actions=NORMAL"],
        ),
        (
            " table=71, priority=65535, ipv6_src=fe80::/10, ipv6   actions=resubmit(,72),output:3 ip,actions=drop ",
            ["table=71,priority=65535,ipv6_src=fe80::/10,ipv6,actions=resubmit(,72),output:3",
             "table=0,priority=32768,ip,actions=drop"],
        ),
        (
            "in_port=o-hm0,ct_state=+trk-new,actions=load:0x1->NXM_NX_REG15[],NORMAL",
            ["table=0,priority=32768,in_port=o-hm0,ct_state=+trk-new,actions=load:0x1->NXM_NX_REG15[],NORMAL"],
        ),
        ("table=253,priority=0,actions=learning", ["table=253,priority=0,actions=learning"]),
    ],
)  # fmt: skip
def test_flows_are_read(text: str, expected: list[str]) -> None:
    assert [str(one) for one in rule.parse(text)] == expected


@pytest.mark.parametrize("character", [*";&|$`\"'\\<!#~?*{}\n\t\r\0%^", "\N{NO-BREAK SPACE}", "é", "٣", "\ud800"])
def test_a_character_that_no_flow_needs_is_refused(character: str) -> None:
    sentence = refusal(lambda: rule.parse(f"table=0,priority=96,icmp6{character},actions=NORMAL"))

    assert sentence.startswith(f"the flows hold {character!a}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no actions"),
        ("   ", "no actions"),
        ("table=0,priority=96,icmp6", "no actions"),
        ("ip,actions=drop icmp6", "'icmp6'"),
        ("ip,actions=", "no actions"),
        ("ip,action=drop", "no actions"),
        ("xactions=drop", "no actions"),
        ("ip,actions= icmp,actions=drop", "'actions='"),
        ("ip,action=drop,actions=drop", "has action"),
        ("cookie=0x5,ip,actions=drop", "has cookie"),
        ("cookie=0x5/-1,ip,actions=drop", "has cookie"),
        ("hard_timeout=5,ip,actions=drop", "has hard_timeout"),
        ("ip,idle_timeout=5,actions=drop", "has idle_timeout"),
        ("ip,importance=5,actions=drop", "has importance"),
        ("send_flow_rem,ip,actions=drop", "has send_flow_rem"),
        ("check_overlap,ip,actions=drop", "has check_overlap"),
        ("reset_counts,ip,actions=drop", "has reset_counts"),
        ("no_packet_counts,ip,actions=drop", "has no_packet_counts"),
        ("no_byte_counts,ip,actions=drop", "has no_byte_counts"),
        ("duration=3.2s,table=0,n_packets=4,ip,actions=drop", "has duration"),
        ("out_port=3,actions=drop", "has out_port"),
        ("ip,actions=learn(table=5)", "learns other flows"),
        ("ip,actions=NORMAL,LEARN(table=5)", "learns other flows"),
        ("ip,actions=learn:table=5", "learns other flows"),
        ("ip,actions=clone(learn(table=5))", "learns other flows"),
        ("ip,actions=ct(commit,zone=1),NORMAL", "commits connections"),
        ("reg15=5,actions=drop", "matches reg15"),
        ("reg15=0x1/0xff,actions=drop", "matches reg15"),
        ("xreg7=5,actions=drop", "matches xreg7"),
        ("xxreg3=5,actions=drop", "matches xxreg3"),
        ("NXM_NX_REG15[0..5]=3,actions=drop", "no field"),
        ("reg15[0..5]=3,actions=drop", "no field"),
        ("table=254,actions=drop", "table 254"),
        ("table=255,actions=drop", "table 255"),
        ("table=-1,actions=drop", "no number"),
        ("table=0x5,actions=drop", "no number"),
        ("table=,actions=drop", "no field"),
        ("table,actions=drop", "no number"),
        ("table=classifier,actions=drop", "no number"),
        (f"table={'9' * 5000},actions=drop", "no number"),
        ("priority=65536,actions=drop", "priority 65536"),
        ("priority=1e3,actions=drop", "no number"),
        ("priority=1,priority=2,actions=drop", "priority twice"),
        ("table=1,ip,table=2,actions=drop", "table twice"),
        ("in_port=1,in_port=2,actions=drop", "in_port twice"),
        ("table:3,ip,actions=drop", "'table:3'"),
        ("priority(7),ip,actions=drop", "'priority(7)'"),
        ("cookie:5,ip,actions=drop", "'cookie:5'"),
        ("hard_timeout(5),ip,actions=drop", "'hard_timeout(5)'"),
        ("packet_type=(1,0x800),actions=drop", "'packet_type=(1'"),
        ("in_port 1,actions=drop", "'1'"),
        ("ip,nw_src=10.0.0.256,actions=drop", "nw_src=10.0.0.256, which does not fit"),
        ("ip,nw_src=10.0.0.1/255.255.256.0,actions=drop", "does not fit"),
        ("arp,arp_spa=1.2.3.1000,actions=drop", "does not fit"),
        ("tun_src=1.2.3.999,actions=drop", "does not fit"),
        ("dl_vlan=4096,actions=drop", "does not fit"),
        ("dl_vlan=0x1001,actions=drop", "does not fit"),
        ("dl_vlan_pcp=8,actions=drop", "does not fit"),
        ("ip,ip_dscp=64,actions=drop", "does not fit"),
        ("arp,arp_op=256,actions=drop", "does not fit"),
        ("ip,nw_tos=3,actions=drop", "does not fit"),
        (f"ip,nw_src=1.1.1.{'9' * 5000},actions=drop", "does not fit"),
        ("dl_src=fa:16:3e:0d:9a:ccf,actions=drop", "does not fit"),
        ("dl_src=fa:16:3e:0d:9a:cf/ff:ff:ff:fff:0:0,actions=drop", "does not fit"),
        (" ".join(["ip,actions=drop"] * 101), "101 flows"),
        ("ip," * 30_000 + "actions=drop", "characters"),
        ("x" * 1_000_000, "characters"),
    ],
)  # fmt: skip
def test_what_a_temporary_flow_may_not_be_is_refused(text: str, said: str) -> None:
    assert said in refusal(lambda: rule.parse(text))


_PIECES = (
    *("table=3", "table:3", "table(3)", "table", "priority=7", "priority:7", "PRIORITY=7", "ip", "icmp6", "tcp"),
    *("in_port=1", "in_port=LOCAL", "dl_vlan=0", "nw_src=10.0.0.1", "reg3=5", "reg3[0..4]=5", "eth()", "=", "=="),
    *("actions=", "actions=drop", "action=drop", "actions=resubmit(,4)", "drop", "add", "delete", ",", " ", "(", ")"),
    *("cookie=1", "hard_timeout=3", "[", "]", "->", "+", "-", "@", "/", "9999999999", "\n", ";", "é", "ct_state=+trk"),
)
_PIECED = st.lists(st.sampled_from(_PIECES) | st.just(","), max_size=14).map("".join)


@settings(max_examples=400, suppress_health_check=_SLOW)
@given(st.text(max_size=60) | _PIECED)
def test_whatever_is_read_is_flows_or_refused_in_one_sentence(text: str) -> None:
    try:
        found = rule.parse(text)
    except errors.PathfinderError as error:
        assert str(error).isprintable()  # noqa: PT017
        return

    assert 0 < len(found) <= 100
    assert rule.parse(" ".join(map(str, found))) == found
    assert all(str(one).count("actions=") >= 1 and " " not in str(one) for one in found)


@settings(max_examples=120, suppress_health_check=_SLOW)
@given(
    st.lists(st.sampled_from(_PIECES), max_size=6).map(",".join),
    st.sampled_from(["actions=drop", "actions=output:1,table=5"]),
)
def test_ovs_ofctl_reads_a_flow_as_it_was_read_here(head: str, actions: str) -> None:
    try:
        (one,) = rule.parse(f"{head},{actions}")
    except (errors.PathfinderError, ValueError):
        return

    command = ["ovs-ofctl", "-O", "OpenFlow14", "parse-flow", str(one)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    for read in re.findall(r"ADD(.*?)actions=", said):
        assert re.findall(r"table:(\d+)", read) == ([str(one.table)] if one.table else [])
        assert re.findall(r"priority=(\d+)", read) == ([str(one.priority)] if one.priority != 32768 else [])
        assert not re.search(r"cookie|hard|idle|importance", read)
