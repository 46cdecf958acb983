"""The switch drops what its rules forward: the datapath's flows are not what ofproto/trace computes."""

from .. import hosts, topology
from . import Truth, _disobedient

TRUTH = Truth("broken", "switch-disobeys", "source-br-int", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Turn the flows of what the source sends into drops."""
    _disobedient.turn(lab, lab.source, topology.SOURCE.device)
