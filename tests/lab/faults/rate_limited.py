"""The source's port has a packet rate limit of Neutron's QoS, which the probe exceeds."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("degraded", "rate-limited", "source-br-int", "forward", one_host=True)

_COOKIE = 0x9BCF423BF2D233F4
"""Extensions of Neutron's agent draw one of their own."""


def inject(lab: hosts.Lab) -> None:
    """Meter the port as the agent does: two packets a second."""
    host = lab.source
    host.ofctl("add-meter", "br-int", "meter=7,pktps,bands=type=drop,rate=2")
    match = f"cookie={_COOKIE:#x},table=59,priority=100,in_port={host.ofport(topology.SOURCE.device)}"
    host.ofctl("add-flow", "br-int", f"{match},actions=meter:7,goto_table:60")
