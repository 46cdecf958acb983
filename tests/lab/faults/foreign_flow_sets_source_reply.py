"""Somebody has left a flow of their own that gives the amphora's packets another sender's MAC address."""

from .. import hosts, topology
from . import Truth, _intruder

TRUTH = Truth("broken", "foreign-flow", "destination-br-int", "reply", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Add it; the packets go on to the agent's next table, where anti-spoofing drops them."""
    _intruder.at_port(lab.destination, topology.GUEST, f"set_field:{_intruder.ELSEWHERE}->eth_src,goto_table:59")
