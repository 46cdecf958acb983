"""Somebody has left a flow of their own that gives the source's packets another sender's MAC address."""

from .. import hosts, topology
from . import Truth, _intruder

TRUTH = Truth("broken", "foreign-flow", "source-br-int", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Add it; the packets go on to the agent's next table, where anti-spoofing drops them."""
    _intruder.at_port(lab.source, topology.SOURCE, f"set_field:{_intruder.ELSEWHERE}->eth_src,goto_table:59")
