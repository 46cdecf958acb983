"""The source's host does not know the network's tunnel id: answers come no further than to its br-tun."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "segment-missing", "source-br-tun", "reply", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Delete the flow that turns the tunnel id into the local VLAN."""
    lab.source.ofctl("del-flows", "br-tun", f"table={lab.tunnel_table},tun_id={topology.SEGMENT:#x}")
