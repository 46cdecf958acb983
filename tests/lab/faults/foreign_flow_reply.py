"""Somebody has left a flow of their own that drops what the amphora sends."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "foreign-flow", "destination-br-int", "reply", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Add it with a cookie that is not the agent's."""
    port = lab.destination.ofport(topology.GUEST.device)
    lab.destination.ofctl("add-flow", "br-int", f"cookie=0xbad,table=0,priority=200,in_port={port},actions=drop")
