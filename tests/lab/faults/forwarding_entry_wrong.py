"""The source's host sends the amphora's packets into the tunnel to a host of the past."""

from .. import hosts, topology
from . import Truth, _stray

TRUTH = Truth(
    "broken",
    "forwarding-entry-wrong",
    "source-br-tun",
    "forward",
    unless=(
        "physical",
        "no-l2pop",
    ),
)


def inject(lab: hosts.Lab) -> None:
    """Point the forwarding entries for the amphora's MAC to a third host, as a lost update would."""
    _stray.redirect(lab, lab.source, topology.GUEST.mac)
