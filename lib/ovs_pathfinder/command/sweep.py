"""Every path from every unit of Octavia's to every amphora: a few at a time, and none waits for a unit that is silent.

A pair is begun when nobody else asks the unit at its destination, so that pairs which wait for a silent unit hold up
neither the others nor the limit: a pair of which only one unit is still to be heard of counts no more.
"""

import asyncio
import collections
import dataclasses
from collections.abc import Callable, Sequence

from .. import errors, path
from ..report import outcome
from . import engine, juju

AT_ONCE = 6
"""Pairs under way; the charm keeps the last 20 plans, of all who plan."""
LISTED = 1000
"""The most amphorae that Octavia is asked for."""
LIST = 90.0
"""Seconds that listing may take."""


class _Amphora(path.Model):
    """As far as a sweep needs it."""

    id: str
    status: str
    loadbalancer: str = ""
    management_address: str = ""
    unit: str = ""


class _Amphorae(path.Model):
    """The answer of list-amphorae."""

    amphorae: tuple[_Amphora, ...]


class _Network(path.Model):
    id: str
    name: str = ""


class _Found(path.Model):
    port: path.Port | None = None
    network: _Network | None = None
    server: str = ""
    unit: str = ""


class _Ports(path.Model):
    """The answer of find-port."""

    ports: tuple[_Found, ...]


class _Notes(path.Model):
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Port:
    """A destination, and the unit on its host where that is known."""

    name: str
    note: str = ""
    unit: str = ""


@dataclasses.dataclass(frozen=True)
class Job:
    """A pair, and the units on its two hosts as far as they are known beforehand."""

    pair: engine.Pair
    source_unit: str
    destination_unit: str


def destinations(answer: juju.Answer) -> list[Port]:
    """Return the amphorae that can be traced to, from the answer of list-amphorae."""
    found = engine.read(_Amphorae, answer, "answer")
    return [
        Port(
            one.management_address or one.id, f"amphora {one.id[:8]} {one.status} {one.loadbalancer}".strip(), one.unit
        )
        for one in found.amphorae
        if one.status != "DELETED"
    ]


def ports(answer: juju.Answer, network: str) -> list[Port]:
    """Return the ports of a network that a host or a guest answers at, from the answer of find-port.

    Raises:
        PathfinderError: It was no network that was found.
    """
    found = engine.read(_Ports, answer, "answer").ports
    if not any(one.network and network in (one.network.name, one.network.id) for one in found):
        raise errors.PathfinderError(f"{network} is no network with ports; name one by its name or id")
    return [
        Port(one.port.addresses[0], " ".join((one.port.name or one.port.id, one.server)).strip(), one.unit)
        for one in found
        if one.port and one.port.addresses and one.port.host and not _is_nobodys(one.port)
    ]


def _is_nobodys(port: path.Port) -> bool:
    """Whether a port is Neutron's own, which plan-path refuses, or a source itself."""
    return port.device_owner.startswith(("network:", "Octavia:")) or port.name.startswith("octavia-health-manager-")


def notes(answer: juju.Answer) -> tuple[str, ...]:
    """Return what an answer says that it lacks."""
    return engine.read(_Notes, answer, "answer").notes


def sources(units: Sequence[juju.Unit], wanted: Sequence[str]) -> list[juju.Unit]:
    """Return the units of Octavia that have the charm, or those of them that are wanted by their names.

    Raises:
        PathfinderError: There are none, or one that is wanted is not among them.
    """
    known = {one.principal: one for one in units if one.is_octavia}
    missing = [one for one in wanted if one not in known]
    if missing or not known:
        named = ", ".join(known) or "none"
        raise errors.PathfinderError(
            f"{missing[0]} is no unit of Octavia with the charm; there are {named}"
            if missing
            else "no unit of Octavia has the charm; integrate ovs-pathfinder:juju-info with octavia"
        )
    return [known[one] for one in wanted or known]


def beside(units: Sequence[juju.Unit]) -> str:
    """Return the unit to ask for amphorae: one beside Octavia, whose worker's log tells more, and that is heard of."""
    return min(units, key=lambda one: (one.lost, not one.is_octavia, not one.leader)).name


def aliases(units: Sequence[juju.Unit], leader: str) -> dict[str, str]:
    """Say which unit the leader is, so that it is not asked to report while it probes."""
    found = next((one.name for one in units if one.leader), "")
    return {leader: found} if found else {}


def jobs(sources: Sequence[juju.Unit], ports: Sequence[Port]) -> list[Job]:
    """Pair every source with every destination, so that neighbours in the list share no unit where that can be."""
    return [
        Job(engine.Pair(one.principal, port.name, port.note), one.name, port.unit)
        for turn in range(len(ports))
        for at, one in enumerate(sources)
        for port in (ports[(turn + at) % len(ports)],)
    ]


@dataclasses.dataclass
class Sweep:
    """A sweep that is under way."""

    by: engine.Engine
    settings: engine.Settings
    at_once: int = AT_ONCE
    _under_way: int = 0
    _reserved: set[str] = dataclasses.field(default_factory=set[str])
    _changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def run(self, wanted: Sequence[Job]) -> outcome.Outcomes:
        """Trace all pairs; the outcomes are in the order of sources, then of destinations as they were listed."""
        left = collections.deque(enumerate(wanted))
        found: dict[int, outcome.Outcome] = {}
        running: set[asyncio.Task[None]] = set()
        try:
            while left or running:
                while (chosen := self._next(left)) is not None:
                    running.add(asyncio.create_task(self._trace(*chosen, found)))
                await self._changed.wait()
                self._changed.clear()
                ended = {one for one in running if one.done()}
                running -= ended
                for one in ended:
                    one.result()
        finally:
            for one in running:
                one.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        listed = {port: at for at, port in enumerate(dict.fromkeys(job.pair.destination for job in wanted))}
        ordered = sorted(found.values(), key=lambda one: (one.source, listed[one.destination]))
        return outcome.Outcomes(paths=tuple(ordered))

    def _next(self, left: "collections.deque[tuple[int, Job]]") -> tuple[int, Job] | None:
        """Take the first pair whose destination nobody asks; those of units that were given up cost nothing."""
        if self._under_way >= self.at_once:
            return None
        for at, (_, job) in enumerate(left):
            if job.destination_unit not in self._reserved:
                left.rotate(-at)
                chosen = left.popleft()
                left.rotate(at)
                self._under_way += 1
                self._reserved |= {job.destination_unit} - {""}
                return chosen
        return None

    async def _trace(self, at: int, job: Job, found: dict[int, outcome.Outcome]) -> None:
        counted = True

        def half_done() -> None:
            nonlocal counted
            self._under_way -= counted
            counted = False
            self._changed.set()

        try:
            found[at] = await self._outcome(job, half_done)
            self.by.tell(engine.Event(job.pair, "done", found[at].verdict))
        finally:
            self._reserved.discard(job.destination_unit)
            half_done()

    async def _outcome(self, job: Job, half_done: Callable[[], None]) -> outcome.Outcome:
        pair = job.pair
        silent = sorted({job.source_unit, job.destination_unit} & self.by.given_up)
        if silent:
            return _untold(pair, f"{' and '.join(silent)} did not answer before and was given up")
        try:
            return await self.by.trace(pair, self.settings, half_done=half_done)
        except errors.PathfinderError as error:
            return _untold(pair, str(error))


def _untold(pair: engine.Pair, why: str) -> outcome.Outcome:
    return outcome.Outcome(source=pair.source, destination=pair.destination, note=pair.note, problems=(why,))
