"""The bridges of the amphora's host are not joined: the patch port of br-tun names a peer that does not exist."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "patch-broken", "destination-br-tun", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Change the peer, which the agent does not look at again until it restarts."""
    lab.destination.vsctl("set", "Interface", "patch-int", "options:peer=patch-nowhere")
