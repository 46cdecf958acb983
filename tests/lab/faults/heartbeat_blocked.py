"""The group of the health manager lets no heartbeats in; the probed path is fine."""

from .. import description, hosts, topology
from . import Truth

TRUTH = Truth("degraded", "heartbeat-blocked", "source-br-int", "reply", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Take the rules for UDP out of the API's answers and out of the flows."""
    description.drop_rules(lab.description, topology.HEALTH_GROUP, "ingress", {"udp"})
    lab.write_description()
    lab.apply("br-int")
