"""The conntrack zone of the source's host is full: requests leave, replies are invalid."""

from .. import hosts, processes, topology
from . import Truth

TRUTH = Truth("broken", "conntrack-full", "source-br-int", "reply")

_HOLDER = "1"
"""The ICMP identifier of the connection that fills the zone; a probe's is another."""


def inject(lab: hosts.Lab) -> None:
    """Allow the zone one connection, and let a ping of its own, or the heartbeats, hold that one."""
    zone = f"zone={topology.VLAN}"
    lab.source.appctl("dpctl/ct-set-limits", f"{zone},limit=1")
    lab.source.appctl("dpctl/flush-conntrack")  # connections older than the limit do not count
    lab.source.start("holder", "ping", "-n", "-q", "-e", _HOLDER, "-i", "2", lab.address)
    processes.wait_until(lambda: lab.source.appctl("dpctl/dump-conntrack", zone).strip(), "a connection")
