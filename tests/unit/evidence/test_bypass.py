"""The trial's flows: what they match, on a real switch, and that it is the probe's traffic and no other."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

import pytest

from ovs_pathfinder import errors, path
from ovs_pathfinder.evidence import bypass, local, record
from ovs_pathfinder.temporary import flows, injection
from ovs_pathfinder.vswitch import database
from tests.unit import plans
from tests.unit.diagnosis import build
from tests.unit.vswitch import private

WAYS = bypass.Ways(forward="in_port=1", reply="in_port=2,dl_vlan=1")
PRIORITY = 40_961
STRANGER = {4: "192.168.77.99", 6: "fc00::99"}

each_kind = pytest.mark.parametrize(("ip", "protocol"), plans.KINDS)
each_ip = pytest.mark.parametrize("ip", [4, 6])


# --- where packets come in ---


@dataclasses.dataclass
class Here:
    """What a host brings to the path, as far as it matters here."""

    plan: path.Plan
    bridge: str
    roles: tuple[path.Role, ...]
    devices: Mapping[path.Role, record.Device]
    switch: database.Switch


def device(**changes: Any) -> record.Device:
    fields: dict[str, Any] = {"name": "o-hm0", "present": True, "on_switch": True, "ofport": 3, "tag": 5}
    return record.Device.model_validate({**fields, **changes})


def interface(name: str, bridge: str, peer: str = "", ofport: int | None = 1) -> database.Interface:
    return database.Interface(
        name=name, bridge=bridge, type="patch" if peer else "", ofport=ofport, options={"peer": peer} if peer else {}
    )


PATCHES = (
    interface("int-br-ex", "br-int", "phy-br-ex", 7),
    interface("phy-br-ex", "br-ex", "int-br-ex"),
    interface("patch-tun", "br-int", "patch-int", 9),
    interface("patch-int", "br-tun", "patch-tun"),
)


def ways(
    *roles: path.Role,
    at: path.Role = "source",
    patches: tuple[database.Interface, ...] = PATCHES,
    network: path.Network | None = None,
    **changes: Any,
) -> bypass.Ways:
    devices: dict[path.Role, record.Device] = {
        role: device(**{"ofport": 3 if role == "source" else 4, **changes}) for role in roles
    }
    plan = plans.of(6, "icmp")
    plan = plan.model_copy(update={"network": network or plan.network})
    bridges = {one.bridge for one in patches}
    bridge = "br-tun" if plan.network.is_tunnelled else "br-ex" if "br-ex" in bridges else ""
    here = Here(plan, bridge, roles, devices, database.Switch(bridges=("br-int", bridge), interfaces=patches))
    return bypass.ways(cast("local.Local", here), at)


def test_at_the_source_answers_come_from_the_tunnels_in_the_local_vlan() -> None:
    assert ways("source") == bypass.Ways(forward="in_port=3", reply="in_port=9,dl_vlan=5")


def test_at_the_destination_requests_do() -> None:
    assert ways("destination", at="destination") == bypass.Ways(forward="in_port=9,dl_vlan=5", reply="in_port=4")


@pytest.mark.parametrize(("kind", "match"), [("vlan", "dl_vlan=753"), ("flat", "vlan_tci=0")])
def test_packets_of_a_physical_network_get_the_local_vlan_first(kind: Literal["vlan", "flat"], match: str) -> None:
    segment = 753 if kind == "vlan" else None
    network = path.Network(id="n", name="provider", type=kind, segmentation_id=segment, physical_network="physnet1")

    assert ways("source", network=network) == bypass.Ways(
        forward="in_port=3", reply=f"in_port=7,{match}", reply_actions="mod_vlan_vid:5,NORMAL"
    )
    assert ways("destination", at="destination", network=network) == bypass.Ways(
        forward=f"in_port=7,{match}", reply="in_port=4", forward_actions="mod_vlan_vid:5,NORMAL"
    )


def test_no_patch_is_taken_for_a_way_to_a_physical_network_without_a_bridge() -> None:
    network = path.Network(id="n", name="provider", type="vlan", segmentation_id=753, physical_network="physnet1")
    astray = (interface("int-br-ex", "br-int", "nowhere", 7), interface("lost", ""))

    with pytest.raises(errors.PathfinderError, match="no patch port to"):
        ways("source", network=network, patches=astray)


@pytest.mark.parametrize("at", ["source", "destination"])
def test_on_one_host_both_come_from_ports(at: path.Role) -> None:
    assert ways("source", "destination", at=at, patches=()) == bypass.Ways(forward="in_port=3", reply="in_port=4")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"on_switch": False}, "device o-hm0 is not on this host's switch"),
        ({"ofport": None}, "device o-hm0 is not on this host's switch"),
        ({"ofport": -1}, "device o-hm0 is not on this host's switch"),
        ({"tag": None}, "o-hm0 has no VLAN tag"),
        ({"tag": 4095}, "o-hm0 has the dead VLAN tag"),
    ],
)
def test_a_port_that_is_not_wired_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.PathfinderError, match=words):
        ways("source", **changes)


@pytest.mark.parametrize(
    "patches", [(), PATCHES[:2], (interface("patch-tun", "br-int", "patch-int", -1), PATCHES[3])], ids=len
)
def test_a_bridge_without_a_way_to_the_tunnels_is_refused(patches: tuple[database.Interface, ...]) -> None:
    with pytest.raises(errors.PathfinderError, match="br-int has no patch port to br-tun"):
        ways("source", patches=patches)


# --- what is matched ---


@each_kind
@pytest.mark.parametrize("neighbours", [True, False])
def test_no_flow_matches_more_than_an_operator_might_inject(
    ip: Literal[4, 6], protocol: path.Protocol, neighbours: bool
) -> None:
    plan = plans.of(ip, protocol)

    made = bypass.rules(plan, WAYS, PRIORITY, neighbours=neighbours)

    assert all(injection.is_narrow(plan, rule) for rule in made)
    assert {rule.priority for rule in made} == {PRIORITY}
    assert {rule.actions for rule in made} == {"NORMAL"}


@each_ip
def test_questions_are_let_through_only_where_that_is_wanted(ip: Literal[4, 6]) -> None:
    plan = plans.of(ip, "icmp")

    few, many = (bypass.rules(plan, WAYS, PRIORITY, neighbours=one) for one in (False, True))

    assert len(few) == 2
    assert many[:2] == few
    assert len(many) == {4: 4, 6: 6}[ip]


@pytest.fixture(scope="module")
def switch() -> Iterator[None]:
    if reason := private.missing():
        pytest.skip(reason)
    with private.running():
        private.configure(
            "add-br br-int -- set Bridge br-int datapath_type=dummy "
            "-- add-port br-int p1 tag=1 -- set Interface p1 type=dummy ofport_request=1 "
            "-- add-port br-int p2 -- set Interface p2 type=dummy ofport_request=2"
        )
        yield


def installed(plan: path.Plan) -> None:
    """Let br-int drop everything but what the flows of a trial let through."""
    made = bypass.rules(plan, WAYS, PRIORITY, neighbours=True)
    private.call("ovs-ofctl", "del-flows", "br-int")
    private.call("ovs-ofctl", "add-flow", "br-int", "priority=0,actions=drop")
    flows.Flows(bridge="br-int", cookie=flows.new_cookie(), rules=made).make(60)


def passes(packet: str) -> bool:
    """Whether a packet gets through br-int."""
    told = private.call("ovs-appctl", "ofproto/trace", "br-int", packet)
    assert f"priority {PRIORITY}" in told or "priority 0" in told, told
    return f"priority {PRIORITY}" in told


def packet(
    plan: path.Plan,
    source: str,
    destination: str,
    *,
    to: int | None = None,
    of: int | None = None,
    answers: bool = False,
) -> str:
    """Write a packet as ofproto/trace takes it, of the plan's protocol."""
    family = "ipv6" if plan.ip_version == 6 else "nw"
    six = "6" if plan.ip_version == 6 else ""
    ends = f"{family}_src={source},{family}_dst={destination}"
    if plan.protocol == "icmp":
        kind = (129 if answers else 128) if six else (0 if answers else 8)
        return f"icmp{six},{ends},icmp{'v6' if six else ''}_type={kind}"
    return f"{plan.protocol}{six},{ends},{plan.protocol}_src={of},{plan.protocol}_dst={to}"


@each_kind
def test_the_switch_lets_the_probe_and_its_answers_through(
    switch: None, ip: Literal[4, 6], protocol: path.Protocol
) -> None:
    plan = plans.of(ip, protocol)
    near, far = plan.source.address, plan.destination.address
    installed(plan)

    assert passes(f"in_port=1,{packet(plan, near, far, of=40000, to=plan.port)}")
    assert passes(f"in_port=2,dl_vlan=1,{packet(plan, far, near, of=plan.port, to=40000, answers=True)}")


@each_kind
def test_the_switch_lets_nothing_else_through(switch: None, ip: Literal[4, 6], protocol: path.Protocol) -> None:
    plan = plans.of(ip, protocol)
    near, far, stranger = plan.source.address, plan.destination.address, STRANGER[ip]
    port, other = plan.port, 22
    installed(plan)

    others = [
        f"in_port=1,{packet(plan, near, stranger, of=40000, to=port)}",
        f"in_port=1,{packet(plan, stranger, far, of=40000, to=port)}",
        f"in_port=2,dl_vlan=1,{packet(plan, near, far, of=40000, to=port)}",
        f"in_port=2,dl_vlan=2,{packet(plan, far, near, of=port, to=40000, answers=True)}",
        f"in_port=1,{packet(plan, far, near, of=port, to=40000, answers=True)}",
    ]
    if protocol == "icmp":
        others.append(f"in_port=1,{packet(plan, near, far, answers=True)}")
    else:
        others.append(f"in_port=1,{packet(plan, near, far, of=port, to=other)}")
        others.append(f"in_port=2,dl_vlan=1,{packet(plan, far, near, of=other, to=port, answers=True)}")
    assert [one for one in others if passes(one)] == []


def arp(sender: str, target: str, operation: int) -> str:
    return f"arp,arp_spa={sender},arp_tpa={target},arp_op={operation}"


def discovery(kind: int, mac: str, target: str) -> str:
    return f"icmp6,icmpv6_type={kind},dl_src={mac},nd_target={target}"


def test_the_switch_lets_the_ends_ask_for_each_other_by_arp(switch: None) -> None:
    plan = plans.of(4, "tcp")
    near, far, stranger = plan.source.address, plan.destination.address, STRANGER[4]
    installed(plan)

    for operation in (1, 2):
        assert passes(f"in_port=1,{arp(near, far, operation)}")
        assert passes(f"in_port=2,dl_vlan=1,{arp(far, near, operation)}")
    assert not passes(f"in_port=1,{arp(near, stranger, 1)}")
    assert not passes(f"in_port=1,{arp(stranger, far, 1)}")


def test_the_switch_lets_the_ends_ask_for_each_other_by_neighbour_discovery(switch: None) -> None:
    plan = plans.of(6, "tcp")
    near, far = plan.source.address, plan.destination.address
    installed(plan)

    assert passes(f"in_port=1,{discovery(135, build.SOURCE_MAC, far)}")
    assert passes(f"in_port=2,dl_vlan=1,{discovery(136, build.DESTINATION_MAC, far)}")
    assert passes(f"in_port=2,dl_vlan=1,{discovery(135, build.DESTINATION_MAC, near)}")
    assert passes(f"in_port=1,{discovery(136, build.SOURCE_MAC, near)}")
    assert not passes(f"in_port=1,{discovery(135, build.SOURCE_MAC, STRANGER[6])}")
    assert not passes(f"in_port=1,{discovery(135, build.DESTINATION_MAC, far)}")
    assert not passes(f"in_port=1,{discovery(136, build.SOURCE_MAC, far)}")
