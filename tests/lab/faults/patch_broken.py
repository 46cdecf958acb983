"""The source's bridges are not joined: the patch port of br-int names a peer that does not exist."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "patch-broken", "source-br-int", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Change the peer, which the agent does not look at again until it restarts."""
    lab.source.vsctl("set", "Interface", "patch-tun", "options:peer=patch-nowhere")
