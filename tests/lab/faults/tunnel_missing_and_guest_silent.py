"""Two at once: the source's host has lost its tunnel port, and the amphora its addresses."""

from .. import hosts
from . import Second, Truth, guest_silent, tunnel_missing

TRUTH = Truth(
    "broken",
    "tunnel-missing",
    "source-br-tun",
    "forward",
    second=Second("guest-silent", "guest", "forward"),
    unless=("physical",),
)


def inject(lab: hosts.Lab) -> None:
    """Take both away."""
    tunnel_missing.inject(lab)
    guest_silent.inject(lab)
