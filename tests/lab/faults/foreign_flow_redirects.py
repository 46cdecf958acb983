"""Somebody has left a flow of their own that sends the source's packets to a table without flows."""

from .. import hosts, topology
from . import Truth, _intruder

TRUTH = Truth("broken", "foreign-flow", "source-br-int", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Add it with a cookie that is not the agent's."""
    _intruder.at_port(lab.source, topology.SOURCE, "resubmit(,200)")
