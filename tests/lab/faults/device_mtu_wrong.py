"""The amphora's tap has a smaller MTU than its network: large packets to it are lost, small ones pass."""

from .. import hosts, topology
from . import Truth

MTU = 1300
TRUTH = Truth("degraded", "device-mtu-wrong", "destination-port", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Let the tap take 1300 bytes; the guest's own device keeps the network's MTU."""
    lab.destination.configure(f"link set {topology.GUEST.device} mtu {MTU}")
