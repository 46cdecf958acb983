"""The underlay loses every second packet of the tunnel from the source to the destination."""

from .. import hosts
from . import Truth, _lossy_wire

TRUTH = Truth("degraded", "underlay-loss", "underlay", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Let the underlay be a wire that leaves some out."""
    _lossy_wire.between_hosts(lab, lossy="octavia", perfect="compute")
