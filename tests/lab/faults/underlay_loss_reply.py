"""Nothing passes from the compute host to the source's; the other direction is fine."""

from .. import hosts
from . import Truth, _firewall

TRUTH = Truth("broken", "underlay-loss", "underlay", "reply", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Drop IP in that direction; ARP still passes, so that both tunnel ends stay known."""
    _firewall.between_hosts(lab.fabric, 'iifname "u-compute" meta protocol ip drop')
