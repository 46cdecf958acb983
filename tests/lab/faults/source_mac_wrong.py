"""The source's interface has another MAC than its Neutron port: anti-spoofing drops all it sends."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "source-mac-wrong", "source-br-int", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Change the MAC; the device keeps its addresses."""
    lab.source.configure(f"link set {topology.SOURCE.device} address fa:16:3e:00:00:01")
