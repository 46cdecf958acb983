"""Neutron's agent on the amphora's host died before it had written the port's flows."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth(
    "broken",
    "agent-down",
    "destination-br-int",
    "forward",
    cold=("destination-br-int", "reply"),
    also=("flows-missing",),
)


def inject(lab: hosts.Lab) -> None:
    """Take the flows of the port's security groups away, and let the API say that the agent is not alive."""
    agents = lab.description["agents"]
    next(one for one in agents if one["host"] == lab.destination.site.hostname)["alive"] = False
    lab.write_description()
    lab.destination.ofctl("del-flows", "br-int", f"reg5={lab.destination.ofport(topology.GUEST.device):#x}")
