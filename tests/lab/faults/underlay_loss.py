"""Nothing passes between the two hosts."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "underlay-loss", "underlay", "forward")


def inject(lab: hosts.Lab) -> None:
    """Isolate the hosts' ports of the underlay's bridge from each other."""
    for key in lab.hosts:
        lab.fabric.run("bridge", "link", "set", "dev", f"u-{key}", "isolated", "on")
