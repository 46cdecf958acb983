"""Somebody has left a flow of their own that gives the source's packets another receiver's MAC address."""

from .. import hosts, topology
from . import Truth, _intruder

TRUTH = Truth("broken", "foreign-flow", "source-br-int", "forward", reaches="guest", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Add it; the switches flood what they do not know, and the amphora passes the packets over."""
    _intruder.at_port(lab.source, topology.SOURCE, f"set_field:{_intruder.ELSEWHERE}->eth_dst,goto_table:59")
