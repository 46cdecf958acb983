"""The source's device has lost the address that its Neutron port has."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "source-address-wrong", "source-port", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Take away the address from which would be probed; the others stay."""
    prefix = 64 if lab.shape.ip == 6 else 24
    address = topology.SOURCE.address(lab.shape.ip)
    lab.source.configure(f"address del {address}/{prefix} dev {topology.SOURCE.device}")
