"""The source's host has lost its tunnel port; its flows still name it."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "tunnel-missing", "source-br-tun", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Delete the port, which the agent does not make again until it restarts."""
    lab.source.vsctl("del-port", "br-tun", lab.tunnel_port("octavia"))
