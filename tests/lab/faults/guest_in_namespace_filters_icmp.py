"""The amphora's device is in a network namespace of its own, as a DHCP server's is, and ping is dropped there."""

from .. import hosts, namespaced
from . import Truth, guest_filters_icmp

TRUTH = Truth(
    "broken", "guest-filters-icmp", "guest", "forward", also=("guest-silent",), unless=("tcp",), one_host=True
)


def inject(lab: hosts.Lab) -> None:
    """Move the device, and let echo replies find no route."""
    namespaced.move_guest(lab)
    guest_filters_icmp.inject(lab)
