"""A small cloud for tests: the management network of Octavia, and what is needed to go wrong."""

import json
import pathlib
from typing import Any

from ovs_pathfinder import cloud, path
from tests.lab.cloud import server

Object = dict[str, Any]


def egress(identifier: str, group: str) -> Object:
    """Return a rule that lets everything out over IPv6, as each new group has one."""
    nothing = ("protocol", "port_range_min", "port_range_max", "remote_ip_prefix", "remote_group_id", "normalized_cidr")
    rule = {"id": identifier, "security_group_id": group, "direction": "egress", "ethertype": "IPv6"}
    return rule | dict.fromkeys(nothing)


MANAGEMENT = "0209e5b1-3eed-4d72-bbf3-eaff1b97d241"
PRIVATE = "5a1f0f5e-8c70-4d0c-8c1c-0d7f4f1b0a02"
SUBNET6 = "434a2fe4-9d3b-40db-91de-f35a302940c3"
SUBNET4 = "f13baf85-bb95-4b1d-8e16-0b1ec06fc98f"
PRIVATE_SUBNET = "0c5c5f1e-9f0e-4a39-9a58-6f3f2e1d4c01"
OHM_PORT = "f6ee6c02-4e7a-4e24-98cb-a9194d591476"
OHM_NAME = "octavia-health-manager-octavia-2-listen-port"
OHM_ADDRESS = "fc00:5896:ff23:44dc:f816:3eff:fea8:7ef6"
GUEST_PORT = "8aff7663-c921-4668-a9c8-9ceab17d27bd"
GUEST_NAME = "octavia-lb-vrrp-mgmt-e64930ad-1cf0-4073-9827-45302a3aac52"
GUEST_ADDRESS = "fc00:5896:ff23:44dc:f816:3eff:fe0d:9acf"
VRRP_PORT = "c7b9d0e4-4b0a-4c0f-9d8b-7a3e6d9f3b11"
SERVER = "4e633586-7625-424d-b2c1-cbcf586ce948"
SERVER_NAME = "amphora-e64930ad-1cf0-4073-9827-45302a3aac52"
AMPHORA = "e64930ad-1cf0-4073-9827-45302a3aac52"
HEALTH_GROUP = "e3070f0b-4522-49c5-8197-49b9f387811d"
MANAGEMENT_GROUP = "7739e40f-679c-4d9f-ac84-c99d700399d8"
OCTAVIA_HOST = "juju-7091df-zaza-d0217f8a78e8-10.project.serverstack"
COMPUTE_HOST = "juju-7091df-zaza-d0217f8a78e8-8.project.serverstack"
NOWHERE = "00000000-0000-4000-8000-000000000000"
RUN = "20261122t073700-0a1b2c"

UNITS = (
    path.Unit(
        name="ovs-pathfinder/0",
        principal="octavia/2",
        hostnames=(OCTAVIA_HOST,),
        tunnel_address="172.20.0.139",
        management_address="10.5.0.139",
    ),
    path.Unit(
        name="ovs-pathfinder/1",
        principal="nova-compute/0",
        hostnames=(COMPUTE_HOST,),
        tunnel_address="172.20.0.209",
        management_address="10.5.0.209",
    ),
)


def port(identifier: str, **changes: Any) -> Object:
    """Return a port as the API prints it; `changes` use `__` for `:`."""
    plain: Object = {
        "id": identifier,
        "name": "",
        "network_id": MANAGEMENT,
        "tenant_id": "74333ef2bac5444ea3bd6fd7b663dfa0",
        "project_id": "74333ef2bac5444ea3bd6fd7b663dfa0",
        "mac_address": f"fa:16:3e:{identifier[:2]}:{identifier[2:4]}:{identifier[4:6]}",
        "admin_state_up": True,
        "status": "ACTIVE",
        "device_id": "",
        "device_owner": "compute:nova",
        "fixed_ips": [],
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "security_groups": [],
        "description": "",
        "binding:vnic_type": "normal",
        "binding:profile": {},
        "binding:host_id": COMPUTE_HOST,
        "binding:vif_type": "ovs",
        "binding:vif_details": {"port_filter": True, "datapath_type": "system", "bridge_name": "br-int"},
        "port_security_enabled": True,
        "tags": [],
        "created_at": "2026-11-22T07:34:56Z",
        "updated_at": "2026-11-22T07:35:29Z",
        "revision_number": 3,
    }
    return plain | {key.replace("__", ":"): value for key, value in changes.items()}


def fixed(address: str, subnet: str = SUBNET6) -> Object:
    """Return a fixed IP as the API prints it."""
    return {"subnet_id": subnet, "ip_address": address}


def agent(host: str, address: str, **changes: Any) -> Object:
    """Return an Open vSwitch agent as the API prints it."""
    return {
        "id": f"agent-of-{host}",
        "agent_type": "Open vSwitch agent",
        "binary": "neutron-openvswitch-agent",
        "topic": "N/A",
        "host": host,
        "admin_state_up": True,
        "alive": True,
        "configurations": {"tunneling_ip": address, "tunnel_types": ["gre"], "l2_population": True},
    } | changes


def network(identifier: str, name: str, **changes: Any) -> Object:
    """Return a network as the API prints it; `changes` use `__` for `:`."""
    plain: Object = {
        "id": identifier,
        "name": name,
        "admin_state_up": True,
        "status": "ACTIVE",
        "mtu": 1458,
        "shared": False,
        "router:external": False,
        "provider:network_type": "gre",
        "provider:physical_network": None,
        "provider:segmentation_id": 753,
    }
    return plain | {key.replace("__", ":"): value for key, value in changes.items()}


def describe() -> Object:
    """Describe the cloud in which everything is well."""
    return {
        "networks": [
            network(MANAGEMENT, "lb-mgmt-net"),
            network(PRIVATE, "private", provider__segmentation_id=17),
        ],
        "ports": [
            port(
                OHM_PORT,
                name=OHM_NAME,
                mac_address="fa:16:3e:a8:7e:f6",
                device_owner="Octavia:health-mgr",
                fixed_ips=[fixed(OHM_ADDRESS)],
                security_groups=[HEALTH_GROUP],
                binding__host_id=OCTAVIA_HOST,
            ),
            port(
                GUEST_PORT,
                name=GUEST_NAME,
                mac_address="fa:16:3e:0d:9a:cf",
                device_id=SERVER,
                fixed_ips=[fixed(GUEST_ADDRESS)],
                security_groups=[MANAGEMENT_GROUP],
                allowed_address_pairs=[{"mac_address": "fa:16:3e:0d:9a:cf", "ip_address": "10.0.0.0/24"}],
            ),
            port(
                VRRP_PORT,
                name=f"octavia-lb-vrrp-{AMPHORA}",
                network_id=PRIVATE,
                device_id=SERVER,
                fixed_ips=[fixed("192.168.0.59", PRIVATE_SUBNET)],
            ),
        ],
        "security_groups": [
            {"id": HEALTH_GROUP, "name": "lb-health-mgr-sec-grp", "security_group_rules": [egress("1", HEALTH_GROUP)]},
            {"id": MANAGEMENT_GROUP, "name": "lb-mgmt-sec-grp", "security_group_rules": []},
            {"id": "547bb924-2a8d-4e51-bf77-5f1d5fea8ba8", "name": "default", "security_group_rules": []},
        ],
        "agents": [agent(OCTAVIA_HOST, "172.20.0.139"), agent(COMPUTE_HOST, "172.20.0.209")],
        "servers": [
            {
                "id": SERVER,
                "name": SERVER_NAME,
                "status": "ACTIVE",
                "tenant_id": "another-project",
                "OS-EXT-SRV-ATTR:host": COMPUTE_HOST,
            }
        ],
        "amphorae": [
            {
                "id": AMPHORA,
                "compute_id": SERVER,
                "lb_network_ip": GUEST_ADDRESS,
                "vrrp_ip": "192.168.0.59",
                "status": "BOOTING",
                "role": "MASTER",
            }
        ],
    }


class Sky:
    """A stand-in that serves a description, and a connection to it."""

    def __init__(self, stand_in: server.Server, file: pathlib.Path) -> None:
        self.stand_in = stand_in
        self._file = file
        self.content = describe()

    def credentials(self, **changes: Any) -> cloud.Credentials:
        """Return what the stand-in accepts."""
        plain: Object = {
            "auth_url": f"{self.stand_in.url}/v3",
            "username": "ovs-pathfinder",
            "password": "secret",
            "project": "services",
            "user_domain": "default",
            "project_domain": "default",
        }
        return cloud.Credentials.model_validate(plain | changes)

    def port(self, identifier: str) -> Object:
        """Return a port of the description, to be changed."""
        return next(entry for entry in self.content["ports"] if entry["id"] == identifier)

    def spoil(self, kind: str, number: int, changes: Object) -> None:
        """Change attributes of one object of the description; the value `...` removes one."""
        entry: Object = self.content[kind][number]
        entry |= changes
        for key in [key for key, value in changes.items() if value is ...]:
            del entry[key]

    def serve(self) -> None:
        """Write the description to where the stand-in reads it."""
        draft = self._file.with_suffix(".new")
        draft.write_text(json.dumps(self.content))
        draft.replace(self._file)

    def plan(self, source: str = "octavia/2", destination: str = GUEST_ADDRESS, **changes: Any) -> path.Plan:
        """Serve the description, sign in, and make a plan."""
        self.serve()
        self.stand_in.requests.clear()
        arguments: Object = {"units": UNITS, "run": RUN, "created": "2026-11-22T07:37:00Z"} | changes
        with cloud.connect(self.credentials()) as connected:
            return cloud.make_plan(connected, source=source, destination=destination, **arguments)

    def reset(self) -> None:
        """Return to the cloud in which everything is well."""
        self.content = describe()
