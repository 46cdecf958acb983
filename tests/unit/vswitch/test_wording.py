"""Flows that treat packets alike say the same, whatever their numbers, counters, and the version that prints them."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder.vswitch import state, wording
from tests.unit import recorded
from tests.unit.vswitch import private

NAMES = wording.Names({1: "patch-tun", 2: "o-hm0", 3: "int-br-ex", 12: "7up"}, {1: "gre/753", 5: "vlan/physnet1/100"})
PHYSICAL = wording.Names({1: "phy-br-ex", 2: "eth1"}, {1: "gre/753"})
VERSIONS = ("2.13", "2.17", "3.3", "3.5", "4.0")
HEAD = b" cookie=0x1, duration=1.0s, table=0, n_packets=0, n_bytes=0, "


def flows(name: str) -> bytes:
    """Return the lines of a recorded dump that are flows."""
    return "".join(f"{line}\n" for line in recorded.text(name).splitlines() if line.startswith(" ")).encode()


def said(bridge: str, chunk: bytes, names: wording.Names = NAMES, *, pushed: bool = False) -> list[str]:
    words = wording.Wording(bridge, names)
    return sorted(wording.arranged(one, pushed=pushed).decode() for one in words.meanings(wording.texts(chunk)))


def meaning(bridge: str, flow: str, names: wording.Names = NAMES) -> str:
    (one,) = wording.Wording(bridge, names).meanings(wording.texts(HEAD + flow.encode() + b"\n"))
    return one.decode().removeprefix("table=0, ")


@pytest.mark.parametrize("host", ["octavia", "compute"])
@pytest.mark.parametrize("bridge", ["br-int", "br-tun"])
def test_versions_of_openflow_say_the_same(host: str, bridge: str) -> None:
    old, new = (flows(f"healthy-gre-l2pop/{host}.{bridge}.flows{end}.txt") for end in ("", "-of13"))

    assert said(bridge, old, pushed=True) == said(bridge, new, pushed=True)
    assert len(said(bridge, old)) == old.count(b"\n")


@pytest.mark.parametrize("bridge", ["br-int", "br-tun"])
@pytest.mark.parametrize("version", VERSIONS[1:])
def test_versions_of_open_vswitch_say_the_same(version: str, bridge: str) -> None:
    first, other = (flows(f"versions/{one}.{bridge}.flows.txt") for one in (VERSIONS[0], version))

    assert said(bridge, first) == said(bridge, other)
    assert first != other


@pytest.mark.parametrize(
    "line",
    [
        "cookie=0x99, duration=1.0s, table=7, n_packets=0, n_bytes=0, {}",
        "cookie=0x1, duration=812.001s, table=7, n_packets=0, n_bytes=0, {}",
        "cookie=0x1, duration=1.0s, table=7, n_packets=9, n_bytes=999, {}",
        "cookie=0x1, duration=1.0s, table=7, n_packets=0, n_bytes=0, idle_age=3, {}",
        "cookie=0x1, duration=1.0s, table=7, n_packets=0, n_bytes=0, idle_age=3, hard_age=65534, {}",
        "cookie=0x1, duration=1.0s, table=7, n_packets=0, n_bytes=0, reset_counts idle_age=3, {}",
        "cookie=0x1, duration=1.0s, table=7, n_packets=0, n_bytes=0, send_flow_rem check_overlap importance=3, {}",
    ],
)
@pytest.mark.parametrize("rest", ["priority=9,ip,nw_src=10.0.0.0/24 actions=output:2", "actions=NORMAL"])
def test_cookies_counters_ages_and_flags_are_not_said(line: str, rest: str) -> None:
    chunk = f" {line.format(rest)}\n {line.format('priority=1 actions=drop')}\n".encode()

    assert wording.texts(chunk) == [f"table=7, {rest}".encode(), b"table=7, priority=1 actions=drop"]


def test_time_limits_are_said() -> None:
    chunk = HEAD + b"idle_timeout=5, hard_timeout=60, idle_age=1, priority=9 actions=drop\n" + HEAD + b"actions=drop\n"

    limited, other = wording.texts(chunk)

    assert limited == b"table=0, idle_timeout=5, hard_timeout=60, priority=9 actions=drop"
    assert wording.is_timed(limited)
    assert not wording.is_timed(other)
    assert not wording.is_timed(b"table=10, priority=1 actions=learn(table=20, hard_timeout=300, priority=1)")


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ("priority=1,in_port=2 actions=drop", "priority=1,in_port=o-hm0 actions=drop"),
        ("priority=1,reg5=0x2 actions=output:2", "priority=1,reg5=o-hm0 actions=output:o-hm0"),
        ("actions=output(port=2,max_len=9),resubmit(2,71)", "actions=output(port=o-hm0,max_len=9),resubmit(o-hm0,71)"),
        ("actions=set_field:0x2->reg5,resubmit(,71)", "actions=set_field:o-hm0->reg5,resubmit(,71)"),
        ("actions=load:0x2->NXM_NX_REG5[],NORMAL", "actions=set_field:o-hm0->reg5,NORMAL"),
        ("in_port=12 actions=drop", 'in_port="7up" actions=drop'),
        ("in_port=9,reg5=0x9 actions=output:9", "in_port=9,reg5=0x9 actions=output:9"),
        ("reg5=0x2/0xff actions=output:LOCAL", "reg5=0x2/0xff actions=output:LOCAL"),
        ("in_port=LOCAL,tp_dst=2 actions=group:2,meter:2", "in_port=LOCAL,tp_dst=2 actions=group:2,meter:2"),
        ("dl_vlan=1 actions=mod_vlan_vid:5", "dl_vlan=gre/753 actions=mod_vlan_vid:vlan/physnet1/100"),
        ("reg6=0x1,ct_zone=1 actions=ct(zone=1)", "reg6=gre/753,ct_zone=gre/753 actions=ct(zone=gre/753)"),
        (
            "actions=set_field:0x1->reg6,set_field:4097->vlan_vid",
            "actions=set_field:gre/753->reg6,set_field:gre/753->vlan_vid",
        ),
        ("vlan_tci=0x1001/0x1fff actions=drop", "dl_vlan=gre/753 actions=drop"),
        ("vlan_tci=0x0001/0x0fff actions=drop", "vlan_tci=gre/753/0x0fff actions=drop"),
        ("vlan_tci=0x0000/0x1fff actions=drop", "vlan_tci=0x0000/0x1fff actions=drop"),
        ("dl_vlan=4095 actions=drop", "dl_vlan=4095 actions=drop"),
        ("in_port=3,dl_vlan=5 actions=mod_vlan_vid:1", "in_port=int-br-ex,dl_vlan=5 actions=mod_vlan_vid:gre/753"),
        ("in_port=2,dl_vlan=1 actions=drop", "in_port=o-hm0,dl_vlan=gre/753 actions=drop"),
    ],
)  # fmt: skip
def test_on_br_int_numbers_are_named(flow: str, expected: str) -> None:
    assert meaning("br-int", flow) == expected


@pytest.mark.parametrize(
    ("bridge", "flow", "expected"),
    [
        ("br-tun", "dl_vlan=1,reg5=0x2,reg6=0x1 actions=drop", "dl_vlan=gre/753,reg5=0x2,reg6=0x1 actions=drop"),
        ("br-ex", "in_port=1,dl_vlan=1 actions=output:2", "in_port=phy-br-ex,dl_vlan=gre/753 actions=output:eth1"),
        ("br-ex", "in_port=1 actions=mod_vlan_vid:1", "in_port=phy-br-ex actions=mod_vlan_vid:1"),
        ("br-ex", "in_port=1 actions=set_field:4097->vlan_vid", "in_port=phy-br-ex actions=set_field:1->vlan_vid"),
        ("br-ex", "in_port=2,dl_vlan=1 actions=NORMAL", "in_port=eth1,dl_vlan=1 actions=NORMAL"),
        ("br-other", "dl_vlan=1,reg5=0x2 actions=output:2", "dl_vlan=1,reg5=0x2 actions=output:o-hm0"),
    ],
)  # fmt: skip
def test_elsewhere_a_register_or_a_providers_vlan_is_only_a_number(bridge: str, flow: str, expected: str) -> None:
    assert meaning(bridge, flow, PHYSICAL if bridge == "br-ex" else NAMES) == expected


def test_a_distributed_routers_tables_of_a_physical_bridge_match_local_vlans() -> None:
    words = wording.Wording("br-ex", PHYSICAL)

    found = words.meanings(
        [b"table=1, priority=2,dl_vlan=1 actions=drop", b"table=3, priority=2,dl_vlan=1 actions=drop"]
    )

    assert found == [b"table=1, priority=2,dl_vlan=gre/753 actions=drop", b"table=3, priority=2,dl_vlan=1 actions=drop"]


def test_a_number_that_only_the_other_knows_keeps_its_name_unless_the_name_is_taken() -> None:
    before = wording.Names({2: "tap-a", 3: "tap-b", 4: "tap-c"}, {1: "gre/1"})
    after = wording.Names({2: "tap-x", 5: "tap-b"}, {})

    early, late = wording.together(before, after)

    assert early.ports == {2: "tap-a", 3: "tap-b", 4: "tap-c"}
    assert late.ports == {2: "tap-x", 4: "tap-c", 5: "tap-b"}
    assert late.networks == early.networks == {1: "gre/1"}


def test_the_dead_vlan_stands_for_no_network_and_the_agents_note_wins() -> None:
    known = {"network_type": "gre", "physical_network": "None", "segmentation_id": "753"}
    flat = {"network_type": "flat", "physical_network": "p", "segmentation_id": "None"}
    ports = (
        state.Port(bridge="br-int", name="tap-dead", ofport=2, tag=4095, other_config=known),
        state.Port(bridge="br-int", name="tap-wrong", ofport=3, tag=9, other_config={**known, "tag": "1"}),
        state.Port(bridge="br-int", name="tap-odd", ofport=-1, tag=7),
        state.Port(bridge="br-int", name="tap-flat", tag=8, other_config=flat),
        state.Port(bridge="br-tun", name="gre-1", ofport=3, tag=5, other_config=known),
    )  # fmt: skip

    found = wording.names(state.State(ports=ports), "br-int")

    assert found == wording.Names({2: "tap-dead", 3: "tap-wrong"}, {1: "gre/753", 8: "flat/p"})


SPELLINGS = [
    "priority=9,ip,nw_src=10.0.0.1 actions=mod_dl_src:fa:16:3e:00:00:01,mod_dl_dst:fa:16:3e:00:00:02,output:2",
    "priority=8,tcp,tp_dst=80 actions=mod_nw_src:10.1.2.3,mod_tp_dst:8080,resubmit(,5)",
    "priority=7,udp6,tp_src=53 actions=mod_tp_src:54,NORMAL",
    "priority=6,dl_vlan=7 actions=strip_vlan,set_field:0x2f1->tun_id,set_field:0->reg3,output:2",
    "priority=5,arp,dl_vlan=7,arp_tpa=10.0.0.9 actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],"
    "mod_dl_src:fa:16:3e:00:00:01,load:0x2->NXM_OF_ARP_OP[],load:0xfa163e000001->NXM_NX_ARP_SHA[],"
    "load:0x0a000009->NXM_OF_ARP_SPA[],in_port",
    "priority=4,icmp6,icmpv6_type=135,icmpv6_code=0 "
    "actions=ct(commit,zone=NXM_NX_REG6[0..15],exec(load:0x1->NXM_NX_CT_MARK[]))",
    "priority=3,ct_mark=0,ct_state=+trk,reg9=0,metadata=0 actions=goto_table:9",
    "priority=2,ip,nw_proto=2 actions=mod_vlan_vid:7,output:2",
    "priority=2,sctp,tp_dst=0x400/0xfc00 actions=drop",
]  # fmt: skip


@pytest.fixture(scope="module")
def dumps() -> Iterator[dict[str, bytes]]:
    """Dump the same flows with each version of OpenFlow, from a real switch."""
    if reason := private.missing():
        pytest.skip(reason)
    with private.running():
        private.configure("add-br br0 -- set Bridge br0 datapath_type=dummy fail_mode=secure protocols=[]")
        flows = "\n".join(f"table={number},{one}" for number, one in enumerate(SPELLINGS))
        private.call("ovs-ofctl", "-O", "OpenFlow14", "add-flows", "br0", "-", stdin=flows)
        versions = [f"OpenFlow1{minor}" for minor in (0, 3, 4, 5)]
        yield {one: _dump(one) for one in versions}


def _dump(version: str) -> bytes:
    text = private.call("ovs-ofctl", "--no-names", "-O", version, "dump-flows", "br0")
    return "".join(f"{line}\n" for line in text.splitlines() if line.startswith(" ")).encode()


@pytest.mark.parametrize("version", ["OpenFlow10", "OpenFlow14", "OpenFlow15"])
def test_each_version_of_openflow_that_this_switch_speaks_says_the_same(dumps: dict[str, bytes], version: str) -> None:
    assert said("br0", dumps[version], pushed=True) == said("br0", dumps["OpenFlow13"], pushed=True)
    assert len(said("br0", dumps[version])) == len(SPELLINGS)


def test_pushing_a_vlan_tag_is_not_setting_it_where_both_dumps_could_tell() -> None:
    push = b"table=3, priority=1 actions=push_vlan:0x8100,set_field:gre/753->vlan_vid,resubmit(,10)"
    mod = b"table=3, priority=1 actions=mod_vlan_vid:gre/753,resubmit(,10)"

    assert wording.arranged(push, pushed=True) == wording.arranged(mod, pushed=True)
    assert wording.arranged(push, pushed=False) != wording.arranged(mod, pushed=False)


def test_fields_of_a_match_have_one_order() -> None:
    first, second = (b"table=3, priority=1,ip,reg5=1 actions=drop", b"table=3, ip,reg5=1,priority=1 actions=drop")

    assert wording.arranged(first, pushed=False) == wording.arranged(second, pushed=False)
    assert wording.arranged(b"table=0, actions=NORMAL", pushed=False) == b"table=0,  actions=NORMAL"


def test_for_people_names_are_put_in_and_words_left_as_they_are() -> None:
    words = wording.Wording("br-int", NAMES, spelt=False)

    (found,) = words.meanings([b"table=0, in_port=2 actions=strip_vlan,load:0x5->NXM_NX_REG3[],goto_table:3"])

    assert found == b"table=0, in_port=o-hm0 actions=strip_vlan,load:0x5->NXM_NX_REG3[],goto_table:3"


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    chunk = data.replace(b"\n", b" ") + b"\n"

    texts = wording.texts(chunk)
    found = wording.Wording("br-int", NAMES).meanings(texts)

    assert len(texts) == len(found) == 1
    wording.arranged(found[0], pushed=True)


def test_what_is_understood_of_fields_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "_MOST", 100)
    words = wording.Wording("br-int", NAMES)

    found = [words.meanings([b"table=0, priority=%d,in_port=2 actions=drop" % one])[0] for one in range(300)]

    assert len(words) <= 103
    assert found[299] == b"table=0, priority=299,in_port=o-hm0 actions=drop"


SPELT = """\
table=0,priority=1,ip,actions=mod_nw_tos:48,output:1
table=0,priority=2,ip,actions=mod_vlan_vid:7,output:1
table=0,priority=3,ip,actions=load:0x5->NXM_NX_REG3[0..7],load:0x1->NXM_NX_REG3[9],load:0->NXM_NX_REG4[0..15],output:1
table=0,priority=5,ip,actions=mod_vlan_pcp:3,output:1
table=0,priority=6,ip,actions=mod_nw_ecn:1,output:1
table=0,priority=7,ip,actions=mod_nw_ttl:9,output:1
table=0,priority=8,ip,actions=load:0x2->NXM_NX_TUN_ID[0..15],output:1
"""


@pytest.mark.skipif(bool(private.missing()), reason=private.missing())
def test_a_flow_is_the_same_in_every_version_of_openflow() -> None:
    versions = ("OpenFlow10", "OpenFlow11", "OpenFlow13", "OpenFlow15")
    with private.running():
        private.configure(
            f"add-br br-int -- set bridge br-int datapath_type=dummy fail_mode=secure protocols=[{','.join(versions)}]"
        )
        private.call("ovs-ofctl", "-O", "OpenFlow11", "add-flows", "br-int", "-", stdin=SPELT)
        private.call("ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br-int", "priority=9,actions=clear_actions")
        dumps = [private.call("ovs-ofctl", "-O", one, "--no-names", "dump-flows", "br-int") for one in versions]

    said: list[list[bytes]] = []
    for dump in dumps:
        lines = [line for line in dump.splitlines() if "actions=" in line]
        texts = wording.texts("".join(f"{line.strip()}\n" for line in lines).encode())
        meanings = wording.Wording("br-ex", wording.Names({}, {})).meanings(texts)
        said.append(sorted(wording.arranged(one, pushed=True) for one in meanings))
    assert len(said[0]) == 8
    assert said[1:] == said[:1] * 3
