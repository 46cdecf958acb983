"""The amphora's tap is not on its host's switch."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "port-not-plugged", "destination-port", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Take it off; the device stays, and so do the flows."""
    lab.destination.vsctl("del-port", "br-int", topology.GUEST.device)
