"""What became of the probe's packets: which were seen where, and between which two points they were lost."""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from .. import path
from ..evidence import record

Together = Literal["proven", "likely", "no"]
"""Whether both units watched while the probe was sent: as each heard the other first; as one heard the other, saw some
of the probe, or by their clocks; not at all."""

CLOCK_TOLERANCE = 2.0
"""Seconds by which two hosts' clocks may differ before their windows count as apart. NTP keeps them within."""


@dataclasses.dataclass(frozen=True)
class Station:
    """One point in one direction, in the order in which a packet and its answer pass them."""

    direction: path.Direction
    point: path.Point
    seen: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Loss:
    """Packets that were seen at one station and not at the next that was watched."""

    direction: path.Direction
    """Of the station where they are missed."""
    before: path.Point | None
    """The last point that saw them; None for the sender itself."""
    after: path.Point | None
    """The point that missed them; None for the sender, which misses the answer."""
    lost: int
    of: int
    turned: bool = False
    """Whether they were seen going forward at `before`, and no answer to them at `after`."""

    @property
    def total(self) -> bool:
        """Whether nothing at all came through."""
        return self.lost == self.of


@dataclasses.dataclass(frozen=True)
class Account:
    """The account of one probe."""

    carrier: Literal["probe", "neighbour"]
    sent: int
    answered: int
    stations: tuple[Station, ...]
    losses: tuple[Loss, ...]
    together: Together
    asked_back: Loss | None = None
    """Where the guest's question for the source's MAC address, or its answer, was lost: it cannot reply without."""
    held: int = 0
    """Packets that the source's kernel kept back, as nothing answered its question for the destination's MAC address: a
    consequence of the loss, and not among those that were sent."""
    held_back: int = 0
    """Packets whose answers the guest kept back for the same reason; they are left out, too."""

    def seen(self, point: path.Point, direction: path.Direction) -> int | None:
        """Return how many packets a point saw; None where it was not watched."""
        found = (len(one.seen) for one in self.stations if (one.point, one.direction) == (point, direction))
        return next(found, None)


def draw_up(plan: path.Plan, source: record.Evidence, destination: record.Evidence | None) -> Account:
    """Follow the probe's packets from point to point.

    Args:
        plan: The path.
        source: The evidence of the unit that sent.
        destination: That of the other unit; the same object where both ports share a host; None where missing.
    """
    together = watched_together(source, destination)
    probe = source.probe or record.Probe(command="", transmitted=0)
    missed = _missed_at_first(probe.sent, destination, together)
    # Which packets were answered is not known, so that of a probe with answers nothing can be left out.
    is_usable = together != "no" and not (missed and probe.answered)
    holders = {"source": source, "destination": destination if is_usable else None}
    near = source.observation("source-port")
    if near is not None and not near.forward and near.neighbours.solicited and not probe.answered:
        return _of_neighbours(plan, holders, together)
    back = _asked_back(plan, holders)
    every = frozenset(probe.sent[missed:] if is_usable else probe.sent)
    held = _held(source, near, every)
    unable = _unable(holders["destination"], back, every - held)
    sent = every - held - unable
    stations = _closed(
        [
            Station(direction, point, frozenset(_packets(found, direction)) & sent)
            for direction, point, found in _itinerary(plan, holders)
        ]
    )
    losses = _losses(stations, sent, probe.answered if plan.protocol != "udp" else None)
    if held and not losses:
        return _of_neighbours(plan, holders, together)  # the question alone is lost, or its answer
    return Account("probe", len(sent), probe.answered, stations, losses, together, back, len(held), len(unable))


def _held(source: record.Evidence, near: record.Observation | None, sent: frozenset[str]) -> frozenset[str]:
    """Return the packets that the source's kernel kept back: the neighbour entry ran out while others were under way.

    Where none came out at all, the question is followed instead, or the source is silent.
    """
    if not source.unresolved or near is None or not near.forward:
        return frozenset()
    return sent - frozenset(near.forward)


def _unable(destination: record.Evidence | None, asked_back: Loss | None, sent: frozenset[str]) -> frozenset[str]:
    """Return the packets that came to a guest which answered others, and then asked for the source's MAC in vain."""
    far = destination.observation("destination-port") if destination is not None else None
    if asked_back is None or far is None or not far.reply:
        return frozenset()
    return sent & frozenset(far.forward) - frozenset(far.reply)


def large(
    plan: path.Plan, source: record.Evidence, destination: record.Evidence | None, together: Together
) -> tuple[Loss, ...]:
    """Follow the packets that are as large as the network allows; nothing is lost where one of them was answered.

    Of TCP and UDP the way there is followed, and on the way back the answers to echo requests, as far as there are any.
    They are sent at once and need no answer, so that a unit which may have come late says nothing of them.
    """
    probe = source.large
    if probe is None or not probe.transmitted or probe.answered:
        return ()
    is_echo = plan.protocol == "icmp"
    is_usable = together == "proven" or (is_echo and together == "likely")
    holders = {"source": source, "destination": destination if is_usable else None}
    stations = _closed(
        [
            Station(direction, point, frozenset(found.large_forward if direction == "forward" else found.large_reply))
            for direction, point, found in _itinerary(plan, holders)
        ]
    )
    if is_echo:
        return _losses(stations, frozenset(probe.sent), 0)
    return _losses(stations, frozenset(probe.sent), None) or _large_answers(source, stations)


def _large_answers(source: record.Evidence, stations: Sequence[Station]) -> tuple[Loss, ...]:
    """Follow the answers to large echo requests from the first point on that saw them."""
    echoes = source.large_echoes
    if echoes is None or echoes.answered:
        return ()
    back = [
        dataclasses.replace(one, seen=one.seen & frozenset(echoes.sent)) for one in stations if one.direction == "reply"
    ]
    return _losses(back[1:], back[0].seen, 0, back[0]) if back and back[0].seen else ()


def watched_together(source: record.Evidence, destination: record.Evidence | None) -> Together:
    """Say whether both units watched at the same time, from what they heard of each other first."""
    if destination is None:
        return "no"
    if destination.unit == source.unit:
        return "proven"
    mine, theirs = source.rendezvous, destination.rendezvous
    if mine.nonce and mine.nonce in theirs.heard and mine.heard_first == theirs.nonce:
        return "proven"  # it was heard to watch before the first packet was sent
    if _first_seen(source.probe.sent if source.probe else (), destination) is not None:
        return "likely"
    if mine.nonce in theirs.heard or theirs.nonce in mine.heard:
        return "likely"
    if mine.heard or theirs.heard:
        return "no"  # each met another attempt of the other unit: this evidence does not belong together
    return "likely" if _windows_overlap(source, destination) else "no"


def _first_seen(sent: Sequence[str], destination: record.Evidence) -> int | None:
    """Return the number of the first packet that the destination's unit saw, counted from 0."""
    seen = {identity for one in destination.observations for identity in one.forward}
    return next((number for number, identity in enumerate(sent) if identity in seen), None)


def _missed_at_first(sent: Sequence[str], destination: record.Evidence | None, together: Together) -> int:
    """Return how many packets were sent before a unit that may have come late saw its first one."""
    first = _first_seen(sent, destination) if destination is not None and together == "likely" else None
    return first or 0


def _windows_overlap(source: record.Evidence, destination: record.Evidence) -> bool:
    starts = [datetime.datetime.fromisoformat(one.started).timestamp() for one in (source, destination)]
    ends = [start + one.seconds for start, one in zip(starts, (source, destination), strict=True)]
    return max(starts) < min(ends) + CLOCK_TOLERANCE


def _itinerary(
    plan: path.Plan, holders: Mapping[str, record.Evidence | None]
) -> Iterator[tuple[path.Direction, path.Point, record.Observation]]:
    legs: tuple[tuple[path.Direction, Sequence[path.Point]], ...] = (
        ("forward", plan.points),
        ("reply", plan.points[::-1]),
    )
    for direction, points in legs:
        for point in points:
            evidence = holders["source" if point.startswith("source") else "destination"]
            found = evidence.observation(point) if evidence is not None else None
            if found is not None:
                yield direction, point, found


def _packets(found: record.Observation, direction: path.Direction) -> tuple[str, ...]:
    return found.forward if direction == "forward" else found.reply


def _closed(stations: Sequence[Station]) -> tuple[Station, ...]:
    """Count as seen at a point whatever was seen further on: a capture may miss packets, a packet misses no point."""
    later: frozenset[str] = frozenset()
    closed: list[Station] = []
    for station in reversed(stations):
        later = later | station.seen
        closed.append(dataclasses.replace(station, seen=later))
    return tuple(reversed(closed))


def _losses(
    stations: Sequence[Station], sent: frozenset[str], answered: int | None, start: Station | None = None
) -> tuple[Loss, ...]:
    """Compare each station with the one before it, the first with `start`, or with the sender.

    A sender that got more answers than a station saw packets tells that its capture missed some: it is passed over.
    """
    losses: list[Loss] = []
    have = sent
    if answered is not None and answered >= len(sent):
        return ()
    before = start.point if start else None
    heading: path.Direction = start.direction if start else "forward"
    for station in stations:
        if answered is None and station.direction == "reply":
            return tuple(losses)  # a datagram needs no answer
        if answered is not None and len(station.seen) < answered:
            continue
        missing = have - station.seen
        if missing:
            turned = heading != station.direction
            losses.append(Loss(station.direction, before, station.point, len(missing), len(have), turned))
        have, before, heading = have & station.seen, station.point, station.direction
        if not have:
            return tuple(losses)
    if answered is not None and answered < len(have):
        losses.append(Loss("reply", before, None, len(have) - answered, len(have)))
    return tuple(losses)


def _of_neighbours(plan: path.Plan, holders: Mapping[str, record.Evidence | None], together: Together) -> Account:
    """Follow the question for the destination's MAC address, which was never answered, instead of the probe."""
    asked = max((found.neighbours.solicited for _, _, found in _itinerary(plan, holders)), default=0)
    every = frozenset(str(number) for number in range(asked))
    stations = _closed(
        [
            Station(
                direction,
                point,
                frozenset(str(number) for number in range(min(asked, _questions(found, direction)))),
            )
            for direction, point, found in _itinerary(plan, holders)
        ]
    )
    # Questions have no identity: only none against some can be told.
    levelled = tuple(dataclasses.replace(one, seen=every if one.seen else one.seen) for one in stations)
    back = next((one for one in levelled if (one.point, one.direction) == ("source-port", "reply")), None)
    answered = asked if back is not None and back.seen else 0
    return Account("neighbour", asked, answered, stations, _losses(levelled, every, answered), together)


def _asked_back(plan: path.Plan, holders: Mapping[str, record.Evidence | None]) -> Loss | None:
    """Follow the guest's question for the source from its own port on, and the answer back; None if all is well."""
    by_point = {point: found.neighbours for _, point, found in _itinerary(plan, holders)}
    asked = by_point["destination-port"].solicited_back if "destination-port" in by_point else 0
    if not asked or by_point["destination-port"].advertised_back:
        return None
    legs: tuple[tuple[path.Direction, Sequence[path.Point]], ...] = (
        ("reply", plan.points[::-1]),
        ("forward", plan.points),
    )
    before: path.Point = "destination-port"
    for direction, points in legs:
        for point in points:
            if point not in by_point:
                continue
            seen = by_point[point]
            if not (seen.solicited_back if direction == "reply" else seen.advertised_back):
                return Loss(direction, before, point, asked, asked, turned=before == point)
            before = point
    return None


def _questions(found: record.Observation, direction: path.Direction) -> int:
    return found.neighbours.solicited if direction == "forward" else found.neighbours.advertised
