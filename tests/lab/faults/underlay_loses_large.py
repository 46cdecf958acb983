"""The underlay loses packets of more than 1000 bytes, whatever is in them, so that each TLS handshake hangs."""

from .. import hosts
from . import Truth, _firewall

TRUTH = Truth("degraded", "mtu-too-small", "underlay", "forward")


def inject(lab: hosts.Lab) -> None:
    """Drop them by their length on the wire."""
    _firewall.between_hosts(lab.fabric, "meta length > 1000 drop")
