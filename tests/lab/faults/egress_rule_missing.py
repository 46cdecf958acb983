"""The group of the source has no egress rule."""

from .. import description, hosts, topology
from . import Truth

TRUTH = Truth("broken", "egress-rule-missing", "source-br-int", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Take the rules out of the API's answers and out of the flows."""
    description.drop_rules(lab.description, topology.HEALTH_GROUP, "egress", {None})
    lab.write_description()
    lab.apply("br-int")
