"""The amphora's port is on its host's switch, and the agent there has not wired it."""

from .. import hosts, topology
from . import Truth, _dead_port

TRUTH = Truth("broken", "port-not-wired", "destination-br-int", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Take all flows of the port away, and leave it on the dead VLAN, where the agent puts what it does not know."""
    host, mac = lab.destination, topology.GUEST.mac
    port = host.ofport(topology.GUEST.device)
    for match in (f"reg5={port:#x}", f"table=60,in_port={port}", f"table=60,dl_dst={mac}", f"table=73,dl_dst={mac}"):
        host.ofctl("del-flows", "br-int", match)
    _dead_port.kill(lab, host, topology.GUEST)
