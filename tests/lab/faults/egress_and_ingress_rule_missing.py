"""Two at once: the group of the source has no egress rule, that of the amphora lets no ICMP in."""

from .. import hosts
from . import Second, Truth, egress_rule_missing, ingress_rule_missing

TRUTH = Truth(
    "broken",
    "egress-rule-missing",
    "source-br-int",
    "forward",
    second=Second("ingress-rule-missing", "destination-br-int", "forward"),
    unless=("tcp",),
    one_host=True,
)


def inject(lab: hosts.Lab) -> None:
    """Take both away."""
    egress_rule_missing.inject(lab)
    ingress_rule_missing.inject(lab)
