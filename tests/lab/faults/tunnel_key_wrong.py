"""The source's host sends the amphora's packets into the tunnel with another network's key."""

from .. import hosts, topology
from . import Truth, _wrong_key

TRUTH = Truth(
    "broken", "forwarding-entry-wrong", "source-br-tun", "forward", reaches="destination-br-tun", unless=("physical",)
)


def inject(lab: hosts.Lab) -> None:
    """Change the entries, as with a stale segmentation id."""
    _wrong_key.send(lab, lab.source, topology.GUEST.mac)
