"""Two at once: the destination's host does not know the tunnel id, and the amphora's port is down."""

from .. import hosts
from . import Second, Truth, port_disabled, segment_missing

TRUTH = Truth(
    "broken",
    "segment-missing",
    "destination-br-tun",
    "forward",
    second=Second("port-disabled", "destination-br-int", "reply"),
    unless=("physical",),
)


def inject(lab: hosts.Lab) -> None:
    """Do both; the flows of br-int are written anew, those of br-tun are not."""
    segment_missing.inject(lab)
    port_disabled.inject(lab)
