"""A firewall in the amphora rejects connections to the probed port, with an ICMP error."""

from .. import hosts, topology
from . import Truth, _firewall

TRUTH = Truth("broken", "service-refused", "guest", "forward", unless=("icmp",), one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Say that they are prohibited, as firewalld and ufw do."""
    _firewall.of_host(lab.guest, "input", f"tcp dport {topology.API_PORT} reject with icmpx type admin-prohibited")
