"""Between hosts with bonds, the physical network loses what comes back from the destination's host."""

from .. import hosts, topology
from . import Truth, _firewall

TRUTH = Truth("broken", "underlay-loss", "underlay", "reply", unless=("single",), bond=True)


def inject(lab: hosts.Lab) -> None:
    """Drop the network's frames on each wire towards the source's host; LACP passes."""
    _firewall.between_hosts(lab.fabric, f'oifname "u-octavia" vlan id {topology.SEGMENT} drop')
