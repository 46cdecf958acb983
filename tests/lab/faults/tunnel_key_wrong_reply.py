"""The amphora's host sends the answers into the tunnel with another network's key."""

from .. import hosts, topology
from . import Truth, _wrong_key

TRUTH = Truth(
    "broken", "forwarding-entry-wrong", "destination-br-tun", "reply", reaches="source-br-tun", unless=("physical",)
)


def inject(lab: hosts.Lab) -> None:
    """Change the entries, as with a stale segmentation id."""
    _wrong_key.send(lab, lab.destination, topology.SOURCE.mac)
