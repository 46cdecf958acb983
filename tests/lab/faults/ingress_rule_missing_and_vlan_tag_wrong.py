"""Two at once: the group of the amphora lets no ICMP in, and its replies would leave in a VLAN without a tunnel."""

from .. import hosts
from . import Second, Truth, ingress_rule_missing, vlan_tag_wrong

TRUTH = Truth(
    "broken",
    "ingress-rule-missing",
    "destination-br-int",
    "forward",
    second=Second("vlan-tag-wrong", "destination-br-tun", "reply"),
    unless=("tcp", "cold"),  # a question for the neighbour passes the rules, and stops at the tag
)


def inject(lab: hosts.Lab) -> None:
    """Do both."""
    ingress_rule_missing.inject(lab)
    vlan_tag_wrong.inject(lab)
