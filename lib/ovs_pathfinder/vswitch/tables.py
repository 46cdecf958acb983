"""What the tables of br-int, br-tun and physical bridges mean to Neutron's Open vSwitch agent.

Source: `neutron_lib/plugins/ml2/ovs_constants.py` (in Neutron itself until Wallaby), as of Zed to 2026.1.
"""

NAMES = {
    ("br-int", 0): "local switching",
    ("br-int", 1): "distributed router to guest",
    ("br-int", 2): "the same, physical network",
    ("br-int", 3): "ARP of distributed routers",
    ("br-int", 4): "the same, physical network",
    ("br-int", 23): "canary",
    ("br-int", 24): "ARP spoofing",
    ("br-int", 25): "MAC spoofing",
    ("br-int", 30): "local IP",
    ("br-int", 31): "local IP",
    ("br-int", 58): "packet rate limit",
    ("br-int", 59): "bandwidth limit",
    ("br-int", 60): "transient",
    ("br-int", 61): "transient egress",
    ("br-int", 62): "transient egress",
    ("br-int", 71): "base egress: anti-spoofing",
    ("br-int", 72): "security group egress",
    ("br-int", 73): "accepted egress or local ingress",
    ("br-int", 77): "DHCP",
    ("br-int", 78): "DHCPv6",
    ("br-int", 81): "base ingress",
    ("br-int", 82): "security group ingress",
    ("br-int", 91): "accepted egress",
    ("br-int", 92): "accepted ingress",
    ("br-int", 93): "dropped by the firewall",
    ("br-int", 94): "accepted egress, NORMAL",
    ("br-tun", 0): "entry",
    ("br-tun", 1): "from distributed routers",
    ("br-tun", 2): "from br-int",
    ("br-tun", 3): "from GRE",
    ("br-tun", 4): "from VXLAN",
    ("br-tun", 6): "from Geneve",
    ("br-tun", 9): "from distributed routers",
    ("br-tun", 10): "learning",
    ("br-tun", 20): "unicast to a tunnel",
    ("br-tun", 21): "ARP responder",
    ("br-tun", 22): "flood to tunnels",
    ("br-tun", 222): "broadcast of networking-bagpipe",
}

_PHYSICAL = {
    0: "entry",
    1: "to distributed routers",
    2: "local VLAN to the network's",
    3: "from distributed routers",
}
_TRUNK = "tbr-"
"""How the names of trunks' bridges begin, which have one table."""

AGENTS_OWN = {"br-int": 23, "br-tun": 10}
"""Tables in which there is nothing but one flow of the agent's: the canary, and the one that learns."""

GROWING = {("br-int", table) for table in (71, 72, 73, 81, 82)} | {("br-tun", 20)}
"""Tables that grow with the ports and rules of a host, or with the ports of its networks."""


def name(bridge: str, table: int) -> str:
    """Return a table's meaning, empty where Neutron gives it none; of other bridges, as of a physical network's."""
    if bridge in ("br-int", "br-tun"):
        return NAMES.get((bridge, table), "")
    return "" if bridge.startswith(_TRUNK) else _PHYSICAL.get(table, "")
