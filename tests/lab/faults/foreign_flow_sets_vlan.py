"""Somebody has left a flow of their own that puts the source's packets into another VLAN."""

from .. import hosts, topology
from . import Truth, _intruder

TRUTH = Truth("broken", "foreign-flow", "source-br-int", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Add it; the port is of another VLAN, so that the switch passes the packets to nobody."""
    _intruder.at_port(lab.source, topology.SOURCE, "push_vlan:0x8100,set_field:4195->vlan_vid,goto_table:59")
