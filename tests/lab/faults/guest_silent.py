"""The amphora receives and resolves neighbours, but answers nothing else."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "guest-silent", "guest", "forward")


def inject(lab: hosts.Lab) -> None:
    """Let all answers find no route; neighbour discovery and ARP need none."""
    for protocol in ("icmp", "tcp", "udp"):
        lab.guest.run("ip", "rule", "add", "pref", "1", "ipproto", protocol, "blackhole")
    for protocol in ("ipv6-icmp", "tcp", "udp"):
        lab.guest.run("ip", "-6", "rule", "add", "pref", "1", "ipproto", protocol, "blackhole")
