"""The destination's host sends the source's packets into the tunnel to a host of the past."""

from .. import hosts, topology
from . import Truth, _stray

TRUTH = Truth("broken", "forwarding-entry-wrong", "destination-br-tun", "reply", unless=("no-l2pop", "physical"))


def inject(lab: hosts.Lab) -> None:
    """Point the forwarding entries for the source's MAC to a third host, as a lost update would."""
    _stray.redirect(lab, lab.destination, topology.SOURCE.mac)
