"""The amphora resolves neighbours and drops ping, as with a firewall of its own."""

from .. import hosts
from . import Truth

TRUTH = Truth(
    "broken", "guest-filters-icmp", "guest", "forward", also=("guest-silent",), unless=("tcp",), one_host=True
)


def inject(lab: hosts.Lab) -> None:
    """Let echo replies find no route; neighbour discovery and ARP need none."""
    lab.guest.run("ip", "rule", "add", "pref", "1", "ipproto", "icmp", "blackhole")
    lab.guest.run("ip", "-6", "rule", "add", "pref", "1", "ipproto", "ipv6-icmp", "blackhole")
