"""The lab's cloud as raw OpenStack API objects: what Neutron, Nova and Octavia would answer."""

from collections.abc import Collection
from typing import Any

from . import topology

Objects = list[dict[str, Any]]

_CREATED = "2022-03-12T08:55:20Z"
_RULES: tuple[tuple[str, str, str, str, str | None, int | None], ...] = (
    # id, group, direction, ethertype, protocol, port
    ("2579171b-e2b7-43aa-b18e-1ca50bf1e2ce", topology.HEALTH_GROUP, "egress", "IPv6", None, None),
    ("be9c3312-dd15-4f1b-93bf-17a5f1917e0d", topology.HEALTH_GROUP, "egress", "IPv4", None, None),
    ("632a4117-83bd-4d08-8bc7-de8424f92b6a", topology.HEALTH_GROUP, "ingress", "IPv6", "ipv6-icmp", None),
    ("eba21f3a-e90b-4b05-b729-20eb54ce047e", topology.HEALTH_GROUP, "ingress", "IPv6", "udp", 5555),
    ("1f3f4b6e-2c64-4f0e-9d55-5b1f1d6c3a01", topology.HEALTH_GROUP, "ingress", "IPv4", "icmp", None),
    ("1f3f4b6e-2c64-4f0e-9d55-5b1f1d6c3a02", topology.HEALTH_GROUP, "ingress", "IPv4", "udp", 5555),
    ("5b0c8f1d-77b5-4d8f-8a6e-0d6f5c2b4a01", topology.AMPHORA_GROUP, "egress", "IPv6", None, None),
    ("5b0c8f1d-77b5-4d8f-8a6e-0d6f5c2b4a02", topology.AMPHORA_GROUP, "egress", "IPv4", None, None),
    ("5b0c8f1d-77b5-4d8f-8a6e-0d6f5c2b4a03", topology.AMPHORA_GROUP, "ingress", "IPv6", "ipv6-icmp", None),
    ("5b0c8f1d-77b5-4d8f-8a6e-0d6f5c2b4a04", topology.AMPHORA_GROUP, "ingress", "IPv6", "tcp", 22),
    ("5b0c8f1d-77b5-4d8f-8a6e-0d6f5c2b4a05", topology.AMPHORA_GROUP, "ingress", "IPv6", "tcp", 9443),
    ("5b0c8f1d-77b5-4d8f-8a6e-0d6f5c2b4a06", topology.AMPHORA_GROUP, "ingress", "IPv4", "icmp", None),
    ("5b0c8f1d-77b5-4d8f-8a6e-0d6f5c2b4a07", topology.AMPHORA_GROUP, "ingress", "IPv4", "tcp", 22),
    ("5b0c8f1d-77b5-4d8f-8a6e-0d6f5c2b4a08", topology.AMPHORA_GROUP, "ingress", "IPv4", "tcp", 9443),
)


def build(shape: topology.Shape) -> dict[str, Objects]:
    """Describe a healthy cloud of that shape, a list of objects for each kind of resource."""
    interfaces = shape.interfaces
    rules = [_rule(*each) for each in _RULES]
    parents = [each.parent for each in interfaces if each.parent]
    return {
        "networks": [_network(shape), *(_network_of_parent(shape) for _ in parents)],
        "subnets": [_subnet(6), _subnet(4)],
        "ports": [
            *(_port(shape, each) for each in interfaces),
            *(_parent(shape, each.parent, each) for each in interfaces if each.parent),
        ],
        "security_groups": [
            _group(topology.HEALTH_GROUP, "lb-health-mgr-sec-grp", rules),
            _group(topology.AMPHORA_GROUP, "lb-mgmt-sec-grp", rules),
        ],
        "security_group_rules": rules,
        "agents": [_agent(shape, each) for each in topology.SITES],
        "servers": [_server(shape, each) for each in (*interfaces, *parents) if each.server],
        "amphorae": [_amphora(shape, each) for each in interfaces if each.amphora],
    }


def drop_rules(description: dict[str, Objects], group: str, direction: str, protocols: Collection[str | None]) -> None:
    """Take rules out of a security group, everywhere that the API shows them."""

    def kept(rule: dict[str, Any]) -> bool:
        doomed = rule["direction"] == direction and rule["protocol"] in protocols
        return rule["security_group_id"] != group or not doomed

    description["security_group_rules"] = [each for each in description["security_group_rules"] if kept(each)]
    for each in description["security_groups"]:
        each["security_group_rules"] = [rule for rule in each["security_group_rules"] if kept(rule)]


def members(description: dict[str, Objects]) -> dict[str, list[str]]:
    """Return the addresses and networks of security groups, as remote groups see them, and of address groups."""
    found = {str(each["id"]): [*each["addresses"]] for each in description.get("address_groups", [])}
    for port in description["ports"]:
        own = [each["ip_address"] for each in (*port["fixed_ips"], *port["allowed_address_pairs"])]
        for group in port["security_groups"]:
            found.setdefault(group, []).extend(own)
    return found


def _network(shape: topology.Shape) -> dict[str, Any]:
    return {
        "id": topology.NETWORK,
        "name": "lb-mgmt-net",
        "admin_state_up": True,
        "status": "ACTIVE",
        "mtu": shape.mtu,
        "port_security_enabled": True,
        "project_id": topology.PROJECT,
        "tenant_id": topology.PROJECT,
        "provider:network_type": shape.tunnel,
        "provider:physical_network": None if shape.is_tunnelled else topology.PHYSICAL,
        "provider:segmentation_id": shape.segment,
        "router:external": False,
        "shared": False,
        "subnets": [topology.SUBNET6, topology.SUBNET4],
        "availability_zone_hints": [],
        "availability_zones": [],
        "description": "",
        "tags": [],
        "revision_number": 3,
        "created_at": _CREATED,
        "updated_at": _CREATED,
    }


def _network_of_parent(shape: topology.Shape) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "id": topology.PARENT_NETWORK,
        "name": "trunks",
        "provider:network_type": "gre",
        "provider:physical_network": None,
        "provider:segmentation_id": topology.PARENT_SEGMENT,
        "subnets": [],
    }
    return {**_network(shape), **changes}


def _parent(shape: topology.Shape, interface: topology.Interface, subport: topology.Interface) -> dict[str, Any]:
    """Describe the parent port of a trunk; `trunk_details` are shown of such alone."""
    hanging = {
        "port_id": subport.port,
        "segmentation_id": topology.TRUNK_VLAN,
        "segmentation_type": "vlan",
        "mac_address": subport.mac,
    }
    changes = {
        "name": "workload",
        "network_id": topology.PARENT_NETWORK,
        "fixed_ips": [{"subnet_id": topology.PARENT_NETWORK, "ip_address": interface.address4}],
        "trunk_details": {"trunk_id": topology.TRUNK, "sub_ports": [hanging]},
    }
    return {**_port(shape, interface), **changes}


def _subnet(version: topology.IpVersion) -> dict[str, Any]:
    six = version == 6
    return {
        "id": topology.SUBNET6 if six else topology.SUBNET4,
        "name": "lb-mgmt-subnetv6" if six else "lb-mgmt-subnet",
        "network_id": topology.NETWORK,
        "ip_version": version,
        "cidr": topology.PREFIX6 if six else topology.PREFIX4,
        "gateway_ip": None,
        "enable_dhcp": six,
        "ipv6_ra_mode": "slaac" if six else None,
        "ipv6_address_mode": "slaac" if six else None,
        "allocation_pools": [],
        "dns_nameservers": [],
        "host_routes": [],
        "project_id": topology.PROJECT,
        "tenant_id": topology.PROJECT,
        "tags": [],
    }


def _port(shape: topology.Shape, interface: topology.Interface) -> dict[str, Any]:
    source = interface is topology.SOURCE
    name = "workload-vlan101" if interface.parent else f"octavia-lb-vrrp-mgmt-{interface.amphora}"
    six = {"subnet_id": topology.SUBNET6, "ip_address": interface.address6}
    four = {"subnet_id": topology.SUBNET4, "ip_address": interface.address4}
    return {
        "id": interface.port,
        "name": "octavia-health-manager-octavia-2-listen-port" if source else name,
        "mac_address": interface.mac,
        "fixed_ips": [six, four] if shape.ip == 6 else [four, six],
        "network_id": topology.NETWORK,
        "device_owner": "Octavia:health-mgr" if source else "trunk:subport" if interface.parent else "compute:nova",
        "device_id": interface.server,
        "binding:host_id": shape.site(interface).hostname,
        "binding:vif_type": "ovs",
        "binding:vif_details": {
            "connectivity": "l2",
            "port_filter": True,
            "ovs_hybrid_plug": False,
            "datapath_type": "netdev",
            "bridge_name": "br-int",
            "bound_drivers": {"0": "openvswitch"},
        },
        "binding:vnic_type": "normal",
        "binding:profile": {},
        "status": "ACTIVE",
        "admin_state_up": True,
        "port_security_enabled": True,
        "security_groups": [topology.HEALTH_GROUP if source else topology.AMPHORA_GROUP],
        "allowed_address_pairs": [],
        "project_id": topology.PROJECT,
        "tenant_id": topology.PROJECT,
        "description": "",
        "extra_dhcp_opts": [],
        "tags": [],
        "revision_number": 4,
        "created_at": _CREATED,
        "updated_at": _CREATED,
    }


def _rule(
    rule: str, group: str, direction: str, ethertype: str, protocol: str | None, port: int | None
) -> dict[str, Any]:
    return {
        "id": rule,
        "security_group_id": group,
        "direction": direction,
        "ethertype": ethertype,
        "protocol": protocol,
        "port_range_min": port,
        "port_range_max": port,
        "remote_ip_prefix": None,
        "remote_group_id": None,
        "remote_address_group_id": None,
        "normalized_cidr": None,
        "description": "",
        "project_id": topology.PROJECT,
        "tenant_id": topology.PROJECT,
        "revision_number": 0,
        "created_at": _CREATED,
        "updated_at": _CREATED,
    }


def _group(group: str, name: str, rules: Objects) -> dict[str, Any]:
    return {
        "id": group,
        "name": name,
        "description": name,
        "stateful": True,
        "project_id": topology.PROJECT,
        "tenant_id": topology.PROJECT,
        "security_group_rules": [each for each in rules if each["security_group_id"] == group],
        "tags": [],
        "revision_number": 3,
        "created_at": _CREATED,
        "updated_at": _CREATED,
    }


def _agent(shape: topology.Shape, site: topology.Site) -> dict[str, Any]:
    return {
        "id": site.agent,
        "agent_type": "Open vSwitch agent",
        "binary": "neutron-openvswitch-agent",
        "host": site.hostname,
        "topic": "N/A",
        "alive": True,
        "admin_state_up": True,
        "availability_zone": None,
        "configurations": {
            "arp_responder_enabled": False,
            "datapath_type": "netdev",
            "devices": len(shape.plugged(site)),
            "integration_bridge": "br-int",
            "l2_population": shape.l2population,
            "ovs_hybrid_plug": False,
            "tunnel_types": [shape.tunnel] if shape.is_tunnelled else [],
            "bridge_mappings": {} if shape.is_tunnelled else {topology.PHYSICAL: topology.PHYSICAL_BRIDGE},
            "tunneling_ip": site.tunnel_address,
        },
        "created_at": "2022-03-12 08:50:56",
        "started_at": "2022-03-12 08:51:06",
        "heartbeat_timestamp": "2022-03-12 09:04:26",
    }


def _server(shape: topology.Shape, interface: topology.Interface) -> dict[str, Any]:
    hostname = shape.site(interface).hostname
    return {
        "id": interface.server,
        "name": f"amphora-{interface.amphora}",
        "status": "ACTIVE",
        "tenant_id": topology.PROJECT,
        "hostId": "95352c2f65dabcd332a2886da0332b8956cdbcb2675877787455d655",
        "addresses": {
            "lb-mgmt-net": [
                {
                    "version": shape.ip,
                    "addr": interface.address(shape.ip),
                    "OS-EXT-IPS:type": "fixed",
                    "OS-EXT-IPS-MAC:mac_addr": interface.mac,
                }
            ]
        },
        "OS-EXT-SRV-ATTR:host": hostname,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": hostname,
        "OS-EXT-SRV-ATTR:instance_name": "instance-00000001",
        "OS-EXT-STS:power_state": 1,
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:vm_state": "active",
        "created": _CREATED,
        "updated": _CREATED,
    }


def _amphora(shape: topology.Shape, interface: topology.Interface) -> dict[str, Any]:
    return {
        "id": interface.amphora,
        "loadbalancer_id": "0f5b2d6e-9a44-4f6b-8f55-3d1f9a0c7a11",
        "compute_id": interface.server,
        "lb_network_ip": interface.address(shape.ip),
        "vrrp_ip": None,
        "ha_ip": None,
        "vrrp_port_id": None,
        "ha_port_id": None,
        "cert_expiration": None,
        "cert_busy": False,
        "role": interface.role,
        "status": "BOOTING",
        "vrrp_interface": None,
        "vrrp_id": None,
        "vrrp_priority": None,
        "cached_zone": "nova",
        "created_at": "2022-03-12T08:58:28",
        "updated_at": None,
        "image_id": "6b6ce6d8-5b7f-4a9c-9d3e-0123456789ab",
        "compute_flavor": None,
    }
