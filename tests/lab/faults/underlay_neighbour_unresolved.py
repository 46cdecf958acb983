"""The other tunnel end answers no ARP: the source's switch does not know where to send its tunnel's packets."""

from .. import hosts, topology
from . import Truth, _firewall

TRUTH = Truth("broken", "underlay-unroutable", "source-underlay", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Drop ARP in the underlay, and let host and switch forget whom they know."""
    _firewall.between_hosts(lab.fabric, "meta protocol arp drop")
    lab.source.run("ip", "neigh", "flush", "to", topology.COMPUTE.tunnel_address, "dev", "br-phy")
    lab.source.appctl("tnl/neigh/flush")
