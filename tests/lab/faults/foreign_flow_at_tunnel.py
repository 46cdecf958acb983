"""Somebody has left a flow of their own that drops what comes out of the tunnel at the amphora's host."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "foreign-flow", "destination-br-tun", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Add it with a cookie that is not the agent's."""
    port = lab.destination.ofport(lab.tunnel_port("compute"))
    lab.destination.ofctl("add-flow", "br-tun", f"cookie=0xbad,table=0,priority=200,in_port={port},actions=drop")
