"""The source's port is administratively down: its host gave it the dead VLAN."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "port-disabled", "source-br-int", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Set the port down in the API; the agent tags it 4095 and drops what it sends."""
    lab.port("source").update(admin_state_up=False, status="DOWN")
    lab.write_description()
    lab.source.vsctl("set", "Port", topology.SOURCE.device, "tag=4095")
    lab.apply("br-int")
