"""The underlay loses packets of more than 1000 bytes on the way back from the amphora."""

from .. import hosts
from . import Truth, _firewall

TRUTH = Truth("degraded", "mtu-too-small", "underlay", "reply")


def inject(lab: hosts.Lab) -> None:
    """Drop them by their length on the wire."""
    _firewall.between_hosts(lab.fabric, 'iifname "u-compute" meta length > 1000 drop')
