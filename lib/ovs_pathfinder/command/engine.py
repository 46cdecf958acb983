"""What an operator would do by hand for one path: plan, probe on all units at once, report, and try what it calls for.

It asks through a client, prints nothing, and returns data. Where it is cancelled, the client cancels the actions that
run, and `tidy` takes back what they may have left.
"""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

from .. import document, errors, path
from ..diagnosis import trials, verdict
from ..evidence import record, wire
from ..report import outcome
from . import juju
from . import turns as turns_

Trial = Literal["ask", "auto", "flows", "port-security", "none"]
"""Which trial is made: the one that the diagnosis calls for, after a question or without; a certain one; none."""
Stage = Literal["plan", "probe", "report", "trial", "done"]
RETRIES = 3
"""How often a plan is asked for where the leader changes between being looked up and being asked."""
RETRY_AFTER = 1.0
"""Seconds between two of them."""
_LONGEST = 1_000_000
"""Characters of a result; Linux lets a unit set fewer."""
CLEAN_UP = 60.0
"""Seconds that a unit may take to clean up, or to report."""


class Client(Protocol):
    """Who runs actions: `juju.Juju`, or the client of a suite of tests."""

    async def run(
        self, unit: str, action: str, params: Mapping[str, Any], *, within: float, log: juju.Log | None = None
    ) -> juju.Answer:
        """Run an action as `juju.Juju.run` does; where the caller is cancelled, so is the action."""
        ...


@dataclasses.dataclass(frozen=True)
class Pair:
    """The two ends of a path, as plan-path takes them."""

    source: str
    destination: str
    note: str = ""
    """What else is known of the destination."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is sent, and how long is waited for whom."""

    protocol: path.Protocol = "icmp"
    port: int | None = None
    count: int = 5
    interval: float = 0.2
    size: int = 56
    wait: float = 10.0
    """Seconds that two units wait for each other."""
    settle: float = 8.0
    """Seconds that Neutron's agent may take to follow a change of port security."""
    patience: float = 60.0
    """Seconds that an action may take beyond what it sends and waits for."""

    @property
    def plan(self) -> dict[str, Any]:
        """The parameters of plan-path but for the two ends."""
        return {"protocol": self.protocol, **({} if self.port is None else {"port": self.port})}

    @property
    def packets(self) -> dict[str, Any]:
        """The parameters of all that sends packets."""
        return {"count": self.count, "interval": self.interval, "size": self.size}

    def longest(self, rounds: int = 1, settle: float = 0.0) -> float:
        """Return the seconds after which an action that sends so many rounds of packets is given up."""
        return rounds * (self.count * self.interval + self.wait) + 2 * settle + self.patience


@dataclasses.dataclass(frozen=True)
class Event:
    """One step on the way, for whoever shows progress."""

    pair: Pair
    stage: Stage
    text: str
    """What begins or was said, in words; empty where the stage is over."""
    unit: str = ""


Tell = Callable[[Event], None]
Keep = Callable[[str, str, record.Captures], None]
"""Is given a run, a unit, and the packets that the unit captured."""
Confirm = Callable[[str], Awaitable[bool]]
Model = TypeVar("Model", bound=path.Model)


def _do_nothing() -> None:
    """Need not know."""


@dataclasses.dataclass
class _Way:
    """How far one path has come."""

    pair: Pair
    run: str = ""
    half_done: Callable[[], None] = _do_nothing
    evidence: list[str] = dataclasses.field(default_factory=list[str])
    problems: list[str] = dataclasses.field(default_factory=list[str])
    began: float = dataclasses.field(default_factory=time.monotonic)


def _hear_nothing(_: Event) -> None:
    """Show no progress."""


async def never(_: str) -> bool:
    """Answer a question where nobody can be asked."""
    return False


@dataclasses.dataclass
class Engine:
    """The charm's application in one model, and who is told of progress."""

    client: Client
    application: str = "ovs-pathfinder"
    tell: Tell = _hear_nothing
    turns: turns_.Turns = dataclasses.field(default_factory=turns_.Turns)
    unsettled: set[str] = dataclasses.field(default_factory=set[str])
    """Units whose action was cut off, and that have not cleaned up since."""
    given_up: set[str] = dataclasses.field(default_factory=set[str])
    """Units that did not answer in time; they are asked no more."""
    keep: Keep | None = None
    """Without it, units keep no packets."""

    @property
    def leader(self) -> str:
        """The target that Juju takes for the leader, whoever that is when it is asked."""
        return f"{self.application}/leader"

    async def trace(
        self,
        pair: Pair,
        settings: Settings,
        trial: Trial = "none",
        confirm: Confirm = never,
        half_done: Callable[[], None] = _do_nothing,
    ) -> outcome.Outcome:
        """Find out where packets stop on one path.

        Args:
            pair: The ends of the path.
            settings: What is sent.
            trial: Which trial is made.
            confirm: Answers whether a trial may be made, for `ask`.
            half_done: Is called when one of two units has answered, and the other may be silent for long.

        Raises:
            PathfinderError: The path could not be planned, or nothing was found out that could be reported.
        """
        way = _Way(pair, half_done=half_done)
        units = await self._plan(way, settings)
        params = {**settings.packets, "wait": settings.wait, **({"captures": True} if self.keep else {})}
        await self._together(way, "probe", units, "probe-path", params, settings.longest())
        if not way.evidence:
            raise errors.PathfinderError("; ".join(dict.fromkeys(way.problems)))
        found = await self._report(way)
        if (wanted := await _wanted(found, trial, confirm)) is not None:
            await self._try(way, wanted, settings)
            try:
                found = await self._report(way)
            except errors.PathfinderError as error:  # what was known before the trial is worth telling
                problems = (*way.problems, str(error))
                found = found.model_copy(update={"problems": tuple(dict.fromkeys(problems))})
        return found

    async def report(self, run: str) -> outcome.Outcome:
        """Return what is known of a run that was made before."""
        return await self._report(_Way(Pair("", ""), run=run))

    async def clean_up(self, unit: str, *, dry_run: bool = False) -> juju.Answer:
        """Undo now what is left of temporary changes on one unit."""
        return await self.client.run(unit, "clean-up", {"dry-run": True} if dry_run else {}, within=CLEAN_UP)

    async def tidy(self) -> list[str]:
        """Clean up after an interruption on every unit whose action was cut off; return a sentence on each."""

        async def on(unit: str) -> str:
            try:
                answer = await self.clean_up(unit)
            except errors.PathfinderError as error:
                return f"{unit}: not cleaned up: {error}; run clean-up there"
            self.unsettled.discard(unit)
            return f"{answer.unit}: {answer.results.get('summary', 'cleaned up')}"

        return await _all(on(unit) for unit in sorted(self.unsettled))

    async def _plan(self, way: _Way, settings: Settings) -> tuple[str, ...]:
        """Return the units on the path; the leader is looked up again where it changes meanwhile."""
        params = {"source": way.pair.source, "destination": way.pair.destination, **settings.plan}
        async with self.turns.at(self.leader):
            self._tell(way, "plan", "asking OpenStack for the path")
            for tried in range(RETRIES):
                try:
                    answer = await self.ask(self.leader, "plan-path", params, settings.patience, way.pair, "plan")
                    break
                except juju.ActionFailed as failure:
                    if "is not the leader" not in failure.message or tried == RETRIES - 1:
                        raise
                await asyncio.sleep(RETRY_AFTER)
            else:
                raise AssertionError  # the loop returns or raises
        way.run = result(answer, "run")
        self._tell(way, "plan", "", answer.unit)
        units = tuple(result(answer, "units").split())
        if not units:
            raise errors.PathfinderError(f"the plan of run {way.run} names no unit, so there is nothing to probe")
        return units

    async def _try(self, way: _Way, wanted: "_Wanted", settings: Settings) -> None:
        if wanted.kind == "flows":
            params = {"at": wanted.role, **settings.packets, "wait": settings.wait}
            await self._together(way, "trial", wanted.units, "try-flows", params, settings.longest(rounds=3))
        else:
            params = {"port": wanted.role, **settings.packets, "settle": settings.settle}
            limit = settings.longest(rounds=3, settle=settings.settle)
            await self._together(way, "trial", wanted.units, "try-port-security", params, limit)

    async def _together(
        self, way: _Way, stage: Stage, units: Sequence[str], action: str, params: Mapping[str, Any], limit: float
    ) -> None:
        """Run one action on several units at once, and keep the evidence of each that has some.

        What one unit cannot do keeps no other from its part, and each is free again as soon as it has answered.
        """

        async def on(unit: str) -> None:
            try:
                answer = await self.ask(unit, action, {"run": way.run, **params}, limit, way.pair, stage)
                way.evidence.append(wire.attributed(answer.unit, result(answer, "evidence")))
                if self.keep is not None and "captures" in answer.results:
                    self.keep(way.run, answer.unit, read(record.Captures, answer, "captures"))
                self._tell(way, stage, answer.results.get("summary", ""), unit)
            except errors.PathfinderError as error:
                way.problems.append(str(error))
                self._tell(way, stage, str(error), unit)
            finally:
                self.turns.free(unit)
                way.half_done()

        await self.turns.take(*units)
        self._tell(way, stage, f"{action} on {' and '.join(units)}")
        await _all(on(unit) for unit in units)
        self._tell(way, stage, "")

    async def _report(self, way: _Way) -> outcome.Outcome:
        params = {"run": way.run, "format": "json"}
        if way.evidence:
            params["evidence"] = "\n".join(way.evidence)
        async with self.turns.at(self.leader):
            self._tell(way, "report", "putting the evidence together")
            answer = await self.ask(self.leader, "path-report", params, CLEAN_UP, way.pair, "report")
        plan = read(path.Plan, answer, "path")
        found = outcome.Outcome(
            source=way.pair.source or plan.source.label,
            destination=way.pair.destination or plan.destination.label,
            note=way.pair.note,
            plan=plan,
            diagnosis=read(verdict.Diagnosis, answer, "diagnosis"),
            problems=tuple(dict.fromkeys(way.problems)),
            next=tuple(answer.results.get("next", "").splitlines()),
            seconds=round(time.monotonic() - way.began, 3),
        )
        if found.diagnosis is not None:  # whoever is asked for a trial next must know what it is about
            self._tell(way, "report", f"{found.verdict}: {found.diagnosis.summary}", answer.unit)
        return found

    async def ask(
        self, unit: str, action: str, params: Mapping[str, Any], within: float, pair: Pair, stage: Stage
    ) -> juju.Answer:
        """Run an action, and keep in mind which units are cut off or do not answer."""
        name = self.turns.unit(unit)
        if name in self.given_up:
            raise errors.PathfinderError(f"{name} was not asked again: it did not answer before and was given up")
        self.unsettled.add(name)
        try:
            answer = await self.client.run(
                unit, action, params, within=within, log=lambda line: self.tell(Event(pair, stage, line, name))
            )
        except juju.TooLate as late:
            self.given_up |= {name, late.unit}
            raise
        except errors.PathfinderError:
            self.unsettled.discard(name)
            raise
        self.unsettled.discard(name)
        if unit == self.leader:
            self.turns.aliases[unit] = answer.unit
        return answer

    def _tell(self, way: _Way, stage: Stage, text: str, unit: str = "") -> None:
        self.tell(Event(way.pair, stage, text, unit))


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """A trial that is to be made."""

    kind: Literal["flows", "port-security"]
    role: path.Role
    units: tuple[str, ...]


async def _wanted(found: outcome.Outcome, trial: Trial, confirm: Confirm) -> _Wanted | None:
    """Say which trial is to be made; none where no packets are lost, or the diagnosis calls for none."""
    plan, seen = found.plan, found.diagnosis
    if plan is None or seen is None or seen.verdict not in ("broken", "degraded"):
        return None
    if trial in ("flows", "port-security"):
        role: path.Role = "destination" if (seen.hop or "").startswith("destination") else "source"
        units = trials.units(plan, role) if trial == "flows" else (plan.source.unit,)
        return _Wanted(trial, role, units) if all(units) else None
    tried: list[tuple[str, path.Role]] = [(one.trial, one.role) for one in seen.trials]
    called = trials.called_for(plan, seen.verdict, seen.hop or "", tried)
    if called is None or trial == "none":
        return None
    where = plan.endpoint(called)
    question = (
        f"Packets stop in br-int of {where.principal or where.unit}. Shall flows let the probe's packets pass it for "
        "some seconds, to see whether its rules lose them? They are taken back in any case."
    )
    if trial == "ask" and not await confirm(question):
        return None
    return _Wanted("flows", called, trials.units(plan, called))


def result(answer: juju.Answer, key: str) -> str:
    """Return a result that an action must have."""
    if key not in answer.results:
        raise errors.PathfinderError(
            f"the answer of {answer.unit} lacks {key!r}: its charm is of another revision than this command; "
            "refresh the charm, or install the command of the charm's version"
        )
    return answer.results[key]


def read(model: type[Model], answer: juju.Answer, key: str) -> Model:
    """Read a result that is JSON."""
    text = result(answer, key)
    try:
        return document.read(model, text, most=_LONGEST)
    except errors.PathfinderError as error:
        raise errors.PathfinderError(
            f"{key!r} in the answer of {answer.unit} cannot be read, as it {error}: "
            "its charm is of another revision than this command"
        ) from error


Value = TypeVar("Value")


async def _all(doing: Iterable[Coroutine[Any, Any, Value]]) -> list[Value]:
    """Wait for all, whatever becomes of each; where this is cancelled, each is, and is waited for too."""
    ended = await asyncio.gather(*doing, return_exceptions=True)
    values: list[Value] = []
    for one in ended:
        if isinstance(one, BaseException):
            raise one
        values.append(one)
    return values
