"""Practice: all observation points of one host together, and the other unit's signs of life."""

import base64
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from .. import path
from . import capture, packet, probe, record

_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_KEPT = 1000
"""Identities that are kept at each point; a trial has 600 at the most, and others may use the same port."""
_ANSWERED = 110_000
"""Characters of the captures of one unit, as an argument of action-set: Linux takes 131,072 bytes."""


class _Sight:
    """What one point has seen so far."""

    def __init__(self) -> None:
        self.forward: dict[str, None] = {}
        self.reply: dict[str, None] = {}
        self.large: dict[path.Direction, dict[str, None]] = {"forward": {}, "reply": {}}
        self.neighbours = dict.fromkeys(record.Neighbours.model_fields, 0)
        self.macs: dict[path.Direction, str] = {}
        self.destination_macs: dict[path.Direction, str] = {}
        self.keys: dict[path.Direction, set[int]] = {"forward": set(), "reply": set()}

    def take_key(self, direction: path.Direction, seen: packet.Packet) -> None:
        """Keep the tunnel key that a packet carried, if it did."""
        if seen.tunnel is not None and seen.tunnel.key is not None:
            self.keys[direction].add(seen.tunnel.key)


class Watch:
    """Captures at every point of this host, until stopped; what they see can be asked for at any time."""

    def __init__(
        self,
        plan: path.Plan,
        own_nonce: str,
        far_addresses: Iterable[str],
        tunnel_ports: Mapping[str, int] = packet.TUNNEL_PORTS,
        *,
        keeps: bool = False,
    ) -> None:
        self._plan = plan
        self._keeps = keeps
        self._own = own_nonce
        self._tunnel_ports = tunnel_ports
        self._far = frozenset(address for address in far_addresses if address)
        self._changed = threading.Condition()
        self._sights: dict[path.Point, _Sight] = {}
        self._captures: list[tuple[path.Point | None, capture.Capture]] = []
        self._failed: dict[path.Point, list[str]] = {}
        self._hidden: dict[path.Point, str] = {}
        self._heard: dict[str, set[str]] = {}
        self._order: list[str] = []
        self._from: set[str] = set()
        self._latest = 0.0

    def add(self, point: path.Point | None, device: str, expression: str) -> None:
        """Begin to watch a device: for an observation point, or, with None, only for the other unit."""
        if point is not None:
            self._sights.setdefault(point, _Sight())

        def sink(seen: packet.Packet) -> None:
            with self._changed:
                self._see(point, seen)
                self._changed.notify_all()

        keeps = self._keeps and point is not None
        self._captures.append((point, capture.Capture(device, expression, sink, self._tunnel_ports, keeps=keeps)))

    def fail(self, point: path.Point, why: str) -> None:
        """Note why a point cannot be watched at all."""
        self._failed.setdefault(point, []).append(why)

    def hide(self, point: path.Point, why: str) -> None:
        """Note why no capture can see what passes a point."""
        self._hidden[point] = why

    def hide_all(self, why: str) -> None:
        """Note why captures of this host may have missed packets, wherever they were made."""
        self._hidden = {**dict.fromkeys(self._sights, why), **self._hidden}

    def wait_ready(self) -> None:
        """Wait until every capture listens, or has said why it does not."""
        for _, one in self._captures:
            one.wait_ready()

    def stop(self) -> None:
        """End all captures."""
        capture.stop_all([one for _, one in self._captures])

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until `condition` holds, looking again at each packet; return whether it does."""
        with self._changed:
            return self._changed.wait_for(condition, max(0.0, timeout))

    def heard(self, purpose: probe.Purpose) -> str:
        """Return the first attempt of the other unit that was heard with that purpose, or nothing."""
        return next((nonce for nonce in self._order if purpose in self._heard[nonce]), "")

    def rendezvous(self, first: str) -> record.Rendezvous:
        """Return what is known of the other unit."""
        return record.Rendezvous(
            nonce=self._own,
            heard=tuple(self._order[:20]),
            heard_first=first,
            heard_done=self.heard("done"),
            by=tuple(sorted(self._from)),
        )

    @property
    def latest(self) -> float:
        """When the last packet of the probe was seen at any point, by the monotonic clock; 0 where none was."""
        return self._latest

    def seen(self, point: path.Point, direction: path.Direction) -> int:
        """Return how many of the probe's packets a point has seen."""
        sight = self._sights.get(point)
        return len(sight.forward if direction == "forward" else sight.reply) if sight else 0

    def observations(self) -> tuple[record.Observation, ...]:
        """Return what was seen, point by point."""
        known = {*self._sights, *self._failed, *self._hidden}
        return tuple(self._observation(point) for point in path.POINTS if point in known)

    def kept(self) -> tuple[record.Capture, ...]:
        """Return the packets of each capture, where they are kept; after the captures have ended.

        They go into one answer, which Linux bounds: a capture that has no room there is named without its packets.
        """
        found: list[record.Capture] = []
        left = _ANSWERED
        for point, one in self._captures:
            if point is None or not one.kept:
                continue
            text = base64.b64encode(one.kept).decode()
            fits = len(text) <= left
            left -= len(text) if fits else 0
            found.append(
                record.Capture(
                    point=point,
                    device=one.device,
                    packets=one.packets if fits else 0,
                    more=one.more if fits else one.more + one.packets,
                    pcap=text if fits else "",
                )
            )
        return tuple(found)

    def _observation(self, point: path.Point) -> record.Observation:
        captures = [one for where, one in self._captures if where == point]
        errors = [
            *self._failed.get(point, ()),
            *(f"{one.device}: {one.error}" for one in captures if one.error),
        ]
        working = [one for one in captures if not one.error]
        sight = self._sights.get(point, _Sight())
        return record.Observation(
            point=point,
            device=", ".join(one.device for one in captures),
            forward=tuple(sight.forward),
            reply=tuple(sight.reply),
            neighbours=record.Neighbours(**sight.neighbours),
            forward_mac=sight.macs.get("forward", ""),
            reply_mac=sight.macs.get("reply", ""),
            forward_destination_mac=sight.destination_macs.get("forward", ""),
            reply_destination_mac=sight.destination_macs.get("reply", ""),
            tunnel_keys=tuple(sorted(sight.keys["forward"] | sight.keys["reply"])),
            forward_tunnel_keys=tuple(sorted(sight.keys["forward"])),
            reply_tunnel_keys=tuple(sorted(sight.keys["reply"])),
            large_forward=tuple(sight.large["forward"]),
            large_reply=tuple(sight.large["reply"]),
            error="; ".join(errors) if not working and point not in self._hidden else "",
            out_of_sight=self._hidden.get(point, ""),
        )

    def _see(self, point: path.Point | None, seen: packet.Packet) -> None:
        if seen.tunnel is None and seen.source in self._far:
            self._hear(seen)
        is_outer = point is not None and point.endswith("underlay") and self._plan.network.is_tunnelled
        if point is None or (is_outer and seen.tunnel is None):
            return
        sight = self._sights[point]
        if seen.kind in ("solicitation", "advertisement"):
            self._see_neighbour(sight, seen)
        elif (found := self._large(sight, seen)) is not None:
            direction, identity = found
            if len(sight.large[direction]) < _KEPT:
                sight.large[direction][identity] = None
        elif (found := identify(self._plan, seen)) is not None:
            direction, identity = found
            self._latest = time.monotonic()
            packets = sight.forward if direction == "forward" else sight.reply
            if len(packets) < _KEPT:
                packets[identity] = None
            sight.macs.setdefault(direction, seen.source_mac)
            sight.destination_macs.setdefault(direction, seen.destination_mac)
            sight.take_key(direction, seen)

    def _large(self, sight: _Sight, seen: packet.Packet) -> tuple[path.Direction, str] | None:
        """Say which of the large packets this is; the answers of TCP and UDP to them bear no mark but the port."""
        found = identify(self._plan, seen, "large")
        if found is None or found[0] == "forward" or seen.kind == "echo-reply":
            return found
        return found if found[1] in sight.large["forward"] else None

    def _hear(self, seen: packet.Packet) -> None:
        """Take note of the other unit's own pings: it marks them with the run and its attempt."""
        marked = probe.read_mark(self._plan, seen.payload) if seen.kind == "echo-request" else None
        if marked is None or marked[0] in ("probe", "large", "wake") or marked[1] == self._own:
            return
        purpose, nonce = marked
        if nonce not in self._heard:
            self._heard[nonce] = set()
            self._order.append(nonce)
        self._heard[nonce].add(purpose)
        self._from.add(seen.source)

    def _see_neighbour(self, sight: _Sight, seen: packet.Packet) -> None:
        """Count who asked for whom; for both kinds, `destination` is the address that it is about.

        Others ask for the same addresses, and are answered: only the two ends' own questions count, and the answers
        that are sent to whoever of the two asked.
        """
        ends = (self._plan.source, self._plan.destination)
        about = next((number for number, end in enumerate(ends) if end.address == seen.destination), None)
        if about is None:
            return
        asker = ends[1 - about]
        directions: tuple[path.Direction, path.Direction] = ("reply", "forward")
        asking, answering = directions[about], directions[1 - about]
        suffix = "" if about == 1 else "_back"
        if seen.kind == "solicitation" and seen.source == asker.address:
            sight.neighbours["solicited" + suffix] += 1
            sight.take_key(asking, seen)
            sight.macs.setdefault(asking, seen.source_mac)
        elif seen.kind == "advertisement" and seen.destination_mac in (asker.port.mac, sight.macs.get(asking)):
            sight.neighbours["advertised" + suffix] += 1
            sight.take_key(answering, seen)
            sight.macs.setdefault(answering, seen.source_mac)


def identify(
    plan: path.Plan, seen: packet.Packet, purpose: Literal["probe", "large"] = "probe"
) -> tuple[path.Direction, str] | None:
    """Say which packet of the probe this is, and in which direction it goes; None for traffic of others."""
    ends = (plan.source.address, plan.destination.address)
    if (seen.source, seen.destination) not in (ends, ends[::-1]):
        return None
    direction: path.Direction = "forward" if seen.source == ends[0] else "reply"
    if seen.kind in ("echo-request", "echo-reply"):
        marked = probe.read_mark(plan, seen.payload)
        is_plans = plan.protocol == "icmp" or purpose == "large"  # large echo requests go beside other protocols, too
        is_ours = is_plans and marked is not None and marked[0] == purpose
        wanted = "echo-request" if direction == "forward" else "echo-reply"
        if not is_ours or marked is None or seen.kind != wanted:
            return None
        return direction, f"{marked[1]}/{seen.identity.partition('/')[2]}"
    if seen.kind == "unreachable":
        return _refusal(plan, direction, seen)
    return _flow_identity(plan, direction, seen, purpose)


def _flow_identity(
    plan: path.Plan, direction: path.Direction, seen: packet.Packet, purpose: Literal["probe", "large"]
) -> tuple[path.Direction, str] | None:
    near, _, far = seen.identity.partition(">")
    if direction == "reply":
        near, far = far, near
    if seen.kind != plan.protocol or far != str(plan.port):
        return None
    marked = probe.read_mark(plan, seen.payload)
    if plan.protocol == "tcp":
        is_large = marked is not None and marked[0] == "large"
        opening = seen.tcp_flags & (_SYN | _ACK) == _SYN and is_large == (purpose == "large")
        answer = bool(seen.tcp_flags & _RST) or seen.tcp_flags & (_SYN | _ACK) == _SYN | _ACK
        return (direction, near) if (opening if direction == "forward" else answer) else None
    if direction == "forward" and (marked is None or marked[0] != purpose):
        return None
    return direction, near


def _refusal(plan: path.Plan, direction: path.Direction, seen: packet.Packet) -> tuple[path.Direction, str] | None:
    """Read the quoted packet of an ICMP error (RFC 792, RFC 4443): its IP header and its ports."""
    if direction == "forward" or plan.protocol == "icmp" or len(seen.payload) < 24:
        return None
    header = 40 if plan.ip_version == 6 else (seen.payload[0] & 0x0F) * 4
    near = int.from_bytes(seen.payload[header : header + 2], "big")
    far = int.from_bytes(seen.payload[header + 2 : header + 4], "big")
    return (direction, str(near)) if far == plan.port else None
