"""Neutron could not bind the amphora's port to its host, which gave it the dead VLAN."""

from .. import hosts, topology
from . import Truth, _dead_port

TRUTH = Truth(
    "broken", "port-unbound", "destination-br-int", "reply", cold=("destination-br-int", "forward"), one_host=True
)


def inject(lab: hosts.Lab) -> None:
    """Let the API say so; the agent tags the port 4095 and drops what it sends; flows towards it stay."""
    lab.port("guest").update({"binding:vif_type": "binding_failed", "status": "DOWN"})
    lab.write_description()
    _dead_port.kill(lab, lab.destination, topology.GUEST)
