"""A trunk in a real cloud: its ports through the API, its bridge as Nova makes it; the agent does the rest."""

import dataclasses
import sys
from typing import Any

from tests.lab import hosts, node, switch, topology, wiring

from . import cloud

VLAN = 101
_ADDRESS4, _PARENTS4 = "192.168.77.150", "192.168.88.150"


@dataclasses.dataclass(frozen=True)
class Trunk:
    """What was made."""

    id: str
    subport: topology.Interface
    parent: topology.Interface

    @property
    def bridge(self) -> str:
        """Its bridge on the host."""
        return f"tbr-{self.id}"[:14]


def make(where: cloud.Cloud) -> Trunk:
    """Make a network of its own for the parent, both ports and the trunk."""
    network = _post(where, "network", {"name": "trunks"})["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "192.168.88.0/24", "enable_dhcp": False}
    _post(where, "subnet", subnet)
    guests = {"security_groups": [where.groups["guest"]]}
    fixed = [{"ip_address": _PARENTS4}]
    parent = _post(where, "port", {"network_id": network, "name": "parent", "fixed_ips": fixed, **guests})
    management = where.port("guest")
    four = next(one["subnet_id"] for one in management["fixed_ips"] if "." in one["ip_address"])
    body = {"network_id": management["network_id"], "name": "vlan101", "fixed_ips": [
        {"subnet_id": four, "ip_address": _ADDRESS4}
    ]}  # fmt: skip
    subport = _post(where, "port", {**body, **guests})
    hanging = {"port_id": subport["id"], "segmentation_type": "vlan", "segmentation_id": VLAN}
    trunk = _post(where, "trunk", {"port_id": parent["id"], "name": "trunk0", "sub_ports": [hanging]})
    # a port that is bound may not become a parent: Nova binds it when it boots the server
    bound = {"device_owner": "compute:nova", "binding:host_id": topology.COMPUTE.hostname}
    where.api.put("network", f"/v2.0/ports/{parent['id']}", {"port": bound})
    six = next(one["ip_address"] for one in subport["fixed_ips"] if ":" in one["ip_address"])
    outer = topology.Interface(
        "parent", parent["id"], parent["mac_address"], "fd00:88::150", _PARENTS4, f"tap{parent['id']}"[:14]
    )
    inner = topology.Interface(
        "vlan", subport["id"], subport["mac_address"], six, _ADDRESS4, f"spi-{subport['id']}"[:15], parent=outer
    )
    return Trunk(trunk["id"], inner, outer)


def plug(where: cloud.Cloud, trunk: Trunk) -> node.Node:
    """Plug the guest's device into the trunk's bridge, as Nova does; return the guest."""
    guest = where.add_node("vlan")
    wiring.attach(trunk.subport, guest, where.destination, where.shape.mtu, VLAN)
    ids = {"attached-mac": trunk.parent.mac, "iface-id": trunk.parent.port, "iface-status": "active", "vm-uuid": "v"}
    external = [f'external_ids:{key}="{value}"' for key, value in ids.items()]
    device = trunk.parent.device
    switch.configure(
        where.destination,
        [
            ["add-br", trunk.bridge],
            ["set", "Bridge", trunk.bridge, "datapath_type=netdev"],
            ["add-port", trunk.bridge, device],
            ["set", "Interface", device, *external],
        ],
    )
    program = str(hosts.CHECKOUT / "tests" / "lab" / "endpoint.py")
    guest.start("amphora", sys.executable, program, "--tcp", str(topology.API_PORT), "--udp", "5555")
    return guest


def _post(where: cloud.Cloud, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return where.api.post("network", f"/v2.0/{kind}s", {kind: body})[kind]
