"""The source's switch drops a part of what its port sends, as with a packet rate limit of Neutron's QoS."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("degraded", "loss-intermittent", "source-br-int", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Meter the port in the agent's table for rate limits: two packets a second."""
    host = lab.source
    host.ofctl("add-meter", "br-int", "meter=1,pktps,bands=type=drop,rate=2")
    cookie, port = lab.cookie(host.site, "br-int"), host.ofport(topology.SOURCE.device)
    match = f"cookie={cookie:#x},table=59,priority=20,in_port={port}"
    host.ofctl("add-flow", "br-int", f"{match},actions=meter:1,goto_table:60")
