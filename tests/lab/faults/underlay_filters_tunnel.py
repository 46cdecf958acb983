"""A firewall between the hosts drops tunnel packets; pings between the tunnel ends pass."""

from .. import hosts
from . import Truth, _firewall

TRUTH = Truth("broken", "underlay-loss", "underlay", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Drop GRE and UDP."""
    _firewall.between_hosts(lab.fabric, f"{_firewall.TUNNELLED} drop")
