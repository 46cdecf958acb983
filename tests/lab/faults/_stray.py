"""A third host, which answers ARP in the underlay and swallows everything else: where stale entries lead."""

from .. import hosts, node, switch, topology

ADDRESS = "172.20.0.112"
_OFPORT = 3


def settle(lab: hosts.Lab) -> None:
    """Let the third host live on the fabric's bridge."""
    lab.fabric.configure(f"addr add {ADDRESS}/{topology.UNDERLAY_PREFIX} dev underlay")
    lab.fabric.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv4.icmp_echo_ignore_all=1")


def redirect(lab: hosts.Lab, host: node.Host, mac: str) -> None:
    """Make a tunnel to the third host, and let all of a host's entries for a MAC point there."""
    settle(lab)
    for line in switch.tunnel(host.site, lab.shape, ADDRESS, _OFPORT):
        host.vsctl(*line)
    untag = f"pop_vlan,set_field:{topology.SEGMENT:#x}->tun_id,output:{_OFPORT}"
    cookie = f"cookie={lab.cookie(host.site, 'br-tun'):#x}"
    unicast = f"{cookie},table=20,priority=2,dl_vlan={topology.VLAN},dl_dst={mac},actions={untag}"
    flood = f"{cookie},table=22,priority=1,dl_vlan={topology.VLAN},actions={untag}"
    entry = f"{cookie},table=0,priority=1,in_port={_OFPORT},actions=goto_table:{lab.tunnel_table}"
    host.ofctl("--bundle", "add-flows", "br-tun", "-", text_in="\n".join((unicast, flood, entry, "")))
