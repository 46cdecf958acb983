"""A firewall of the source's host drops all that it would send by its port."""

from .. import hosts, topology
from . import Truth, _firewall

TRUTH = Truth("broken", "source-silent", "source-port", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Drop IP on its way out, before a capture sees it; ARP is not IP and passes."""
    _firewall.of_host(lab.source, "output", f'oifname "{topology.SOURCE.device}" drop')
