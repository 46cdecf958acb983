"""The destination's host has lost its tunnel port; what arrives belongs to no tunnel."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "tunnel-missing", "destination-br-tun", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Delete the port, which the agent does not make again until it restarts."""
    lab.destination.vsctl("del-port", "br-tun", lab.tunnel_port("compute"))
