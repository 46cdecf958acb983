"""A rule went and came back: conntrack still drops the answers of an old ping, as cut off; new ones pass."""

import copy

from .. import description, hosts, processes, topology
from . import Second, Truth

TRUTH = Truth(
    "ok",
    "path-ok",
    second=Second("conntrack-stale", "destination-br-int", "reply", told=True),
    unless=("tcp",),
)

_OLD = "2"
"""The ICMP identifier of the connection that is cut off; a probe's is another."""


def inject(lab: hosts.Lab) -> None:
    """Take the amphora's rules for ICMP away while something pings it, and give them back."""
    name = "ipv6-icmp" if lab.shape.ip == 6 else "icmp"
    lab.source.start("old", "ping", "-n", "-q", "-e", _OLD, "-i", "0.5", lab.address)
    processes.wait_until(lambda: _connections(lab), "a connection")
    whole = copy.deepcopy(lab.description)
    description.drop_rules(lab.description, topology.AMPHORA_GROUP, "ingress", {name})
    lab.apply("br-int")
    processes.wait_until(lambda: any("mark=1" in one for one in _connections(lab)), "the mark of a cut off connection")
    lab.description = whole
    lab.apply("br-int")
    lab.ping(1)


def _connections(lab: hosts.Lab) -> list[str]:
    host = lab.hosts[lab.shape.site(topology.GUEST).key]
    lines = host.appctl("dpctl/dump-conntrack").splitlines()
    return [one for one in lines if one.startswith("icmp") and f"id={_OLD}," in one]
