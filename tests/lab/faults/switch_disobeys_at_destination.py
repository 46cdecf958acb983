"""The switch of the amphora's host drops its answers, which its rules forward."""

from .. import hosts, topology
from . import Truth, _disobedient

TRUTH = Truth("broken", "switch-disobeys", "destination-br-int", "reply")


def inject(lab: hosts.Lab) -> None:
    """Turn the flows of what the amphora sends into drops."""
    _disobedient.turn(lab, lab.destination, topology.GUEST.device)
