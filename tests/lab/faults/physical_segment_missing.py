"""The destination's br-int does not take packets of the network from its physical network."""

from .. import agent, hosts
from . import Truth

TRUTH = Truth("broken", "segment-missing", "destination-br-int", "forward", unless=("tunnelled",))


def inject(lab: hosts.Lab) -> None:
    """Delete the flow that gives them the local VLAN; the one that drops all others stays."""
    match = f"table=0,priority=3,in_port={agent.PHYSICAL_OFPORT}"
    found = lab.destination.ofctl("dump-flows", "br-int", f"table=0,in_port={agent.PHYSICAL_OFPORT}")
    assert "priority=3" in found, match
    (line,) = (each for each in found.splitlines() if "priority=3" in each)
    fields = line.strip().split("priority=3,")[1].split(" actions=")[0]
    lab.destination.ofctl("--strict", "del-flows", "br-int", f"table=0,priority=3,{fields}")
