"""The amphora drops every second request, as one that is overloaded would."""

from .. import hosts, topology
from . import Truth, _firewall

TRUTH = Truth("degraded", "loss-intermittent", "guest", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Drop them as they come in: of echo requests and of connections, each counted for itself."""
    half = "numgen inc mod 2 == 0 drop"
    _firewall.of_host(
        lab.guest,
        "input",
        f"icmp type echo-request {half}",
        f"icmpv6 type echo-request {half}",
        f"tcp dport {topology.API_PORT} tcp flags & (syn | ack) == syn {half}",
    )
