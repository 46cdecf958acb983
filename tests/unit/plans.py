"""Plans of every kind: both versions of IP, every protocol."""

from typing import Literal

from ovs_pathfinder import path
from tests.unit.diagnosis import build

IPV4 = ("192.168.77.231", "192.168.77.207")
PORTS: dict[path.Protocol, int | None] = {"icmp": None, "tcp": 9443, "udp": 5555}
KINDS: list[tuple[Literal[4, 6], path.Protocol]] = [
    (4, "icmp"),
    (4, "tcp"),
    (4, "udp"),
    (6, "icmp"),
    (6, "tcp"),
    (6, "udp"),
]


def of(ip: Literal[4, 6], protocol: path.Protocol, *, same_host: bool = False) -> path.Plan:
    """Make a plan between two ports."""
    plan = build.plan(protocol=protocol, port=PORTS[protocol], same_host=same_host)
    if ip == 6:
        return plan
    source, destination = (
        end.model_copy(update={"address": address, "port": end.port.model_copy(update={"addresses": (address,)})})
        for end, address in zip((plan.source, plan.destination), IPV4, strict=True)
    )
    return plan.model_copy(update={"source": source, "destination": destination})
