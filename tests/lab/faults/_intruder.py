"""A flow that somebody has left among the agent's, with a cookie as a person types it."""

from .. import node, topology

ELSEWHERE = "fa:16:3e:00:00:99"
"""A MAC address that nobody has."""


def at_port(host: node.Host, interface: topology.Interface, actions: str) -> None:
    """Let such a flow meet all that a port sends, before the agent's first table does."""
    _add(host, "br-int", f"in_port={host.ofport(interface.device)}", actions)


def at_bridge(host: node.Host, bridge: str, port: str, actions: str) -> None:
    """Let such a flow meet all that comes into a bridge by a port."""
    _add(host, bridge, f"in_port={host.ofport(port)}", actions)


def _add(host: node.Host, bridge: str, match: str, actions: str) -> None:
    host.ofctl("add-flow", bridge, f"cookie=0xbad,table=0,priority=200,{match},actions={actions}")
