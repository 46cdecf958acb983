"""The source's physical bridge does not put packets of the local VLAN onto the physical network."""

from .. import agent, hosts, topology
from . import Truth

TRUTH = Truth("broken", "flows-missing", "source-br-phys", "forward", unless=("tunnelled",))


def inject(lab: hosts.Lab) -> None:
    """Delete the flow that gives them the VLAN of the physical network."""
    match = f"table=0,priority=4,in_port={agent.PHYSICAL_OFPORT},dl_vlan={topology.VLAN}"
    lab.source.ofctl("--strict", "del-flows", topology.PHYSICAL_BRIDGE, match)
