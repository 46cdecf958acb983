"""The tunnel bridge of the destination's host has no flows."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "flows-missing", "destination-br-tun", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Delete all flows."""
    lab.destination.ofctl("del-flows", "br-tun")
