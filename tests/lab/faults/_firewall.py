"""Rules of nftables in a namespace of the lab (nft(8)): what a firewall does to packets that the switch let pass."""

import re

from .. import node

_FABRIC = """
table bridge lab {{
  chain forward {{
    type filter hook forward priority 0
    {}
  }}
}}
"""
_OWN = """
table inet lab {{
  chain {0} {{
    type filter hook {0} priority 0
    {1}
  }}
}}
"""
TUNNELLED = "meta protocol ip @nh,72,8 { 47, 17 }"
"""What the tunnels of GRE and VXLAN look like on the underlay, which carries nothing else by UDP."""


def between_hosts(fabric: node.Node, *rules: str) -> None:
    """Let the underlay's bridge follow rules; its ports are called `u-octavia` and `u-compute`, numbered with bonds."""
    rules = tuple(re.sub(r'"(u-\w+)"', r'"\1*"', one) for one in rules)
    fabric.run("nft", "-f", "-", text_in=_FABRIC.format("\n    ".join(rules)))


def of_host(where: node.Node, hook: str, *rules: str) -> None:
    """Let a host or guest follow rules for what it receives (`input`) or sends (`output`)."""
    where.run("nft", "-f", "-", text_in=_OWN.format(hook, "\n    ".join(rules)))
