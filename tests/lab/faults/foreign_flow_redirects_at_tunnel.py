"""Somebody has left a flow of their own in br-tun that lets the source's packets pass by the forwarding entries."""

from .. import hosts
from . import Truth, _intruder

TRUTH = Truth("broken", "foreign-flow", "source-br-tun", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Add it; the table that it leads to knows no tunnel."""
    _intruder.at_bridge(lab.source, "br-tun", "patch-int", "goto_table:21")
