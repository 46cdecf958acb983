"""A sender that puts its packets into the tunnel with another network's key."""

from .. import hosts, node, topology

_KEY = 999


def send(lab: hosts.Lab, host: node.Host, mac: str) -> None:
    """Let the agent's forwarding entries for a MAC address, and those for floods, set another key."""
    tunnel = host.ofport(lab.tunnel_port(host.site.key))
    actions = f"pop_vlan,set_field:{_KEY:#x}->tun_id,output:{tunnel}"
    head = f"cookie={lab.cookie(host.site, 'br-tun'):#x}"
    unicast = f"{head},table=20,priority=2,dl_vlan={topology.VLAN},dl_dst={mac},actions={actions}"
    flood = f"{head},table=22,priority=1,dl_vlan={topology.VLAN},actions={actions}"
    host.ofctl("--bundle", "add-flows", "br-tun", "-", text_in=f"{unicast}\n{flood}\n")
