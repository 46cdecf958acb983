"""The source's bridges are not joined: br-int's patch port to the physical network names a peer that does not exist."""

from .. import agent, hosts
from . import Truth

TRUTH = Truth("broken", "patch-broken", "source-br-int", "forward", unless=("tunnelled",))


def inject(lab: hosts.Lab) -> None:
    """Change the peer, which the agent does not look at again until it restarts."""
    lab.source.vsctl("set", "Interface", agent.INTEGRATION_PATCH, "options:peer=nowhere")
