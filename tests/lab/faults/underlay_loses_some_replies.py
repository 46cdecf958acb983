"""The underlay loses every second packet of the tunnel from the compute host to the source's."""

from .. import hosts
from . import Truth, _firewall

TRUTH = Truth("degraded", "underlay-loss", "underlay", "reply")


def inject(lab: hosts.Lab) -> None:
    """Drop them in the underlay's bridge."""
    _firewall.between_hosts(lab.fabric, f'iifname "u-compute" {_firewall.TUNNELLED} numgen inc mod 2 == 0 drop')
