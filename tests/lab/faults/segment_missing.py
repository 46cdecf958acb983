"""The destination's host does not know the network's tunnel id."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "segment-missing", "destination-br-tun", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Delete the flow that turns the tunnel id into the local VLAN."""
    match = f"table={lab.tunnel_table},tun_id={topology.SEGMENT:#x}"
    lab.destination.ofctl("del-flows", "br-tun", match)
