"""A firewall in the amphora drops connections to the probed port."""

from .. import hosts, topology
from . import Truth, _firewall

TRUTH = Truth("broken", "service-silent", "guest", "forward", unless=("icmp",), one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Drop them as they come in."""
    _firewall.of_host(lab.guest, "input", f"tcp dport {topology.API_PORT} drop")
