"""A packet that may recirculate in a circle is told from one that cannot; Neutron's own flows are no circle."""

import itertools
from collections.abc import Iterable

import pytest

from ovs_pathfinder.vswitch import conntrack_loop, database, state
from tests.unit import recorded

HOSTS = [(cloud, host) for cloud in recorded.CLOUDS for host in ("octavia", "compute")]
BRIDGES = ("br-int", "br-tun")
PACKETS = (
    "icmp6,dl_src=fa:16:3e:00:00:01,dl_dst=fa:16:3e:00:00:02,ipv6_src=fc00::1,ipv6_dst=fc00::2,icmpv6_type=128",
    "tcp,dl_src=fa:16:3e:00:00:01,dl_dst=fa:16:3e:00:00:02,nw_src=192.0.2.1,nw_dst=192.0.2.2,tcp_dst=9443",
    "arp,dl_dst=ff:ff:ff:ff:ff:ff",
)
CIRCLE = (
    " cookie=0x0, duration=3.8s, table=71, n_packets=0, n_bytes=0, priority=111,icmp6,reg5=0x2,icmp_type=128 "
    "actions=ct(table=71,zone=NXM_NX_REG6[0..15])\n"
)


def read(cloud: str, host: str) -> state.State:
    """Return what the database of a recorded host says of ports and bridges."""
    names = ("Open_vSwitch", "Bridge", "Port", "Interface")
    documents = "\n".join(recorded.text(f"{cloud}/{host}.list-{one}.json") for one in names)
    found = database.parse(documents)
    ports = tuple(
        state.Port(
            bridge=one.bridge,
            name=one.name,
            type=one.type,
            ofport=one.ofport,
            tag=one.tag,
            options=one.options,
            external_ids=one.external_ids,
        )
        for one in found.interfaces
    )
    bridges = tuple(state.Bridge(name=one, datapath_type=found.datapath_type) for one in found.bridges)
    return state.State(bridges=bridges, ports=ports)


def switch(cloud: str, host: str, more: dict[str, str] | None = None) -> conntrack_loop.Switch:
    """Return a recorded switch, with more flows on its bridges."""

    def flows(bridge: str) -> Iterable[bytes]:
        if bridge in BRIDGES:
            yield recorded.text(f"{cloud}/{host}.{bridge}.flows.txt").encode()
        yield (more or {}).get(bridge, "").encode()

    return conntrack_loop.Switch(read(cloud, host), flows)


@pytest.mark.parametrize(("cloud", "host"), HOSTS)
def test_no_packet_of_a_healthy_host_goes_round(cloud: str, host: str):
    found = switch(cloud, host)
    ports = [one for one in read(cloud, host).ports if one.ofport is not None]
    assert len(ports) > 5

    for port, packet in itertools.product(ports, PACKETS):
        assert found.find(port.bridge, f"in_port={port.ofport},{packet}") is None


@pytest.mark.parametrize(("cloud", "host"), HOSTS)
def test_no_recirculated_packet_of_a_healthy_host_goes_round(cloud: str, host: str):
    found = switch(cloud, host)

    assert found.find("ovs-system", "recirc_id(0x7),in_port(o-hm0),eth_type(0x86dd),ipv6(proto=58)") is None
    assert found.find("ovs-system", "recirc_id(0),in_port(gone),eth_type(0x0800),ipv4(proto=6)") is None


def test_circle_is_named_with_its_flow():
    found = switch("healthy-gre-l2pop", "octavia", {"br-int": CIRCLE}).find("br-int", f"in_port=2,{PACKETS[0]}")

    assert found is not None
    assert [one.raw for one in found.flows] == [CIRCLE.strip()]
    assert found.bridges == ("br-int",)
    assert str(found).endswith(
        "by br-int table=71,priority=111,icmp6,reg5=0x2,icmp_type=128 actions=ct(table=71,zone=NXM_NX_REG6[0..15])"
    )


@pytest.mark.parametrize(
    "packet", [f"in_port=2,{PACKETS[1]}", f"in_port=99,{PACKETS[0]}", "in_port=2,icmp6,icmpv6_type=129"]
)
def test_packet_that_the_circle_is_not_for_is_traced(packet: str):
    assert switch("healthy-gre-l2pop", "octavia", {"br-int": CIRCLE}).find("br-int", packet) is None


def test_circle_may_be_met_after_a_recirculation_of_the_datapath():
    found = switch("healthy-gre-l2pop", "octavia", {"br-int": CIRCLE.replace("reg5=0x2,", "")})
    again = CIRCLE.replace("table=71", "table=72").replace("reg5=0x2,", "")
    later = switch("healthy-gre-l2pop", "octavia", {"br-int": again})

    key = "recirc_id(0x7),in_port(3),eth_type(0x86dd),ipv6(proto=58),icmpv6(type=128)"
    assert found.find("ovs-system", key.replace("in_port(3)", "in_port(o-hm0)").replace("0x7", "0")) is not None
    assert later.find("ovs-system", key) is not None
    assert later.find("ovs-system", key.replace("type=128", "type=129")) is None


ECHO = "in_port=2,icmp6,icmpv6_type=128"
FLOW = " cookie=0x0, duration=1s, table={}, n_packets=0, n_bytes=0, priority=200,icmp6 actions={}\n"


def test_circle_of_two_tables():
    more = {"br-int": FLOW.format(72, "ct(table=71)")}

    found = switch("healthy-gre-l2pop", "octavia", more).find("br-int", ECHO)

    assert found is not None
    assert {one.table for one in found.flows} == {71, 72}


@pytest.mark.parametrize(("out", "is_circle"), [("1", False), ("resubmit(7,97)", True)])
def test_circle_over_two_bridges_which_send_nothing_back_to_where_it_came_from(out: str, is_circle: bool):
    more = {"br-int": FLOW.format(0, "ct(table=96)") + FLOW.format(96, out) + FLOW.format(97, "output:1")}
    more["br-tun"] = FLOW.format(0, "IN_PORT")

    found = switch("healthy-gre-l2pop", "octavia", more).find("br-int", "in_port=1,icmp6,icmpv6_type=128")

    assert (found is not None) is is_circle


@pytest.mark.parametrize(
    ("actions", "is_circle"), [("resubmit(,71)", False), ("load:2->NXM_NX_REG5[],resubmit(,71)", True)]
)
def test_circle_that_actions_lead_to(actions: str, is_circle: bool):
    host = switch("healthy-gre-l2pop", "octavia", {"br-int": CIRCLE})

    assert (host.find("br-int", ECHO.replace("in_port=2", "in_port=99"), actions) is not None) is is_circle


@pytest.mark.parametrize(("above", "is_circle"), [("icmp6", False), ("icmp6,ct_state=+trk", True), ("tcp6", True)])
def test_circle_below_a_flow_that_the_packet_is_certain_to_match_is_never_met(above: str, is_circle: bool):
    flows = CIRCLE + FLOW.format(71, "resubmit(,93)").replace("icmp6", above)

    found = switch("healthy-gre-l2pop", "octavia", {"br-int": flows}).find("br-int", ECHO)

    assert (found is not None) is is_circle


def test_many_flows_alike_count_as_one_that_any_packet_may_match():
    lines = [CIRCLE.replace("reg5=0x2", f"reg5={number:#x}") for number in range(100, 100_100)]
    found = switch("healthy-gre-l2pop", "octavia", {"br-int": "".join(lines)}).find("br-int", f"in_port=2,{PACKETS[0]}")

    assert found is not None


def test_flows_without_end_are_not_followed():
    many = "".join(FLOW.format(0, f"set_field:{number}->reg1,resubmit(,1)") for number in range(10_100))

    found = switch("healthy-gre-l2pop", "octavia", {"br-int": many}).find("br-int", f"in_port=2,{PACKETS[0]}")

    assert found is not None
    assert not found.flows
    assert "too many" in str(found)


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("2.13.3", True),
        ("2.17.9", True),
        ("2.17.10", False),
        ("3.0.6", True),
        ("3.0.7", False),
        ("3.1.0", True),
        ("3.1.5", False),
        ("3.2.2", True),
        ("3.2.3", False),
        ("3.3.0", True),
        ("3.3.1", False),
        ("3.4.0", False),
        ("4.0.0", False),
        ("", True),
        ("a version of the future", True),
    ],
)
def test_versions(version: str, affected: bool):
    assert conntrack_loop.affects(version) is affected
