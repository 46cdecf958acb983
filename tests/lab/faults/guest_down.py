"""The amphora's interface is down."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "guest-port-down", "guest", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Set it down from within, so that the tap loses its carrier."""
    lab.guest.configure("link set eth0 down")
