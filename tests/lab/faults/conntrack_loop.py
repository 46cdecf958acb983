"""Somebody's flow sends echo requests through conntrack and back to its own table, in a circle."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "conntrack-loop", "source-br-int", "forward", unless=("ip4", "tcp"), one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Add it: to trace a packet that meets it never ends, in versions of Open vSwitch that have the bug."""
    port = lab.source.ofport(topology.SOURCE.device)
    match = f"table=71,priority=111,icmp6,icmp_type=128,reg5={port}"
    lab.source.ofctl("add-flow", "br-int", f"{match},actions=ct(table=71,zone=NXM_NX_REG6[0..15])")
