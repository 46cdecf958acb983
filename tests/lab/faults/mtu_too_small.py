"""A link of the underlay has a smaller MTU than the tunnel needs: large packets are lost, small ones pass."""

from .. import hosts
from . import Truth

TRUTH = Truth(
    "degraded",
    "mtu-too-small",
    "underlay",
    "forward",
    unless=(
        "physical",
        "tcp",
    ),
)


def inject(lab: hosts.Lab) -> None:
    """Let the link to the compute host take 1400 bytes; a bridge tells nobody what it drops."""
    lab.fabric.configure("link set u-compute mtu 1400")
