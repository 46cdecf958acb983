"""Somebody has left a flow of their own that drops what the source sends."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "foreign-flow", "source-br-int", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Add it with a cookie that is not the agent's."""
    port = lab.source.ofport(topology.SOURCE.device)
    lab.source.ofctl("add-flow", "br-int", f"cookie=0xbad,table=0,priority=200,in_port={port},actions=drop")
