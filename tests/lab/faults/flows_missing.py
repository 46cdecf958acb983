"""The integration bridge of the destination's host has no flows, as after a restart without an agent."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "flows-missing", "destination-br-int", "forward")


def inject(lab: hosts.Lab) -> None:
    """Delete all flows."""
    lab.destination.ofctl("del-flows", "br-int")
