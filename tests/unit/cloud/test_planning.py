"""Plans of a small cloud, asked for over HTTP with openstacksdk."""

import re
import urllib.parse
from typing import Any

import pytest

from ovs_pathfinder import errors, path
from tests.unit.cloud import sky


def test_a_unit_and_an_address_make_a_plan(clouds: sky.Sky) -> None:
    plan = clouds.plan("octavia/2", sky.GUEST_ADDRESS)
    assert plan == path.Plan(
        run=sky.RUN,
        created="2026-11-22T07:37:00Z",
        source=path.Endpoint(
            port=path.Port(
                id=sky.OHM_PORT,
                name=sky.OHM_NAME,
                mac="fa:16:3e:a8:7e:f6",
                addresses=(sky.OHM_ADDRESS,),
                device_owner="Octavia:health-mgr",
                host=sky.OCTAVIA_HOST,
                vif_type="ovs",
                status="ACTIVE",
                security_groups=(path.SecurityGroup(id=sky.HEALTH_GROUP, name="lb-health-mgr-sec-grp"),),
            ),
            address=sky.OHM_ADDRESS,
            label="octavia/2",
            unit="ovs-pathfinder/0",
            principal="octavia/2",
            tunnel_address="172.20.0.139",
            management_address="10.5.0.139",
            agent_alive=True,
        ),
        destination=path.Endpoint(
            port=path.Port(
                id=sky.GUEST_PORT,
                name=sky.GUEST_NAME,
                mac="fa:16:3e:0d:9a:cf",
                addresses=(sky.GUEST_ADDRESS,),
                device_owner="compute:nova",
                device_id=sky.SERVER,
                host=sky.COMPUTE_HOST,
                vif_type="ovs",
                status="ACTIVE",
                security_groups=(path.SecurityGroup(id=sky.MANAGEMENT_GROUP, name="lb-mgmt-sec-grp"),),
                allowed_address_pairs=(path.AddressPair(mac="fa:16:3e:0d:9a:cf", address="10.0.0.0/24"),),
            ),
            address=sky.GUEST_ADDRESS,
            label=sky.GUEST_ADDRESS,
            unit="ovs-pathfinder/1",
            principal="nova-compute/0",
            tunnel_address="172.20.0.209",
            management_address="10.5.0.209",
            agent_alive=True,
        ),
        network=path.Network(id=sky.MANAGEMENT, name="lb-mgmt-net", type="gre", segmentation_id=753, mtu=1458),
        rulings=(
            path.Ruling(
                role="source",
                way="egress",
                passes=True,
                why=f"by rule 1 of lb-health-mgr-sec-grp ({sky.HEALTH_GROUP}) (egress IPv6 any protocol to anywhere)",
            ),
            path.Ruling(
                role="destination",
                way="ingress",
                passes=False,
                why=f"as no ingress rule of lb-mgmt-sec-grp ({sky.MANAGEMENT_GROUP}) allows icmpv6 type 128 from "
                f"{sky.OHM_ADDRESS}",
                missing=plan.rulings[1].missing,
            ),
        ),
    )
    assert plan.rulings[1].missing.startswith("openstack security group rule create --ingress --ethertype IPv6")


@pytest.mark.parametrize(
    ("destination", "label"),
    [
        (sky.GUEST_ADDRESS, sky.GUEST_ADDRESS),
        (sky.GUEST_ADDRESS.upper(), sky.GUEST_ADDRESS),
        (sky.GUEST_PORT, f"port {sky.GUEST_PORT}"),
        (sky.GUEST_NAME, f"port {sky.GUEST_NAME}"),
        (sky.SERVER, f"server {sky.SERVER}"),
        (sky.SERVER_NAME, f"server {sky.SERVER_NAME}"),
        (sky.AMPHORA, f"amphora {sky.AMPHORA}"),
        (sky.AMPHORA.upper(), f"amphora {sky.AMPHORA}"),
    ],
)
def test_every_form_of_the_destination_finds_the_same_port(clouds: sky.Sky, destination: str, label: str) -> None:
    plan = clouds.plan(destination=destination)
    assert (plan.destination.port.id, plan.destination.address) == (sky.GUEST_PORT, sky.GUEST_ADDRESS)
    assert plan.destination.label == label


@pytest.mark.parametrize("source", ["octavia/2", sky.OHM_PORT, sky.OHM_NAME, sky.OHM_ADDRESS])
def test_every_form_of_the_source_finds_the_same_port(clouds: sky.Sky, source: str) -> None:
    plan = clouds.plan(source)
    assert plan.source.port.id == sky.OHM_PORT
    assert plan.source.label.endswith(source)
    assert plan.warnings == ()


def test_a_path_can_be_planned_towards_a_unit(clouds: sky.Sky) -> None:
    plan = clouds.plan(sky.GUEST_ADDRESS, "octavia/2", protocol="udp", port=5555)
    assert (plan.source.principal, plan.destination.label) == ("nova-compute/0", "octavia/2")
    assert (plan.protocol, plan.port) == ("udp", 5555)


def test_names_with_odd_characters_are_taken_literally(clouds: sky.Sky) -> None:
    odd = r"""a b&id=x/../?#%2e;'"=.*[(é漢\ """
    clouds.port(sky.OHM_PORT)["name"] = f"hm {odd}"
    clouds.content["servers"][0]["name"] = odd
    plan = clouds.plan(f"hm {odd}", odd)
    assert (plan.source.port.id, plan.destination.port.id) == (sky.OHM_PORT, sky.GUEST_PORT)


def test_an_amphora_is_reached_on_the_network_of_the_source(clouds: sky.Sky) -> None:
    other = sky.port("11111111-0000-4000-8000-000000000001", network_id=sky.PRIVATE)
    other["fixed_ips"] = [sky.fixed("192.168.0.7", sky.PRIVATE_SUBNET)]
    clouds.content["ports"].append(other)
    plan = clouds.plan(other["id"], sky.AMPHORA)
    assert (plan.destination.port.id, plan.destination.address) == (sky.VRRP_PORT, "192.168.0.59")
    assert plan.network.name == "private"


def test_an_amphora_without_an_address_is_found_by_its_server(clouds: sky.Sky) -> None:
    clouds.content["amphorae"][0] |= {"lb_network_ip": None, "vrrp_ip": None}
    assert clouds.plan(destination=sky.AMPHORA).destination.port.id == sky.GUEST_PORT


def test_the_network_of_the_source_decides_between_equal_addresses(clouds: sky.Sky) -> None:
    twin = sky.port("22222222-0000-4000-8000-000000000001", network_id=sky.PRIVATE)
    clouds.content["ports"].append(twin | {"fixed_ips": [sky.fixed(sky.GUEST_ADDRESS, sky.PRIVATE_SUBNET)]})
    assert clouds.plan().destination.port.id == sky.GUEST_PORT


def test_the_network_of_the_destination_decides_between_equal_names(clouds: sky.Sky) -> None:
    clouds.content["ports"].insert(
        0, sky.port("33333333-0000-4000-8000-000000000001", name=sky.OHM_NAME, network_id=sky.PRIVATE)
    )
    assert clouds.plan().source.port.id == sky.OHM_PORT


def test_more_equal_addresses_than_a_page_holds_are_told_apart_by_the_server(clouds: sky.Sky) -> None:
    clouds.content["ports"] += [
        sky.port(f"0{number:07x}-0000-4000-8000-000000000001", network_id=f"network-{number}")
        | {"fixed_ips": [sky.fixed(sky.GUEST_ADDRESS, "elsewhere")]}
        for number in range(150)
    ]
    assert clouds.plan().destination.port.id == sky.GUEST_PORT


def test_ipv6_is_preferred_where_both_ends_have_both(clouds: sky.Sky) -> None:
    _dual_stack(clouds)
    plan = clouds.plan(destination=sky.GUEST_PORT)
    assert (plan.source.address, plan.destination.address) == (sky.OHM_ADDRESS, sky.GUEST_ADDRESS)


@pytest.mark.parametrize(("source", "destination"), [("octavia/2", "192.168.77.20"), ("192.168.77.10", sky.GUEST_PORT)])
def test_the_address_that_was_named_is_probed(clouds: sky.Sky, source: str, destination: str) -> None:
    _dual_stack(clouds)
    plan = clouds.plan(source, destination)
    assert (plan.source.address, plan.destination.address) == ("192.168.77.10", "192.168.77.20")


def test_addresses_of_one_subnet_come_before_ipv6(clouds: sky.Sky) -> None:
    _dual_stack(clouds)
    clouds.port(sky.GUEST_PORT)["fixed_ips"][0]["subnet_id"] = "another"
    assert clouds.plan(destination=sky.GUEST_PORT).destination.address == "192.168.77.20"


def _dual_stack(clouds: sky.Sky) -> None:
    clouds.port(sky.OHM_PORT)["fixed_ips"].insert(0, sky.fixed("192.168.77.10", sky.SUBNET4))
    clouds.port(sky.GUEST_PORT)["fixed_ips"].append(sky.fixed("192.168.77.20", sky.SUBNET4))


def test_units_are_found_by_short_host_names(clouds: sky.Sky) -> None:
    units = [
        unit.model_copy(update={"hostnames": (unit.hostnames[0].partition(".")[0].upper(),)}) for unit in sky.UNITS
    ]
    plan = clouds.plan(units=units)
    assert (plan.source.unit, plan.destination.unit) == ("ovs-pathfinder/0", "ovs-pathfinder/1")


def test_a_host_that_only_a_short_name_gives_away_is_told(clouds: sky.Sky) -> None:
    elsewhere = f"{sky.COMPUTE_HOST.partition('.')[0]}.maas"
    units = [sky.UNITS[0], sky.UNITS[1].model_copy(update={"hostnames": (elsewhere, "x")})]
    plan = clouds.plan(units=units)
    assert plan.destination.unit == "ovs-pathfinder/1"
    (warning,) = plan.warnings
    assert f"ovs-pathfinder/1 calls its own {elsewhere}" in warning


def test_two_units_of_one_machine_are_as_good_as_one(clouds: sky.Sky) -> None:
    twin = sky.UNITS[1].model_copy(update={"name": "ovs-pathfinder/9", "principal": "ceph-osd/0"})
    assert clouds.plan(units=[twin, *sky.UNITS]).destination.unit == "ovs-pathfinder/1"


def test_the_unit_that_was_named_is_asked_where_neutron_knows_another_host_name(clouds: sky.Sky) -> None:
    clouds.port(sky.OHM_PORT)["binding:host_id"] = "renamed"
    plan = clouds.plan()
    assert plan.source.unit == "ovs-pathfinder/0"
    assert any("compare `host` in neutron.conf" in warning for warning in plan.warnings)


def test_no_unit_s_word_stands_for_a_tunnel_address_that_the_cloud_does_not_tell(clouds: sky.Sky) -> None:
    del clouds.content["agents"][0]
    plan = clouds.plan()
    assert (plan.source.tunnel_address, plan.source.agent_alive) == ("", None)
    (warning,) = plan.warnings
    assert warning == f"Neutron knows no Open vSwitch agent on {sky.OCTAVIA_HOST}, the host of octavia/2."


EVIL = sky.UNITS[1].model_copy(update={"name": "evil/1", "principal": "evil/0", "management_address": "10.5.0.66"})


@pytest.mark.parametrize("first", [EVIL, EVIL.model_copy(update={"name": "aaa/0"})])
def test_host_that_units_of_two_machines_claim_is_nobody_s_and_said(clouds: sky.Sky, first: path.Unit) -> None:
    plan = clouds.plan(units=[first, *sky.UNITS])

    assert (plan.source.unit, plan.destination.unit) == ("ovs-pathfinder/0", "")
    (warning,) = [one for one in plan.warnings if "may be that of several units" in one]
    assert first.name in warning
    assert "ovs-pathfinder/1" in warning


def test_of_two_machines_that_claim_a_host_the_one_beside_the_principal_is_taken_and_the_other_said(
    clouds: sky.Sky,
) -> None:
    evil = EVIL.model_copy(update={"hostnames": sky.UNITS[0].hostnames})

    plan = clouds.plan(units=[evil, *sky.UNITS])

    assert plan.source.unit == "ovs-pathfinder/0"
    assert any("ovs-pathfinder/0, beside octavia/2, was taken" in one for one in plan.warnings)


def test_full_name_does_not_take_a_host_from_a_unit_that_has_none(clouds: sky.Sky) -> None:
    short = sky.UNITS[1].model_copy(update={"hostnames": (sky.COMPUTE_HOST.split(".")[0],)})

    assert clouds.plan(units=[sky.UNITS[0], short]).destination.unit == "ovs-pathfinder/1"
    assert clouds.plan(units=[sky.UNITS[0], short, EVIL]).destination.unit == ""


def test_what_could_not_be_read_of_a_unit_is_told_in_the_plan(clouds: sky.Sky) -> None:
    doubt = "What ovs-pathfinder/1 tells of itself is damaged at principal (…), so it cannot be found by its host."

    plan = clouds.plan(units=sky.UNITS[:1], doubts=[doubt])

    assert doubt in plan.warnings


@pytest.mark.parametrize("address", ["evil.example", "224.0.0.1", "127.0.0.1", "10.0.0.1 and not host 1"])
def test_tunnel_address_that_is_no_host_s_is_not_known_and_said(clouds: sky.Sky, address: str) -> None:
    clouds.content["agents"][0]["configurations"]["tunneling_ip"] = address

    plan = clouds.plan()

    assert plan.source.tunnel_address == ""
    assert any(f"{address!r}, which is not the address of a host" in warning for warning in plan.warnings)


def test_what_the_cloud_says_is_checked_before_a_plan_is_made_of_it(clouds: sky.Sky) -> None:
    clouds.content["networks"][0]["mtu"] = -1

    with pytest.raises(errors.PathfinderError, match="What OpenStack says of this path cannot be used: mtu is '-1'"):
        clouds.plan()


Change = tuple[str, int, dict[str, Any]]
"""What to change: the kind of object, which of them, its attributes. See `Sky.spoil`."""


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (("agents", 1, {"alive": False}), "does not report to Neutron"),
        (
            ("agents", 1, {"configurations": {"tunneling_ip": "172.20.0.1"}}),
            "told Neutron the tunnel address 172.20.0.1, but Open vSwitch there has 172.20.0.209",
        ),
        (
            ("agents", 0, {"configurations": {"tunnel_types": ["vxlan"]}}),
            "of type gre, but the agent on .* has tunnels of vxlan",
        ),
        (("ports", 1, {"status": "DOWN"}), "is DOWN"),
        (("ports", 1, {"admin_state_up": False}), "switched off"),
        (("ports", 1, {"binding:vif_type": "binding_failed"}), "could not bind .*vif_type binding_failed"),
        (("ports", 1, {"binding:vif_type": "hw_veb"}), "plugged as hw_veb"),
        (("ports", 1, {"fixed_ips": [sky.fixed(sky.GUEST_ADDRESS, "x")]}), "of different subnets"),
        (("ports", 1, {"binding:host_id": "compute-9"}), "No unit of ovs-pathfinder is on compute-9"),
    ],
)
def test_what_is_odd_becomes_a_warning(clouds: sky.Sky, change: Change, warning: str) -> None:
    clouds.spoil(*change)
    assert re.search(warning, " | ".join(clouds.plan().warnings))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"source": "octavia/7"}, "octavia/7 has no port: .*octavia-health-manager-octavia-7-listen-port"),
        ({"source": "nova-compute/0"}, "nova-compute/0 has no port"),
        ({"source": "nothing"}, "no port with the name 'nothing'"),
        ({"source": sky.NOWHERE}, f"no port with the id or name '{sky.NOWHERE}'"),
        ({"source": "fc00::1"}, "no port with the address fc00::1"),
        ({"source": ""}, "source is empty"),
        ({"source": "x" * 256}, "has 256 characters"),
        ({"source": "a\nb"}, r"control character '\\n'"),
        ({"source": "a\ud800"}, "control character"),
        ({"destination": ""}, "destination is empty"),
        ({"destination": "nothing"}, "Neither a port nor a server has the name 'nothing'"),
        ({"destination": sky.NOWHERE}, "nor an amphora: check the id"),
        ({"destination": "10.9.9.9"}, "no port with the address 10.9.9.9"),
        ({"destination": "octavia/9"}, "octavia/9 has no port"),
        ({"destination": "fe80::f816:3eff:fe0d:9acf"}, "link-local"),
        ({"destination": "octavia/2"}, "the same port"),
        ({"destination": sky.VRRP_PORT}, r"octavia/2 is on network lb-mgmt-net \(0.*on network private \(5"),
        ({"protocol": "sctp"}, "'sctp' is not known"),
        ({"protocol": "tcp"}, "tcp needs a destination port"),
        ({"protocol": "udp"}, "udp needs a destination port"),
        ({"protocol": "icmp", "port": 80}, "ICMP has no ports"),
        ({"protocol": "tcp", "port": 0}, "0 is out of range"),
        ({"protocol": "tcp", "port": 65536}, "65536 is out of range"),
        ({"units": ()}, f"No unit of ovs-pathfinder is on {sky.OCTAVIA_HOST} or {sky.COMPUTE_HOST}"),
    ],
)
def test_what_cannot_be_planned_is_refused(clouds: sky.Sky, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.PathfinderError, match=message):
        clouds.plan(**asked)


def physical(clouds: sky.Sky, kind: str, segment: int | None, **bridges: str) -> None:
    """Put the management network onto a physical one; `bridges` are the agents' mappings, by their number."""
    about = {
        "provider:network_type": kind,
        "provider:segmentation_id": segment,
        "provider:physical_network": "physnet1",
    }
    clouds.spoil("networks", 0, about)
    for number, agent in enumerate(clouds.content["agents"]):
        mappings = {"physnet1": bridges[f"_{number}"]} if f"_{number}" in bridges else {}
        agent["configurations"] = {"bridge_mappings": mappings, "tunnel_types": []}


@pytest.mark.parametrize(("kind", "segment"), [("vlan", 753), ("flat", None)])
def test_networks_without_tunnels_lead_over_the_bridges_of_their_physical_network(
    clouds: sky.Sky, kind: str, segment: int | None
) -> None:
    physical(clouds, kind, segment, _0="br-ex", _1="br-data")

    plan = clouds.plan()

    assert (plan.network.type, plan.network.segmentation_id, plan.network.physical_network) == (
        kind,
        segment,
        "physnet1",
    )
    assert (plan.source.physical_bridge, plan.destination.physical_bridge) == ("br-ex", "br-data")
    assert plan.stretch == "br-ex to br-data"
    assert plan.warnings == ()


def test_host_without_a_bridge_for_the_physical_network_is_told(clouds: sky.Sky) -> None:
    physical(clouds, "vlan", 753, _0="br-ex")

    (warning,) = clouds.plan().warnings

    assert f"The agent on {sky.COMPUTE_HOST} has no bridge for the physical network physnet1" in warning


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("ports", 1, {"device_owner": "trunk:subport"}),
            f"port {sky.GUEST_PORT}, is a trunk's subport, and Neutron shows no port on {sky.COMPUTE_HOST}",
        ),
        (("networks", 0, {"provider:network_type": "local"}), "of type local: its packets never leave"),
        (("networks", 0, {"provider:network_type": "stt"}), "of type stt: .*Only gre, vxlan, geneve, vlan and flat"),
        (("networks", 0, {"provider:segmentation_id": None}), "no segmentation id"),
        (("networks", 0, {"provider:network_type": ...}), "several segments, or the credentials lack"),
        (("networks", 0, {"id": "gone"}), "does not show the network"),
        (
            ("ports", 1, {"binding:host_id": "", "binding:vif_type": "unbound", "status": "DOWN"}),
            f"not bound to a host .*unbound, status DOWN.*`openstack port show {sky.GUEST_PORT} -c",
        ),
        (("ports", 1, {"binding:host_id": "", "device_owner": "Octavia"}), "the VIP of a load balancer"),
        (("ports", 0, {"binding:host_id": ""}), f"octavia/2, port {sky.OHM_PORT}, is not bound"),
        (("ports", 0, {"binding:host_id": ...}), "the credentials need the admin role"),
        (("ports", 1, {"device_owner": "network:dhcp"}), "Neutron's DHCP server"),
        (("ports", 1, {"device_owner": "network:router_interface_distributed"}), "a distributed router"),
        (("ports", 0, {"device_owner": "network:ha_router"}), "such as a router"),
        (("ports", 0, {"fixed_ips": list[sky.Object]()}), "octavia/2 has the addresses none"),
        (("ports", 0, {"fixed_ips": [sky.fixed("10.0.0.1")]}), "10.0.0.1.*no two are of one IP version"),
        (("ports", 0, {"mac_address": "junk"}), "not understood at 'mac_address'"),
        (("ports", 1, {"network_id": ...}), "not understood at 'network_id'"),
    ],
)
def test_what_the_cloud_says_can_make_a_plan_impossible(clouds: sky.Sky, change: Change, message: str) -> None:
    clouds.spoil(*change)
    with pytest.raises(errors.PathfinderError, match=message):
        clouds.plan()


def test_the_matches_of_an_ambiguous_name_are_listed(clouds: sky.Sky) -> None:
    clouds.content["ports"] += [
        sky.port(f"4444444{number}-0000-4000-8000-000000000001", name="web") for number in range(7)
    ]
    with pytest.raises(errors.PathfinderError, match="port web is ambiguous: ") as raised:
        clouds.plan(destination="web")
    assert str(raised.value).count("; port 4444444") == 4
    assert "; and 2 more. Name one by its id." in str(raised.value)


def test_of_two_hundred_ports_of_a_name_a_few_are_listed(clouds: sky.Sky) -> None:
    clouds.content["ports"] += [
        sky.port(f"4444{number:04d}-0000-4000-8000-000000000001", name="web") for number in range(200)
    ]
    with pytest.raises(errors.PathfinderError, match="port web is ambiguous: ") as raised:
        clouds.plan(destination="web")
    assert str(raised.value).count("port 4444") == 5
    assert str(raised.value).endswith("; and more than 95 others. Name one by its id.")


def test_a_name_of_a_server_and_of_a_foreign_port_is_ambiguous(clouds: sky.Sky) -> None:
    clouds.port(sky.OHM_PORT)["name"] = shared = "shared"
    clouds.content["servers"][0]["name"] = shared
    with pytest.raises(errors.PathfinderError, match=f"server {sky.SERVER} .*; port {sky.OHM_PORT} "):
        clouds.plan(sky.OHM_PORT, shared)


def test_a_port_that_is_named_like_its_server_is_not_ambiguous(clouds: sky.Sky) -> None:
    clouds.port(sky.GUEST_PORT)["name"] = sky.SERVER_NAME
    assert clouds.plan(destination=sky.SERVER_NAME).destination.port.id == sky.GUEST_PORT


def test_servers_of_one_name_are_ambiguous(clouds: sky.Sky) -> None:
    clouds.content["servers"].append(clouds.content["servers"][0] | {"id": sky.NOWHERE})
    with pytest.raises(errors.PathfinderError, match=f"server {sky.SERVER} .*; server {sky.NOWHERE} "):
        clouds.plan(destination=sky.SERVER_NAME)


def test_a_server_without_ports_is_refused(clouds: sky.Sky) -> None:
    clouds.content["servers"].append({"id": sky.NOWHERE, "name": "bare"})
    with pytest.raises(errors.PathfinderError, match=r"'bare' .* has no port"):
        clouds.plan(destination="bare")


def test_an_amphora_whose_port_is_gone_is_refused(clouds: sky.Sky) -> None:
    clouds.content["ports"] = [clouds.port(sky.OHM_PORT)]
    with pytest.raises(errors.PathfinderError, match=f"{sky.GUEST_ADDRESS} .*was it deleted"):
        clouds.plan(destination=sky.AMPHORA)


def test_an_amphora_that_has_nothing_yet_is_refused(clouds: sky.Sky) -> None:
    clouds.content["amphorae"][0] |= {"lb_network_ip": None, "vrrp_ip": None, "compute_id": None}
    with pytest.raises(errors.PathfinderError, match=r"neither an address nor a server .status BOOTING"):
        clouds.plan(destination=sky.AMPHORA)


def test_an_amphora_that_was_deleted_is_refused_though_its_address_is_in_use_again(clouds: sky.Sky) -> None:
    clouds.content["amphorae"][0]["status"] = "DELETED"
    with pytest.raises(errors.PathfinderError, match=f"amphora {sky.AMPHORA} is DELETED.*loadbalancer amphora list"):
        clouds.plan(destination=sky.AMPHORA)


PARENT = "99999999-0000-4000-8000-000000000001"
TRUNK = "2e9b4c11-6d0f-4c38-9d5e-0c1d6f3a7b20"


def hang(clouds: sky.Sky, **changes: Any) -> None:
    """Make the guest's port the subport of a trunk whose parent is on another network."""
    clouds.port(sky.GUEST_PORT).update(device_owner="trunk:subport", device_id="")
    subport = {"port_id": sky.GUEST_PORT, "segmentation_id": 101, "segmentation_type": "vlan", **changes}
    details = {"trunk_id": TRUNK, "sub_ports": [subport]}
    clouds.content["ports"].append(sky.port(PARENT, network_id=sky.PRIVATE, trunk_details=details))


def test_a_subport_is_planned_with_its_trunk(clouds: sky.Sky) -> None:
    hang(clouds)

    plan = clouds.plan()

    trunk = path.Trunk(id=TRUNK, parent=PARENT, vlan=101)
    assert plan.destination.port.trunk == trunk
    assert (plan.destination.port.tap, trunk.bridge) == ("tap99999999-00", "tbr-2e9b4c11-6")
    assert (plan.destination.unit, plan.warnings) == ("ovs-pathfinder/1", ())


def test_a_subport_as_the_source_is_a_guests(clouds: sky.Sky) -> None:
    hang(clouds)
    assert "nothing can be sent from inside a guest" in " ".join(clouds.plan(sky.GUEST_PORT, sky.OHM_PORT).warnings)


def test_a_trunk_of_another_kind_of_segment_is_refused(clouds: sky.Sky) -> None:
    hang(clouds, segmentation_type="gre")
    with pytest.raises(errors.PathfinderError, match=f"trunk {TRUNK} has the port .* segmentation type gre"):
        clouds.plan()


def test_a_trunk_costs_one_request_whatever_the_size_of_the_cloud(clouds: sky.Sky) -> None:
    without = _cost(clouds, sky.GUEST_PORT)
    hang(clouds)
    assert _cost(clouds, sky.GUEST_PORT) == without + 1
    _crowd(clouds, binding__host_id="elsewhere")
    assert _cost(clouds, sky.GUEST_PORT) == without + 1
    (asked,) = [one["query"] for one in clouds.stand_in.requests if "trunk_details" in one["query"]]
    assert urllib.parse.parse_qs(asked)["binding:host_id"] == [sky.COMPUTE_HOST]


_DESTINATIONS = [sky.GUEST_ADDRESS, sky.GUEST_PORT, sky.GUEST_NAME, sky.SERVER, sky.SERVER_NAME, sky.AMPHORA]


def _crowd(clouds: sky.Sky, **changes: Any) -> None:
    clouds.content["ports"] += [
        sky.port(f"{number:08x}-0000-4000-8000-00000000000c", name=f"crowd-{number}", security_groups=["g"], **changes)
        | {"fixed_ips": [sky.fixed(f"fc00:5896:ff23:44dc::{number:x}")]}
        for number in range(50_000)
    ]


def test_the_number_of_requests_does_not_depend_on_the_number_of_ports(clouds: sky.Sky) -> None:
    few = [_cost(clouds, destination) for destination in _DESTINATIONS]
    assert max(few) <= 9
    _crowd(clouds)
    assert [_cost(clouds, destination) for destination in _DESTINATIONS[::4]] == few[::4]


def _cost(clouds: sky.Sky, destination: str) -> int:
    clouds.plan(destination=destination)
    return len(clouds.stand_in.requests)


def test_no_list_is_asked_for_without_a_filter(clouds: sky.Sky) -> None:
    seen: set[str] = set()
    for destination in _DESTINATIONS:
        clouds.plan(destination=destination)
        for request in clouds.stand_in.requests:
            resource = request["path"].rpartition("/")[2]
            if resource in ("ports", "networks", "agents", "security-groups", "detail"):
                seen.add(resource)
                filters = set(urllib.parse.parse_qs(request["query"])) - {"fields", "limit", "all_tenants"}
                assert filters, request
    assert seen == {"ports", "networks", "agents", "security-groups", "detail"}


def test_the_costliest_plan_stays_within_twelve_requests(clouds: sky.Sky) -> None:
    # The source is a subport named by a UUID, so that it is asked for as an id first; the amphora's address is
    # on more networks than a page holds.
    hang(clouds, port_id=sky.OHM_PORT)
    clouds.port(PARENT)["binding:host_id"] = sky.OCTAVIA_HOST
    clouds.port(sky.GUEST_PORT)["device_owner"] = "compute:nova"
    clouds.port(sky.OHM_PORT).update(name=sky.NOWHERE, device_owner="trunk:subport")
    clouds.content["amphorae"][0]["compute_id"] = None
    clouds.content["ports"] += [
        sky.port(f"0{number:07x}-0000-4000-8000-000000000001", network_id=f"network-{number}")
        | {"fixed_ips": [sky.fixed(sky.GUEST_ADDRESS, "elsewhere")]}
        for number in range(150)
    ]
    plan = clouds.plan(sky.NOWHERE, sky.AMPHORA)
    assert plan.destination.port.id == sky.GUEST_PORT
    assert 10 <= len(clouds.stand_in.requests) <= 12
