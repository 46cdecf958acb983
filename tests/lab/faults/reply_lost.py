"""A firewall of the source's host drops the answers, which its switch has handed over."""

from .. import hosts, topology
from . import Truth, _firewall

TRUTH = Truth("broken", "reply-lost", "source-port", "reply", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Drop them as they come in; neighbour discovery passes."""
    here = f'iifname "{topology.SOURCE.device}"'
    _firewall.of_host(
        lab.source,
        "input",
        f"{here} icmp type echo-reply drop",
        f"{here} icmpv6 type echo-reply drop",
        f"{here} tcp sport {topology.API_PORT} drop",
    )
