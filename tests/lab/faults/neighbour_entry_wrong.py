"""The source's host has a stale MAC address for the amphora, for ever."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "neighbour-entry-wrong", "source-port", "forward", one_host=True)

_PAST = "fa:16:3e:00:00:99"


def inject(lab: hosts.Lab) -> None:
    """Make the entries permanent, for both address families."""
    for address in (topology.GUEST.address6, topology.GUEST.address4):
        argv = ["neigh", "replace", address, "lladdr", _PAST, "dev", topology.SOURCE.device, "nud", "permanent"]
        lab.source.run("ip", *argv)
