"""Temporary flows on a real switch, among all that others may have put there."""

import contextlib
import os
import pathlib
import re
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovs_pathfinder import errors, process
from ovs_pathfinder.temporary import flows, rule
from ovs_pathfinder.vswitch import flow
from tests.lab import processes
from tests.unit.vswitch import private

if TYPE_CHECKING:
    from typing_extensions import LiteralString

BRIDGE = "br-int"
_PORTS = (
    "-- add-port {0} {1}1 -- set Interface {1}1 type=dummy ofport_request=1 "
    "-- add-port {0} {1}2 -- set Interface {1}2 type=dummy ofport_request=2"
)
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def switch() -> Iterator[pathlib.Path]:
    """A switch for all tests of this module."""
    if reason := private.missing():
        pytest.skip(reason)
    with private.running() as place:
        private.configure(f"add-br {BRIDGE} -- set Bridge {BRIDGE} datapath_type=dummy {_PORTS.format(BRIDGE, 'p')}")
        yield place


@pytest.fixture
def bridge(switch: pathlib.Path) -> str:
    """An empty bridge."""
    install([])
    return BRIDGE


@pytest.fixture
def other_bridge(switch: pathlib.Path) -> Iterator[Callable[[str], str]]:
    """Make a bridge with settings of its own, which goes when the test ends."""

    def make(more: str) -> str:
        private.configure(f"add-br br-odd -- set Bridge br-odd datapath_type=dummy {more}")
        return "br-odd"

    yield make
    private.configure("--if-exists del-br br-odd")


@pytest.fixture
def own_switch(switch: pathlib.Path) -> Iterator[pathlib.Path]:
    """A switch for one test, which may stop it."""
    with private.running() as place:
        private.configure(f"add-br {BRIDGE} -- set Bridge {BRIDGE} datapath_type=dummy {_PORTS.format(BRIDGE, 'q')}")
        yield place


def install(lines: Sequence[str]) -> None:
    """Replace all flows, in one bundle."""
    text = "\n".join(["delete", *(f"add {line}" for line in lines)])
    private.call("ovs-ofctl", "-O", "OpenFlow14", "--bundle", "add-flows", BRIDGE, "-", stdin=text)


def given_flows(text: str, bridge: str = BRIDGE) -> flows.Flows:
    return flows.Flows(bridge=bridge, cookie=flows.new_cookie(), rules=rule.parse(text))


def refusal(attempt: Callable[[], Any]) -> str:
    """Return the sentence with which something is refused, which is one, and no tool's."""
    with pytest.raises(errors.PathfinderError) as caught:
        attempt()
    sentence = str(caught.value)
    assert sentence.isprintable()
    assert not sentence.endswith(".")
    assert not re.search(r"ovs-ofctl: |-:\d|\|WARN\||xid=", sentence)
    assert len(sentence) < 700
    return sentence


# --- tables of others ---

_TABLES = (0, 23, 60, 71, 72, 82, 253)
_PRIORITIES = (0, 1, 96, 97, 32768, 65535)
_MACS = ("fa:16:3e:a8:7e:f6", "fa:16:3e:0d:9a:cf")
_SIX = ("fc00::f816:3eff:fea8:7ef6", "fe80::f816:3eff:fe0d:9acf")
_FOUR = ("192.168.77.231", "192.168.77.207")
_COOKIES = (
    *(0, 1, 0x6F7066, 0x6F7066 << 40, (0x6F7066 << 40) | 1, 0x6F7066FFFFFFFFFF, 0xFFFFFFFFFFFFFFFE),
    *(0x5A3C91B2E4D70F68, 0x6F70665A3C91B2E4),
)


def _filled(*templates: str) -> st.SearchStrategy[str]:
    """Fill in ports, VLANs, MACs and addresses."""
    values = st.fixed_dictionaries(
        {
            "port": st.sampled_from((1, 2, 7)),
            "vlan": st.sampled_from((0, 1, 4095)),
            "mac": st.sampled_from(_MACS),
            "six": st.sampled_from(_SIX),
            "four": st.sampled_from(_FOUR),
            "number": st.integers(0, 3),
        }
    )
    return st.tuples(st.sampled_from(templates), values).map(lambda drawn: drawn[0].format(**drawn[1]))


_USUAL = _filled(
    *("", "in_port={port}", "dl_vlan={vlan}", "in_port={port},dl_vlan={vlan}", "ip", "ipv6", "icmp6", "arp"),
    *("icmp6,in_port={port},icmp_type=135,nd_target={six}", "icmp6,icmp_type=136,nd_target={six},in_port={port}"),
    *("icmp6,in_port={port},dl_src={mac},ipv6_src={six},icmp_type=130", "icmp6,icmp_type=135,nd_sll={mac}"),
    *("arp,in_port={port},dl_src={mac},arp_spa={four}", "arp,arp_op={number},arp_tpa={four}", "ip,nw_dst={four}/24"),
    *("udp,in_port={port},nw_src=0.0.0.0,tp_src=68,tp_dst=67", "udp6,in_port={port},tp_src=546,tp_dst=547"),
    *("tcp6,reg5={number},tp_dst=9443", "tcp,nw_src={four},tp_dst=0x3e8/0xfff8", "dl_vlan={vlan},dl_dst={mac}"),
    *("ct_state=+new-est,ip,reg5={number}", "ct_state=+est-rel+rpl,ct_zone={vlan},ct_mark=0x1,reg5={number}"),
    *("ct_state=+inv+trk", "ct_mark=0x1,reg5={number}", "conj_id={number},ct_state=+est-rel-rpl,ip,reg5={number}"),
    *("tun_id={number}", "reg5={number},in_port={port},dl_src={mac}", "ipv6,ipv6_src={six}/64,ipv6_dst={six}"),
    *("dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "vlan_tci=0x0000/0x1fff", "dl_type=0x88cc", "reg6={number}/0x3"),
    *("metadata={number}", "tcp,tcp_flags=+syn-ack", "ip,nw_frag=later", "icmp,icmp_type=8", "icmp6,icmp_type=128"),
)
_ODD = _filled(
    *("reg15={number}", "reg15=0x6f706621", "reg15=0x6f706621,in_port={port}", "reg15=0/0x80000000", "xreg7={number}"),
    *("reg12={number}", "xxreg3={number}", "xxreg3=0/0xff", "reg12=0,reg13=0,reg14=0,reg15={number}", "reg0=0x6f7066"),
)
_ACTIONS = (
    *("drop", "NORMAL", "output:2", "output:1,output:2", "set_field:0x3->reg5,NORMAL", "load:0x1->NXM_NX_REG15[]"),
    *("mod_vlan_vid:5,output:2", "resubmit(,254)", "conjunction(7,1/2)", "note:01.02.03.04.05.06", "IN_PORT", "ALL"),
    *("learn(table=60,priority=96,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])", "FLOOD"),
    *("learn(table=71,hard_timeout=300,priority=1,cookie=0x6f70660000000001,NXM_OF_VLAN_TCI[0..11])", "goto_table:253"),
)  # fmt: skip
_HEAD = st.tuples(
    st.sampled_from(("", "hard_timeout=1000,", "idle_timeout=2000,", "hard_timeout=65535,idle_timeout=65535,")),
    st.sampled_from(("", "importance=7,", "importance=65535,")),
    st.sampled_from(("", "send_flow_rem,", "reset_counts,", "no_packet_counts,", "no_byte_counts,send_flow_rem,")),
).map("".join)


@st.composite
def _others(draw: st.DrawFn) -> str:
    """One flow of somebody else's."""
    table = draw(st.sampled_from(_TABLES))
    actions = draw(st.sampled_from(_ACTIONS).filter(lambda words: table < 253 or "goto_table" not in words))
    cookie = draw(st.sampled_from(_COOKIES) | st.integers(0, 0xFFFFFFFFFFFFFFFE))
    match = draw(_USUAL | _ODD)
    head = f"cookie={cookie:#x},{draw(_HEAD)}table={table},priority={draw(st.sampled_from(_PRIORITIES))}"
    return f"{head}{match and ','}{match},actions={actions}"


_PIPELINE = tuple(
    f"cookie=0x5a3c91b2e4d70f68,{line}"
    for line in (
        "table=0,priority=0,actions=resubmit(,60)",
        "table=60,priority=100,in_port=1,actions=set_field:0x1->reg5,set_field:0x1->reg6,resubmit(,71)",
        "table=60,priority=3,actions=NORMAL",
        f"table=71,priority=95,icmp6,reg5=0x1,in_port=1,dl_src={_MACS[0]},icmp_type=135,actions=NORMAL",
        "table=71,priority=90,arp,reg5=0x1,actions=resubmit(,82)",
        "table=71,reset_counts,priority=0,actions=drop",
        "table=82,priority=50,arp,actions=output:2",
    )
)
"""What a packet of the tests passes through, so that counters are not zero."""
_FOREIGN = st.tuples(st.sampled_from([_PIPELINE, _PIPELINE, ()]), st.lists(_others(), min_size=2, max_size=30)).map(
    lambda drawn: [*drawn[0], *drawn[1]]
)
_RULE = st.builds(
    rule.Rule,
    table=st.sampled_from(_TABLES[:4]),
    priority=st.sampled_from((*_PRIORITIES, 95, 98)),
    match=_USUAL,
    actions=st.sampled_from(("NORMAL", "drop", "output:2", "resubmit(,72)")),
)
_OURS = st.lists(_RULE, min_size=1, max_size=5, unique_by=lambda one: one.strict)
_PACKETS = (
    *(
        f"in_port(1),eth(src={_MACS[0]},dst={_MACS[1]}),eth_type(0x86dd),ipv6(src={_SIX[0]},dst={_SIX[1]},label=0,"
        f"proto=58,tclass=0,hlimit=255,frag=no),icmpv6(type={kind},code=0)"
        for kind in (128, 130)
    ),
    f"in_port(1),eth(src={_MACS[0]},dst=33:33:00:00:00:01),eth_type(0x86dd),ipv6(src={_SIX[0]},dst=ff02::1,label=0,"
    f"proto=58,tclass=0,hlimit=255,frag=no),icmpv6(type=135,code=0),nd(target={_SIX[1]},sll={_MACS[0]})",
    f"in_port(1),eth(src={_MACS[0]},dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),arp(sip={_FOUR[0]},tip={_FOUR[1]},op=1,"
    f"sha={_MACS[0]},tha=00:00:00:00:00:00)",
    f"in_port(1),eth(src={_MACS[0]},dst={_MACS[1]}),eth_type(0x8100),vlan(vid=1,pcp=0),encap(eth_type(0x0800),"
    f"ipv4(src={_FOUR[0]},dst={_FOUR[1]},proto=6,tos=0,ttl=64,frag=no),tcp(src=9,dst=1000),tcp_flags(syn))",
)


def sort(change: flows.Flows, dump: list[str]) -> tuple[list[str], list[str]]:
    """Part a dump into a change's flows and all others."""
    mark = f"cookie={change.cookie},"
    return [line for line in dump if line.startswith(mark)], [line for line in dump if not line.startswith(mark)]


def levels(dump: list[str]) -> set[tuple[int, int]]:
    return {(found.table, found.priority) for line in dump if (found := flow.parse(line))}


@settings(max_examples=50, deadline=None, suppress_health_check=_SLOW)
@given(_FOREIGN, _OURS, st.lists(st.sampled_from(_PACKETS), min_size=1, max_size=4))
def test_flows_of_others_stay_as_they_are(
    switch: pathlib.Path, others: list[str], rules: list[rule.Rule], packets: list[str]
) -> None:
    install(others)
    private.receive("p1", *packets)
    before = private.dump(BRIDGE)
    change = flows.Flows(bridge=BRIDGE, cookie=flows.new_cookie(), rules=tuple(rules))
    is_taken = bool(levels(before) & {one.level for one in rules})

    change.check()
    if is_taken:
        assert "is in use" in refusal(lambda: change.make(60))
        assert private.dump(BRIDGE) == before
        assert change.undo().state == "gone"
        assert private.dump(BRIDGE) == before
        return

    change.make(60)
    made = private.dump(BRIDGE)
    ours, rest = sort(change, made)
    assert rest == before
    assert len(ours) == len(rules)
    assert all("hard_timeout=60, " in line and "n_packets=0, " in line for line in ours)
    assert "is in use" in refusal(lambda: change.make(60))
    assert private.dump(BRIDGE) == made

    assert change.undo().state == "undone"
    assert private.dump(BRIDGE) == before
    assert change.undo().state == "gone"
    assert private.dump(BRIDGE) == before


@pytest.mark.parametrize("priority", [0, 96, 65535])
@pytest.mark.parametrize("match", ["", "in_port=1", "reg15=5", "reg15=0x6f706621", "xxreg3=0x6f706621", "reg12=0/1"])
def test_no_flow_of_a_level_is_overlooked(bridge: str, match: str, priority: int) -> None:
    install([f"cookie=0x6f70660000000001,table=3,priority={priority},{match},actions=output:2"])
    before = private.dump(bridge)
    change = given_flows(f"table=3,priority={priority},ip,actions=NORMAL")

    assert "is in use" in refusal(lambda: change.make(60))

    assert change.undo().state == "gone"
    assert private.dump(bridge) == before


@settings(max_examples=20, deadline=None, suppress_health_check=_SLOW)
@given(st.data())
def test_a_level_with_any_flow_of_others_is_refused_and_stays(switch: pathlib.Path, data: st.DataObject) -> None:
    others = data.draw(_FOREIGN)
    install(others)
    before = private.dump(BRIDGE)
    table, priority = data.draw(st.sampled_from(sorted(levels(before))))
    rules = data.draw(_OURS)
    taken = rules[0].model_copy(update={"table": table, "priority": priority, "match": "in_port=9"})
    change = flows.Flows(bridge=BRIDGE, cookie=flows.new_cookie(), rules=(*rules[1:], taken))

    sentence = refusal(lambda: change.make(60))

    assert "is in use" in sentence
    assert "choose another priority" in sentence
    assert private.dump(BRIDGE) == before
    assert change.undo().state == "gone"
    assert private.dump(BRIDGE) == before


@settings(max_examples=12, deadline=None, suppress_health_check=_SLOW)
@given(_FOREIGN, st.lists(_OURS, min_size=2, max_size=3))
def test_several_changes_at_once_leave_each_other_alone(
    switch: pathlib.Path, others: list[str], several: list[list[rule.Rule]]
) -> None:
    install(others)
    changes: list[flows.Flows] = []
    dumps = [private.dump(BRIDGE)]
    for rules in several:
        change = flows.Flows(bridge=BRIDGE, cookie=flows.new_cookie(), rules=tuple(rules))
        if not levels(dumps[-1]) & {one.level for one in rules}:
            change.make(60)
            changes.append(change)
            dumps.append(private.dump(BRIDGE))

    for change in changes:
        _, rest = sort(change, private.dump(BRIDGE))
        assert change.undo().state == "undone"
        assert private.dump(BRIDGE) == rest
    assert private.dump(BRIDGE) == dumps[0]


# --- the flows themselves ---

_NEUTRONS = (
    "cookie=0x5a3c91b2e4d70f68,table=0,priority=0,actions=NORMAL",
    "cookie=0x5a3c91b2e4d70f68,table=60,priority=100,in_port=1,actions=set_field:0x1->reg5,resubmit(,71)",
)


@pytest.mark.parametrize(
    "match",
    [
        *("icmp6,icmpv6_type=135", "icmp6,icmp_type=135,icmp_code=0", "icmp6,icmpv6_type=136,nd_target=FE80:0:0::1"),
        *("ip,nw_src=0.0.0.0/0", "ipv6,ipv6_src=::/0", "ip,nw_src=10.0.0.9/24", "ip,nw_src=10.1.2.3/0.0.255.0"),
        *("dl_vlan=0", "dl_vlan=4095", "vlan_tci=0", "vlan_tci=0x1005/0x1fff", "dl_vlan=5,vlan_vid=0x1005"),
        *("ipv6,ipv6_src=FC00:5896:ff23:44DC:0:0:0:1", "ipv6,ipv6_dst=::ffff:10.0.0.1", "dl_src=FA:16:3E:A8:7E:F6"),
        *("in_port=3", "in_port=LOCAL", "in_port=65534", "dl_type=0x86dd,nw_proto=58,icmpv6_type=135", "ip,ip_dscp=3"),
        *("eth_type=0x800,ip_proto=17,udp_dst=5555", "tcp,tp_dst=0x3e8/0xfff8", "ct_state=-new+trk,ip,ct_zone=0"),
        *("reg3=0", "reg3=0/0", "xreg0=0x100000002", "xxreg0=5", "tun_id=0", "metadata=0x1/0x1", "conj_id=0", ""),
        *("arp,nw_src=1.2.3.4", "arp,arp_op=1,arp_sha=fa:16:3e:a8:7e:f6", "tcp,tcp_flags=+syn-ack", "ip,nw_frag=yes"),
    ],
)
def test_strict_deletion_hits_a_flow_however_it_is_written(
    bridge: str, monkeypatch: pytest.MonkeyPatch, match: str
) -> None:
    install(_NEUTRONS)
    before = private.dump(bridge)
    change = given_flows(f"table=7,priority=96,{match},actions=drop")
    commands = _record(monkeypatch)

    change.check()
    change.make(60)
    assert len(change.present()) == 1
    outcome = change.undo()

    assert outcome.text == f"1 flow with cookie {change.cookie} deleted from {bridge}."
    assert private.dump(bridge) == before
    assert not [command for command in commands if "del-flows" in command]


def test_flows_overlap_among_themselves(bridge: str) -> None:
    install(_NEUTRONS)
    before = private.dump(bridge)
    change = given_flows(
        "table=0,priority=9,ip,actions=drop table=0,priority=9,actions=NORMAL table=0,priority=9,in_port=1,actions=drop"
        " table=0,priority=10,ip,actions=drop table=1,priority=9,ip,actions=NORMAL"
    )

    change.check()
    change.make(1)

    assert sort(change, private.dump(bridge))[1] == before
    assert len(change.present()) == 5
    assert change.undo().text == f"5 flows with cookie {change.cookie} deleted from {bridge}."
    assert private.dump(bridge) == before


@pytest.mark.parametrize(
    "text",
    [
        "ip,actions=drop ip,actions=drop",
        "ip,actions=drop ip,actions=NORMAL",
        "icmp6,icmpv6_type=135,actions=drop icmp_type=135,icmp6,actions=drop",
        "ip,nw_src=0.0.0.0/0,actions=drop ip,actions=drop",
        "ipv6,ipv6_src=FE80::1,actions=drop ipv6,ipv6_src=fe80:0::1,actions=drop",
        "priority=32768,ip,actions=drop table=0,ip,actions=drop",
    ],
)
def test_flows_that_are_one_to_the_switch_are_refused(bridge: str, text: str) -> None:
    change = given_flows(text)

    assert "match the same" in refusal(change.check)
    assert "1 flow where 2" in refusal(lambda: change.make(60))
    assert change.undo().state == "undone"
    assert private.dump(bridge) == []


@pytest.mark.parametrize(
    "match",
    [
        *("icmpv6_type=135", "in_port=1,nw_src=10.0.0.1", "nd_target=fe80::1", "tp_dst=80", "ip,tp_dst=80"),
        *("icmp6,nd_target=fe80::1", "icmp6,ipv6_src=fe80::1,dl_type=0x0800", "ip,ipv6_src=fe80::1", "arp_op=1"),
    ],
)
def test_a_flow_that_would_match_more_than_it_says_is_refused(bridge: str, match: str) -> None:
    change = given_flows(f"ip,actions=drop {match},actions=NORMAL in_port=2,actions=drop")

    sentence = refusal(change.check)

    assert f"'table=0,priority=32768,{match},actions=NORMAL' would lose a field" in sentence


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("foo=3,actions=drop", "unknown keyword foo"),
        ("in_port=nosuch,actions=drop", "nosuch"),
        ("nw_src=10.0.0.0.1,ip,actions=drop", "10.0.0.0.1"),
        ("dl_vlan=99999999999999999999,actions=drop", "too large"),
        ("ip,actions=bogus", "unknown action bogus"),
        ("ip,actions=resubmit(,300)", "300"),
        ("ip,actions=drop,output:1", "drop"),
        ("ip,actions=output:99999999", "99999999"),
        ("table=5,actions=goto_table:3", "OFPBIC_BAD_TABLE_ID"),
        ("ip,actions=drop,actions=drop", "action"),
        ("actions=ct(table=4)", "ct"),
    ],
)
def test_what_ovs_ofctl_does_not_understand_is_refused_before_anything_changes(
    bridge: str, text: str, said: str
) -> None:
    install(_NEUTRONS)
    before = private.dump(bridge)
    change = given_flows(f"table=9,priority=3,ip,actions=drop {text}")

    assert said in refusal(change.check)
    assert said in refusal(lambda: change.make(60))
    assert change.undo().state == "gone"
    assert private.dump(bridge) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [("ip,actions=group:7", "(OFPBAC_BAD_OUT_GROUP)"), ("ip,actions=meter:7", "(OFPMMFC_INVALID_METER)")],
)
def test_what_only_the_switch_refuses_changes_nothing(bridge: str, text: str, said: str) -> None:
    install(_NEUTRONS)
    before = private.dump(bridge)
    change = given_flows(f"table=9,priority=3,ip,actions=drop {text}")

    change.check()
    sentence = refusal(lambda: change.make(60))

    assert sentence.startswith(f"{bridge} takes none of the flows: ip ")
    assert sentence.endswith(said)
    assert private.dump(bridge) == before
    assert change.undo().state == "gone"


@pytest.mark.parametrize("seconds", [0, -1, 65536])
def test_a_life_that_the_switch_cannot_end_is_refused(bridge: str, seconds: int) -> None:
    assert str(seconds) in refusal(lambda: given_flows("ip,actions=drop").make(seconds))
    assert private.dump(bridge) == []


def test_a_flow_that_comes_after_the_check_is_respected(bridge: str) -> None:
    change = given_flows("table=3,priority=96,ip,actions=NORMAL table=4,priority=96,ip,actions=NORMAL")
    change.check()
    install(["cookie=0x77,table=4,priority=96,ip,actions=drop"])
    before = private.dump(bridge)

    sentence = refusal(lambda: change.make(60))

    assert f"priority 96 of table 4 in {bridge} is in use: cookie=0x77, " in sentence
    assert private.dump(bridge) == before


def test_a_flow_that_others_put_in_the_place_of_one_stays(bridge: str) -> None:
    install(_NEUTRONS)
    change = given_flows("table=3,priority=96,ip,actions=NORMAL table=3,priority=96,arp,actions=NORMAL")
    change.make(60)
    private.call("ovs-ofctl", "add-flow", bridge, "cookie=0x77,table=3,priority=96,ip,actions=drop")
    _, before = sort(change, private.dump(bridge))

    assert change.undo().state == "undone"

    assert len(before) == 3
    assert private.dump(bridge) == before


def test_flows_whose_actions_others_changed_are_deleted_all_the_same(bridge: str) -> None:
    change = given_flows("table=3,priority=96,ip,actions=NORMAL")
    change.make(60)
    private.call("ovs-ofctl", "-O", "OpenFlow14", "mod-flows", bridge, "table=3,actions=drop")

    assert change.undo().state == "undone"

    assert private.dump(bridge) == []


def test_no_packet_meets_what_only_looks_whether_a_priority_is_free(bridge: str) -> None:
    install(["cookie=0x77,table=0,priority=10,in_port=1,actions=output:2"])
    change = given_flows("table=0,priority=200,dl_type=0x88cc,actions=drop")
    failed: list[BaseException] = []

    def often() -> None:
        try:
            for _ in range(25):
                change.make(60)
                change.undo()
        except errors.PathfinderError as error:
            failed.append(error)

    changing = threading.Thread(target=often)
    changing.start()
    sent = 0
    while changing.is_alive():
        private.receive("p1", *_PACKETS)
        sent += len(_PACKETS)
    changing.join()

    assert not failed
    assert sent >= 25
    (found,) = [flow.parse(line) for line in private.dump(bridge)]
    assert found is not None
    assert found.packets == sent


def test_the_work_does_not_grow_with_the_tables_of_others(bridge: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change = given_flows("table=71,priority=96,icmp6,in_port=1,actions=NORMAL table=60,priority=7,actions=drop")
    commands = _record(monkeypatch)
    work: list[list[tuple[str, ...]]] = []
    for count in (10, 10_000):
        install(list(_neutrons(count)))
        before = private.dump(bridge)
        commands.clear()
        change.check()
        change.make(60)
        assert change.undo().state == "undone"
        work.append(list(commands))
        assert len(before) == count
        assert private.dump(bridge) == before

    assert work[0] == work[1]
    assert len(work[0]) == 11


def _neutrons(count: int) -> Iterator[str]:
    """Yield flows of the shape that Neutron's agent gives ports."""
    for number in range(count // 5):
        mac = f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}"
        own = f"reg5={number},in_port={number},dl_src={mac}"
        yield f"cookie=0x5a,table=60,priority=100,in_port={number},actions=set_field:{number}->reg5,resubmit(,71)"
        yield f"cookie=0x5a,table=71,priority=95,icmp6,{own},ipv6_src=fc00::{number:x},icmp_type=135,actions=NORMAL"
        yield f"cookie=0x5a,table=71,priority=65,ip,{own},nw_src=10.0.{number >> 8}.{number & 255},actions=ct(table=72)"
        yield f"cookie=0x5a,table=72,priority=77,ct_state=+est-rel-rpl,tcp,reg5={number},tp_dst=9443,actions=NORMAL"
        yield f"cookie=0x5a,table=73,priority=100,reg6=0x1,dl_dst={mac},actions=set_field:{number}->reg5,NORMAL"


def _record(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Record the commands that the library runs."""
    run, commands = process.run, list[tuple[str, ...]]()

    def recorded(command: "process.Command | Sequence[LiteralString]", **more: Any) -> str:
        commands.append(command.words if isinstance(command, process.Command) else tuple(command))
        return run(command, **more)

    monkeypatch.setattr(process, "run", recorded)
    return commands


# --- bridges and daemons ---


def test_a_bridge_that_is_not_there_is_refused_and_its_flows_are_gone(switch: pathlib.Path) -> None:
    change = given_flows("ip,actions=drop", bridge="br-none")

    assert f"there is no bridge br-none on this host; it has {BRIDGE}" in refusal(change.check)
    assert "br-none" in refusal(lambda: change.make(60))
    assert change.undo().text == "The bridge br-none is gone, and its flows with it."


def test_a_bridge_without_bundles_is_refused(other_bridge: Callable[[str], str]) -> None:
    change = given_flows("ip,actions=drop", bridge=other_bridge("protocols=OpenFlow10,OpenFlow12"))

    assert "br-odd does not speak OpenFlow 1.3 or a later version" in refusal(change.check)
    assert "br-odd does not speak OpenFlow 1.3 or a later version" in refusal(lambda: change.make(60))
    assert change.undo().state == "gone"


@pytest.mark.parametrize("protocols", ["OpenFlow13", "OpenFlow14", "OpenFlow15", "OpenFlow13,OpenFlow14"])
def test_a_bridge_without_openflow_10_will_do(other_bridge: Callable[[str], str], protocols: str) -> None:
    change = given_flows("ip,nw_tos=48,actions=drop icmp6,priority=7,actions=NORMAL", bridge=other_bridge(""))
    private.configure(f"set Bridge br-odd protocols={protocols}")
    theirs = "cookie=0x6f70660000000001,priority=5,ip,actions=drop"
    private.call("ovs-ofctl", "-O", protocols, "add-flow", "br-odd", theirs)
    before = _dumped("br-odd", protocols)
    again = given_flows("arp,actions=drop", bridge="br-odd")

    change.check()
    change.make(60)

    assert len(change.present()) == 2
    assert "is in use" in refusal(lambda: again.make(60))
    assert change.undo().state == "undone"
    assert _dumped("br-odd", protocols) == before


def _dumped(bridge: str, versions: str) -> list[str]:
    text = private.call("ovs-ofctl", "-O", versions, "--no-stats", "dump-flows", bridge)
    return sorted(line for line in text.splitlines() if "actions=" in line)


@pytest.mark.parametrize("protocols", ["OpenFlow10,OpenFlow12", "OpenFlow10", "OpenFlow13", "OpenFlow15"])
def test_flows_are_deleted_from_a_bridge_that_no_longer_speaks_the_version_they_came_with(
    other_bridge: Callable[[str], str], protocols: str
) -> None:
    change = given_flows("ip,actions=drop arp,actions=NORMAL", bridge=other_bridge(""))
    private.call("ovs-ofctl", "del-flows", "br-odd")
    private.call("ovs-ofctl", "add-flow", "br-odd", "cookie=0x6f70660000000001,priority=5,ip,actions=drop")
    change.make(60)
    private.configure(f"set Bridge br-odd protocols={protocols}")

    assert change.undo().state == "undone"

    left = private.call("ovs-ofctl", "-O", protocols, "dump-flows", "br-odd")
    assert left.count("actions=") == 1
    assert "cookie=0x6f70660000000001" in left


def test_a_bridge_that_limits_its_tables_is_refused(other_bridge: Callable[[str], str]) -> None:
    limited = "flow_tables:0=@t -- --id=@t create Flow_Table flow_limit=10 overflow_policy=evict"
    change = given_flows("ip,actions=drop", bridge=other_bridge(limited))

    assert "br-odd limits its flow tables" in refusal(change.check)


def test_a_bridge_that_is_deleted_meanwhile_takes_its_flows_along(other_bridge: Callable[[str], str]) -> None:
    change = given_flows("ip,actions=drop", bridge=other_bridge(""))
    change.make(60)

    private.configure("del-br br-odd")
    assert change.undo().text == "The bridge br-odd is gone, and its flows with it."

    other_bridge("")
    assert change.undo().text == f"No flow with cookie {change.cookie} was left on br-odd."


def test_flows_that_may_yet_be_restored_are_not_called_gone(bridge: str) -> None:
    change = given_flows("ip,actions=drop")
    private.configure("set Open_vSwitch . other_config:flow-restore-wait=true")
    try:
        assert "yet to restore the flows" in refusal(change.undo)
        change.make(60)
        assert "yet to restore the flows" in refusal(change.undo)
        assert private.dump(bridge) == []
    finally:
        private.configure("remove Open_vSwitch . other_config flow-restore-wait")

    assert change.undo().state == "gone"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_switch_that_does_not_run_is_refused_and_no_undo_is_claimed(
    own_switch: pathlib.Path, number: signal.Signals
) -> None:
    change = given_flows("ip,actions=drop")
    change.make(60)
    private.stop(own_switch, "ovs-vswitchd", number)

    assert f"ovs-vswitchd does not answer for {BRIDGE}" in refusal(change.check)
    assert f"ovs-vswitchd does not answer for {BRIDGE}" in refusal(lambda: change.make(60))
    assert f"ovs-vswitchd does not answer for {BRIDGE}" in refusal(change.undo)


@pytest.mark.parametrize(("limit", "seconds", "said"), [("_PATIENCE", 1, "1 s"), ("_TIMEOUT", 0.5, "0.5 s")])
def test_a_switch_that_hangs_is_not_waited_for_for_ever(
    own_switch: pathlib.Path, monkeypatch: pytest.MonkeyPatch, limit: str, seconds: float, said: str
) -> None:
    monkeypatch.setattr(flows, limit, seconds)
    change = given_flows("ip,actions=drop")
    change.make(60)

    with _halted(own_switch, "ovs-vswitchd"):
        sentences = [refusal(change.check), refusal(lambda: change.make(60)), refusal(change.undo)]

    assert all(one.startswith(f"ovs-vswitchd does not answer for {BRIDGE}") for one in sentences)
    assert all(f"no answer within {said}" in one for one in sentences)
    assert change.undo().state == "undone"


@contextlib.contextmanager
def _halted(place: pathlib.Path, daemon: str) -> Generator[None]:
    """Let a daemon stand still, with all that it has open."""
    pid = int((place / f"{daemon}.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        state = pathlib.Path(f"/proc/{pid}/stat")
        processes.wait_until(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", f"{daemon} stands still")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_no_undo_is_claimed_while_the_switch_waits_for_its_database(
    own_switch: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows, "_TIMEOUT", 0.5)
    change = given_flows("ip,actions=drop")
    change.make(60)
    private.stop(own_switch, "ovsdb-server", signal.SIGKILL)

    assert "ovsdb-server does not answer" in refusal(change.check)
    assert f"ovs-vswitchd does not answer for {BRIDGE}" in refusal(lambda: change.make(60))
    assert "ovsdb-server does not answer" in refusal(change.undo)


def test_the_switch_itself_ends_the_flows(own_switch: pathlib.Path) -> None:
    before = private.dump(BRIDGE)
    change = given_flows("ip,actions=drop table=5,priority=3,arp,actions=NORMAL")
    change.make(20)

    private.warp(19)
    assert len(change.present()) == 2
    private.warp(2)
    processes.wait_until(lambda: not change.present(), "the flows expire")

    assert private.dump(BRIDGE) == before
    assert change.undo().state == "gone"
