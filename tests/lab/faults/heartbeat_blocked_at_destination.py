"""The group of the amphora lets no heartbeats out; the probed path is fine."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("degraded", "heartbeat-blocked", "destination-br-int", "reply", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Let the egress rules allow ICMP alone, in the API's answers and in the flows; answers pass without a rule."""
    for rule in lab.description["security_group_rules"]:
        if (rule["security_group_id"], rule["direction"]) == (topology.AMPHORA_GROUP, "egress"):
            rule["protocol"] = "ipv6-icmp" if rule["ethertype"] == "IPv6" else "icmp"
    lab.write_description()
    lab.apply("br-int")
