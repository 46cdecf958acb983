"""Two at once: a flow of somebody's drops what the source sends, and the amphora's interface is down."""

from .. import hosts
from . import Second, Truth, foreign_flow, guest_down

TRUTH = Truth(
    "broken",
    "foreign-flow",
    "source-br-int",
    "forward",
    second=Second("guest-port-down", "guest", "forward"),
    one_host=True,
)


def inject(lab: hosts.Lab) -> None:
    """Do both."""
    foreign_flow.inject(lab)
    guest_down.inject(lab)
