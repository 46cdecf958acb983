"""A flow of the source's host resubmits packets to its own table for ever, so that the switch gives them up."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "switch-disobeys", "source-br-int", "forward", also=("switch-known-bug",), one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Leave `ct_clear` out of the agent's flow for tracked packets, and let it be met by all that the port sends.

    With the datapath in userspace no packet comes to the switch tracked, as it does in the kernel.
    """
    cookie, port = lab.cookie(lab.source.site, "br-int"), lab.source.ofport(topology.SOURCE.device)
    match = f"cookie={cookie:#x},table=71,priority=110,reg5={port:#x}"
    lab.source.ofctl("add-flow", "br-int", f"{match},actions=resubmit(,71)")
