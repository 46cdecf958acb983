"""The group of the amphora lets no ICMP in."""

from .. import description, hosts, topology
from . import Truth

TRUTH = Truth("broken", "ingress-rule-missing", "destination-br-int", "forward", unless=("tcp",), one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Take the rules out of the API's answers and out of the flows."""
    description.drop_rules(lab.description, topology.AMPHORA_GROUP, "ingress", {"icmp", "ipv6-icmp"})
    lab.write_description()
    lab.apply("br-int")
