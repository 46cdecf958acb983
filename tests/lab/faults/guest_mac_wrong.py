"""The amphora sends from another MAC address than its Neutron port has, as a bond or a bridge in it may do."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "source-mac-wrong", "destination-br-int", "reply", one_host=True)

_RULES = """
table netdev lab {
  chain egress {
    type filter hook egress device "eth0" priority 0
    ether saddr set fa:16:3e:00:00:02
  }
}
"""


def inject(lab: hosts.Lab) -> None:
    """Change it on the way out; what it answers for is its own still, and so is what it receives."""
    lab.guest.run("nft", "-f", "-", text_in=_RULES)
