"""The health manager's device has a smaller MTU than its network."""

from .. import hosts, topology
from . import Truth, device_mtu_wrong

TRUTH = Truth("degraded", "device-mtu-wrong", "source-port", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Ask the switch for it, which keeps the device as it was asked for."""
    lab.source.vsctl("set", "Interface", topology.SOURCE.device, f"mtu_request={device_mtu_wrong.MTU}")
