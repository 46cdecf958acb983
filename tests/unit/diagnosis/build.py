"""A path as it is and what its two units would see of a probe, packet by packet."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ovs_pathfinder import path
from ovs_pathfinder.evidence import record

RUN = "20220314t101500-abcdef"
SOURCE, DESTINATION = "fc00::f816:3eff:fea8:7ef6", "fc00::f816:3eff:fe0d:9acf"
SOURCE_MAC, DESTINATION_MAC = "fa:16:3e:a8:7e:f6", "fa:16:3e:0d:9a:cf"
LARGE = tuple(f"a1b2c3d4/{number}" for number in (1, 2, 3))
Station = tuple[path.Direction, path.Point]


def plan(**changes: Any) -> path.Plan:
    """Make a plan: octavia/2 to an amphora on nova-compute/0."""
    same_host = changes.pop("same_host", False)
    group = path.SecurityGroup(id="g", name="group")
    source = path.Endpoint(
        port=path.Port(
            id="0a8a7ef6-0000-0000-0000-000000000001",
            name="octavia-health-manager-octavia-2-listen-port",
            mac=SOURCE_MAC,
            addresses=(SOURCE,),
            host="octavia-host",
            vif_type="ovs",
            security_groups=(group,),
        ),
        address=SOURCE,
        label="octavia/2",
        unit="ovs-pathfinder/0",
        principal="octavia/2",
        tunnel_address="172.20.0.139",
        management_address="10.0.0.1",
    )
    destination = path.Endpoint(
        port=path.Port(
            id="93fff561-bfda-46b4-9d61-5f4ea8559a15",
            name="",
            mac=DESTINATION_MAC,
            addresses=(DESTINATION,),
            host="octavia-host" if same_host else "compute-host",
            vif_type="ovs",
            security_groups=(group,),
        ),
        address=DESTINATION,
        label="amphora e64930ad",
        unit="ovs-pathfinder/0" if same_host else "ovs-pathfinder/1",
        principal="octavia/2" if same_host else "nova-compute/0",
        tunnel_address="172.20.0.139" if same_host else "172.20.0.209",
        management_address="10.0.0.1" if same_host else "10.0.0.2",
    )
    fields: dict[str, Any] = {
        "run": RUN,
        "created": "2022-03-14T10:15:00+00:00",
        "source": source,
        "destination": destination,
        "network": path.Network(id="n", name="lb-mgmt-net", type="gre", segmentation_id=753, mtu=1458),
    }
    return path.Plan(**{**fields, **changes})


def steps(*tables: str, count: int = 5, stuck_at: int | None = None) -> tuple[record.Step, ...]:
    """Make steps of `br-int 71 65 MATCH`, which count the probe up to `stuck_at`."""
    made: list[record.Step] = []
    for at, text in enumerate(tables):
        bridge, table, priority, *match = text.split()
        moved = count if stuck_at is None or at < stuck_at else 0
        made.append(
            record.Step(
                bridge=bridge,
                table=int(table),
                priority=None if priority == "-" else int(priority),
                match=match[0] if match else "",
                cookie=f"0x{bridge[3:4].encode().hex()}",
                before=10,
                after=10 + moved,
            )
        )
    return tuple(made)


OUT = ("br-int 0 0", "br-int 60 100 in_port=3", "br-int 71 65 ipv6", "br-int 72 74", "br-tun 0 1", "br-tun 20 2")
IN = ("br-tun 0 1", "br-tun 3 1", "br-int 0 0", "br-int 60 90", "br-int 81 90", "br-int 82 75")


def trace(direction: path.Direction, outcome: record.Outcome, *tables: str, **more: Any) -> record.Trace:
    """Make a trace through `tables`."""
    return record.Trace(
        direction=direction,
        flow="icmp6,…",
        command="ovs-appctl ofproto/trace br-int 'icmp6,…'",
        expected="the tunnel to 172.20.0.209 with key 0x2f1",
        outcome=outcome,
        steps=steps(*tables, stuck_at=more.pop("stuck_at", None)),
        **more,
    )


@dataclasses.dataclass
class World:
    """What happens on the path; `run` says what the two units then hand over."""

    plan: path.Plan = dataclasses.field(default_factory=plan)
    count: int = 5
    lost_after: Mapping[Station, int] = dataclasses.field(default_factory=dict[Station, int])
    """How many packets are lost after a station has seen them."""
    failed: frozenset[path.Point] = frozenset()
    blind: frozenset[Station] = frozenset()
    """Stations whose capture works and misses everything."""
    carrier: str = "probe"
    counters_stand: bool = True
    """Whether the flows count no more where a switch loses everything; else they count it out."""
    traces: Mapping[tuple[path.Role, path.Direction], record.Trace] = dataclasses.field(
        default_factory=dict[tuple[path.Role, path.Direction], record.Trace]
    )
    devices: Mapping[path.Role, Mapping[str, Any]] = dataclasses.field(
        default_factory=dict[path.Role, Mapping[str, Any]]
    )
    observations: Mapping[path.Point, Mapping[str, Any]] = dataclasses.field(
        default_factory=dict[path.Point, Mapping[str, Any]]
    )
    source: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    destination: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    probe: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])

    def seen(self) -> tuple[dict[Station, int], int]:
        """Return how many packets pass each station, and how many answers the sender gets."""
        left = self.count
        passed: dict[Station, int] = {}
        legs: tuple[tuple[path.Direction, tuple[path.Point, ...]], ...] = (
            ("forward", self.plan.points),
            ("reply", self.plan.points[::-1]),
        )
        for direction, points in legs:
            for point in points:
                passed[direction, point] = left
                left -= min(left, self.lost_after.get((direction, point), 0))
        return passed, left

    def _observation(self, point: path.Point, passed: Mapping[Station, int]) -> record.Observation:
        if point in self.failed:
            return record.Observation(point=point, device="dev", error="tcpdump: no such device")
        forward = 0 if ("forward", point) in self.blind else passed["forward", point]
        reply = 0 if ("reply", point) in self.blind else passed["reply", point]
        if self.carrier == "neighbour":
            neighbours = record.Neighbours(solicited=forward, advertised=reply)
            return record.Observation(point=point, device="dev", neighbours=neighbours)
        found = record.Observation(
            point=point,
            device="dev",
            forward=self._identities(forward),
            reply=self._identities(reply),
            forward_mac=SOURCE_MAC if forward else "",
            reply_mac=DESTINATION_MAC if reply else "",
        )
        return found.model_copy(update=dict(self.observations.get(point, {})))

    def _identities(self, count: int) -> tuple[str, ...]:
        return tuple(f"a1b2c3d4/{number}" for number in range(1, count + 1))

    def run(self) -> list[record.Evidence]:
        """Return the evidence of both units, of one where both ports share a host."""
        passed, answered = self.seen()
        roles: tuple[tuple[path.Role, ...], ...] = (("source",), ("destination",))
        if self.plan.same_host:
            roles = (("source", "destination"),)
        return [self._evidence(one, passed, answered) for one in roles]

    def _evidence(self, roles: tuple[path.Role, ...], passed: Mapping[Station, int], answered: int) -> record.Evidence:
        is_source = "source" in roles
        points: list[path.Point] = [one for one in self.plan.points if one.split("-")[0] in roles]
        own, other = ("aaaaaaaa", "bbbbbbbb") if is_source else ("bbbbbbbb", "aaaaaaaa")
        fields: dict[str, Any] = {
            "run": RUN,
            "unit": self.plan.endpoint(roles[0]).unit,
            "roles": roles,
            "started": "2022-03-14T10:15:10.000+00:00",
            "seconds": 4.0,
            "devices": {role: self._device(role) for role in roles},
            "tunnel": "gre-ac1400d1",
            "underlay_route": "eth1",
            "observations": tuple(self._observation(point, passed) for point in points),
            "traces": tuple(self._traces(roles)),
            "rendezvous": record.Rendezvous(
                nonce=own,
                heard=(other,),
                heard_first=other,
                heard_done="" if is_source else other,
                by=("172.20.0.209" if is_source else "172.20.0.139",),
            ),
        }
        if is_source:
            sent: dict[str, Any] = {
                "command": "ping …",
                "transmitted": self.count,
                "sent": self._identities(self.count),
                "answered": answered,
                "output": f"{self.count} packets transmitted, {answered} received",
            }
            fields["probe"] = record.Probe(**{**sent, **self.probe})
            large = record.Probe(command="ping -M do …", transmitted=3, sent=LARGE, answered=3)
            fields.update(large=large, large_echoes=large)
        return record.Evidence(**{**fields, **(self.source if is_source else self.destination)})

    def _device(self, role: path.Role) -> record.Device:
        fields: dict[str, Any] = {
            "name": "o-hm0" if role == "source" else "tap93fff561-bf",
            "present": True,
            "ofport": 3,
            "tag": 1,
            "addresses": (SOURCE,) if role == "source" else (),
            "up": True,
            "carrier": True,
            "on_switch": True,
        }
        return record.Device(**{**fields, **self.devices.get(role, {})})

    def _stuck_at(self, direction: path.Direction, entry: path.Point) -> int | None:
        """Say which step counts no more, where the switch behind `entry` loses everything."""
        lost = self.lost_after.get((direction, entry), 0) if self.counters_stand else 0
        return 3 if lost >= self.count else None

    def _traces(self, roles: tuple[path.Role, ...]) -> list[record.Trace]:
        entries: dict[tuple[path.Role, path.Direction], tuple[path.Point, tuple[str, ...]]] = {
            ("source", "forward"): ("source-port", OUT),
            ("source", "reply"): ("source-underlay", IN),
            ("destination", "forward"): ("destination-underlay", IN),
            ("destination", "reply"): ("destination-port", OUT),
        }
        healthy = {
            (role, direction): trace(direction, "forwarded", *tables, stuck_at=self._stuck_at(direction, entry))
            for (role, direction), (entry, tables) in entries.items()
        }
        return [one for key, one in {**healthy, **self.traces}.items() if key[0] == roles[0]]


def sized(seen: Mapping[path.Point, tuple[int, int]], answered: int = 0, **more: Any) -> World:
    """Let so many large packets pass each point, forward and back."""
    observations: dict[path.Point, dict[str, Any]] = {
        point: {"large_forward": LARGE[:forward], "large_reply": LARGE[:reply]}
        for point, (forward, reply) in seen.items()
    }
    large = record.Probe(command="ping -M do …", transmitted=3, sent=LARGE, answered=answered)
    about = {"large": large, "large_echoes": None, **more.pop("source", {})}
    return World(observations=observations, source=about, **more)
