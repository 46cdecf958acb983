"""The physical network does not carry the network's VLAN to the destination."""

from .. import hosts, topology
from . import Truth, _firewall

TRUTH = Truth("broken", "underlay-loss", "underlay", "forward", unless=("tunnelled", "flat"))


def inject(lab: hosts.Lab) -> None:
    """Drop its frames at the destination's port of the underlay's bridge."""
    _firewall.between_hosts(lab.fabric, f'oifname "u-compute" vlan id {topology.SEGMENT} drop')
