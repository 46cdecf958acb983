"""The amphora's port is administratively down: its host gave it the dead VLAN."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth(
    "broken", "port-disabled", "destination-br-int", "reply", cold=("destination-br-int", "forward"), one_host=True
)


def inject(lab: hosts.Lab) -> None:
    """Set the port down in the API; the agent tags it 4095 and drops what it sends; flows towards it stay."""
    lab.port("guest").update(admin_state_up=False, status="DOWN")
    lab.write_description()
    lab.destination.vsctl("set", "Port", topology.GUEST.device, "tag=4095")
    lab.apply("br-int")
