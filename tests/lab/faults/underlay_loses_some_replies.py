"""The underlay loses every second packet of the tunnel from the compute host to the source's."""

from .. import hosts
from . import Truth, _lossy_wire

TRUTH = Truth("degraded", "underlay-loss", "underlay", "reply", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Let the underlay be a wire that leaves some out."""
    _lossy_wire.between_hosts(lab, lossy="compute", perfect="octavia")
