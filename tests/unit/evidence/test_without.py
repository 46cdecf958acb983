"""Flows of somebody else's on the way of a traced packet, put into a real switch among recorded flows of Neutron's."""

import types
from collections.abc import Iterator
from typing import cast

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.evidence import local, record, theory, without
from ovs_pathfinder.vswitch import database, datapath, flow
from tests.unit import octavia
from tests.unit.vswitch import private

ELSEWHERE = "fa:16:3e:00:00:99"
PASSES = ("forwarded", "flooded")


@pytest.fixture(scope="module", autouse=True)
def switch() -> Iterator[None]:
    """Run the source's switch of the recorded cloud."""
    if reason := private.missing():
        pytest.skip(reason)
    with octavia.running():
        yield


def examined(
    *flows: str, bridge: str = "br-int", direction: path.Direction = "forward", state: record.State = "untracked"
) -> record.Trace:
    """Trace the probe's packet with flows of others there, and take them away again."""
    asked, running = octavia.plan(), database.read()
    places = theory.places(asked, ("source",), running, datapath.read_ports())
    here = cast("local.Local", types.SimpleNamespace(switch=running, places=places))
    cookies = flow.agent_cookies()
    private.call("ovs-ofctl", "-O", "OpenFlow14", "add-flows", bridge, "-", stdin="\n".join(flows))
    try:
        traced = theory.examine(asked, direction, places[direction], state=state)
        return without.examine(here, cookies, traced)
    finally:
        for one in flows:
            cookie = one.partition(",")[0]
            private.call("ovs-ofctl", "-O", "OpenFlow14", "del-flows", bridge, f"{cookie}/-1")


def test_a_path_of_the_agent_s_flows_alone_is_not_asked_twice() -> None:
    assert examined().without is None


@pytest.mark.parametrize(
    ("actions", "passes"),
    [
        ("resubmit(,200)", False),
        (f"set_field:{ELSEWHERE}->eth_src,goto_table:59", False),
        ("push_vlan:0x8100,set_field:4195->vlan_vid,goto_table:59", False),
        ("set_queue:7,NORMAL", True),
        ("goto_table:59", True),
    ],
)
def test_without_a_flow_in_the_first_table_the_packet_takes_the_agent_s_way(actions: str, passes: bool) -> None:
    found = examined(f"cookie=0xbad,table=0,priority=200,icmp6,icmpv6_type=128,in_port=2,actions={actions}")

    assert (found.outcome in PASSES) == passes
    assert found.without is not None
    assert found.without.outcome in PASSES
    assert found.without.owner == "other"
    assert "priority=0 " in found.without.instead
    assert found.without.rewritten == ()


@pytest.mark.parametrize("state", ["untracked", "established"])
def test_another_destination_is_seen_though_the_packet_leaves(state: record.State) -> None:
    flows = f"cookie=0xbad,table=0,priority=200,in_port=2,actions=set_field:{ELSEWHERE}->eth_dst,goto_table:59"
    found = examined(flows, state=state)

    assert found.outcome in PASSES
    assert found.without is not None
    assert found.without.rewritten == (f"set(eth(dst={ELSEWHERE}))",)


@pytest.mark.parametrize(
    ("bridge", "head", "direction"),
    [
        ("br-int", "table=60,priority=200,in_port=2", "forward"),
        ("br-int", "table=72,priority=200,ipv6,reg5=2", "forward"),
        ("br-int", "table=94,priority=200,ipv6", "forward"),
        ("br-tun", "table=0,priority=200,in_port=1", "forward"),
        ("br-tun", "table=20,priority=200,ipv6", "forward"),
        ("br-tun", "table=0,priority=200,in_port=2", "reply"),
        ("br-int", "table=0,priority=200,in_port=1", "reply"),
        ("br-int", "table=60,priority=200,dl_vlan=1", "reply"),
        ("br-int", "table=82,priority=200,ipv6", "reply"),
    ],
)
def test_the_way_without_a_flow_is_known_in_each_table(bridge: str, head: str, direction: path.Direction) -> None:
    found = examined(f"cookie=0xbad,{head},actions=drop", bridge=bridge, direction=direction)

    assert found.outcome == "dropped"
    assert found.without is not None
    assert found.without.outcome in PASSES, found.without


def test_a_flow_that_only_notes_something_changes_nothing_where_the_agent_s_drop() -> None:
    flows = (
        "cookie=0xbad,table=0,priority=200,in_port=2,actions=set_field:1->reg9,goto_table:59",
        "cookie=0x8b6d9a3f,table=71,priority=200,in_port=2,actions=drop",
    )
    found = examined(*flows)

    assert found.outcome == "dropped"
    assert found.without is not None
    assert found.without.flow.cookie == "0x8b6d9a3f"


def test_what_matches_but_perhaps_leaves_the_way_unknown() -> None:
    cookie = flow.agent_cookies()["br-int"]
    found = examined(
        "cookie=0xbad,table=59,priority=200,in_port=2,actions=drop",
        f"cookie={hex(int(cookie, 16) ^ 1)},table=59,priority=150,conj_id=7,ipv6,actions=goto_table:60",
    )

    assert found.without is not None
    assert (found.without.outcome, found.without.flow.cookie) == ("unknown", "0xbad")
    assert "conj_id=7" in found.without.reason
