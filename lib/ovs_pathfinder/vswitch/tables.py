"""What the tables of br-int and br-tun mean to Neutron's Open vSwitch agent.

Source: `neutron/plugins/ml2/drivers/openvswitch/agent/common/constants.py`, as of Zed to 2026.1.
"""

NAMES = {
    ("br-int", 0): "local switching",
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
    ("br-int", 81): "base ingress",
    ("br-int", 82): "security group ingress",
    ("br-int", 91): "accepted egress",
    ("br-int", 92): "accepted ingress",
    ("br-int", 93): "dropped by the firewall",
    ("br-int", 94): "accepted egress, NORMAL",
    ("br-tun", 0): "entry",
    ("br-tun", 2): "from br-int",
    ("br-tun", 3): "from GRE",
    ("br-tun", 4): "from VXLAN",
    ("br-tun", 6): "from Geneve",
    ("br-tun", 10): "learning",
    ("br-tun", 20): "unicast to a tunnel",
    ("br-tun", 21): "ARP responder",
    ("br-tun", 22): "flood to tunnels",
}

AGENTS_OWN = {"br-int": 23, "br-tun": 10}
"""Tables in which there is nothing but one flow of the agent's: the canary, and the one that learns."""

GROWING = {("br-int", table) for table in (71, 72, 73, 81, 82)} | {("br-tun", 20)}
"""Tables that grow with the ports and rules of a host, or with the ports of its networks."""


def name(bridge: str, table: int) -> str:
    """Return a table's meaning, empty where Neutron gives it none."""
    return NAMES.get((bridge, table), "")


def bridge_of(table: int) -> str:
    """Return the bridge in which Neutron's conntrack tables stand: a trace does not say it after a recirculation."""
    return "br-int" if ("br-int", table) in NAMES and table > 22 else "br-tun"
