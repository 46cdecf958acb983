"""Trials: change one thing for a moment, send the probe again, and put it back: before, during, after.

Any change of flows makes the switch look at its datapath flows again, and may heal for a moment what it was not meant
for: so the first packet after each change only wakes the switch, and the round after the undo must fail again.
"""

import contextlib
import datetime
import math
import secrets
import time
from collections.abc import Callable, Generator, Mapping
from typing import Literal

from .. import cloud, errors, path, process
from ..temporary import flows, journal, port_security, protocol
from ..vswitch import flow
from . import beacon, bypass, local, practice, probe, record, watch

_PRIORITIES = range(40_961, 40_971)
"""Above all that Neutron's agent uses in table 0, below its 65535 for the dead VLAN."""
_WAKE = 0.3
"""Seconds that the answer of the packet which wakes the switch is waited for."""
_SLACK = 8.0
"""Seconds that a change may live beyond the packets' own time: processes start, the other unit is told."""
_TURN = 15.0
"""Seconds beyond the packets' own time that the other unit's turn is waited for."""
_API = 45.0
"""Seconds that Neutron may take, in all."""
_POLL = 0.3
_LAG = 0.2
"""Seconds that a capture may lag behind the tool that sent."""
Log = Callable[[str], None]


class _Stage:
    """One unit's part: it watches this host, sends where it is the source's, and hears the other unit."""

    def __init__(self, plan: path.Plan, unit: str, settings: probe.Settings, log: Log) -> None:
        self.plan = plan
        self.settings = settings
        self.here = local.Local(plan, unit)
        self.log = log
        self.spent = 0.0
        """Seconds that the latest round took."""
        self.forgets = False
        """Whether this host is to ask for the destination's MAC address each time anew."""
        far = self.here.far
        self.addresses = (far.tunnel_address, far.management_address) if far and far.unit else ()
        self.nonce = secrets.token_hex(4)
        self.watching = watch.Watch(plan, self.nonce, self.addresses, self.here.tunnel_ports)

    @property
    def sends(self) -> bool:
        """Whether this unit is the source's."""
        return "source" in self.here.roles

    @contextlib.contextmanager
    def open(self) -> Generator[None]:
        """Watch, for as long as the context lasts."""
        try:
            practice.watch_all(self.here, self.watching)
            self.watching.wait_ready()
            yield
        finally:
            self.watching.stop()

    def round(self, name: str, turn: Callable[[], None] | None = None) -> record.Attempt:
        """Send the packets and count them, or, on the other unit, count them while its turn lasts."""
        begun = time.monotonic()
        if self.sends:
            self.answers()
        start = self._counts()
        sent, answered = 0, 0
        if turn is not None:
            turn()
        else:
            found = self._send(self.settings)
            sent, answered = found.transmitted, found.answered
            if not sent:
                raise errors.PathfinderError(f"nothing could be sent, so nothing can be tried: {_last_line(found)}")
            self.watching.wait_for(lambda: self._has_seen(found, start), _LAG)
            self.log(f"{name}: {answered} of {sent} packets were answered")
        self.spent = time.monotonic() - begun
        end = self._counts()
        seen = {key: end[key] - start.get(key, 0) for key in end}
        return record.Attempt(
            sent=sent,
            answered=answered,
            forward={point: count for (point, direction), count in seen.items() if direction == "forward"},
            reply={point: count for (point, direction), count in seen.items() if direction == "reply"},
        )

    def _has_seen(self, found: record.Probe, start: Mapping[tuple[path.Point, path.Direction], int]) -> bool:
        """Whether the capture at the source's port has come as far as the tool that sent."""
        wanted: dict[path.Direction, int] = {"forward": found.transmitted, "reply": found.answered}
        return all(
            self.watching.seen("source-port", each) - start.get(("source-port", each), 0) >= count
            for each, count in wanted.items()
        )

    def answers(self) -> bool:
        """Send one packet that is not counted, and return whether it was answered."""
        if self.forgets:
            self._forget()
        return self._send(self.settings.model_copy(update={"count": 1, "patience": _WAKE}), "wake").answered > 0

    def _send(self, settings: probe.Settings, purpose: Literal["probe", "wake"] = "probe") -> record.Probe:
        device = self.here.devices["source"]
        if not device.present or self.plan.source.address not in device.addresses:
            raise errors.PathfinderError(
                f"nothing can be sent, as {self.plan.source.address} is not an address of {device.name} on this host"
            )
        already = self.watching.seen("source-port", "reply")
        return probe.send(
            self.plan,
            device.name,
            settings,
            secrets.token_hex(4),
            lambda: self.watching.seen("source-port", "reply") - already >= settings.count,
            purpose,
        )

    def _counts(self) -> dict[tuple[path.Point, path.Direction], int]:
        directions: tuple[path.Direction, ...] = ("forward", "reply")
        points: list[path.Point] = [one.point for one in self.watching.observations() if not one.error]
        return {(point, each): self.watching.seen(point, each) for point in points for each in directions}

    @property
    def is_cold(self) -> bool:
        """Whether this host asked for the destination's MAC address and, without it, sent no packet of the probe."""
        seen = [one for one in self.watching.observations() if not one.error]
        return any(one.neighbours.solicited for one in seen) and not any(one.forward for one in seen)

    @property
    def only_asks(self) -> bool:
        """Whether one of the two ends asked for the other's MAC address, and nothing came of it."""
        seen = [one for one in self.watching.observations() if not one.error]
        asked_back = any(one.neighbours.solicited_back for one in seen) and not any(one.reply for one in seen)
        return self.is_cold or asked_back

    def _forget(self) -> None:
        """Take out of the neighbour table what only the trial put there."""
        entry = [self.plan.destination.address, "dev", self.here.devices["source"].name]
        with contextlib.suppress(process.ProcessError):  # the kernel has forgotten it, too
            process.run(["ip", "neigh", "del", *entry])


def try_flows(
    plan: path.Plan,
    unit: str,
    settings: probe.Settings,
    *,
    at: path.Role,
    wait: float,
    book: journal.Journal,
    longest: float,
    log: Log = lambda _: None,
) -> record.Trial:
    """Let the probe's packets pass br-int by NORMAL flows for a moment, at one end of the path.

    At the source's end its unit does all; at the destination's both units must run this, and take turns.

    Args:
        plan: The path.
        unit: The unit that this runs on.
        settings: What the source sends in each round.
        at: The end of the path whose switch gets the flows.
        wait: Seconds that the other unit is waited for.
        book: This unit's journal.
        longest: Seconds that a change may live.
        log: Is told of each stage, in words.

    Raises:
        PathfinderError: The trial cannot be made here; nothing is left.
    """
    stage = _Stage(plan, unit, settings, log)
    changes = at in stage.here.roles
    if not changes and not stage.sends:
        raise errors.PathfinderError(
            f"the flows are tried at the source, which {plan.source.unit} does alone; run this there, or with "
            "at=destination on both units in one command"
        )
    end = plan.endpoint(at)
    blank = record.Trial(
        trial="flows",
        run=plan.run,
        unit=unit,
        role=at,
        started=_now(),
        change=f"NORMAL flows for this traffic on {bypass.BRIDGE} of {end.principal or end.unit or end.port.host}",
    )
    seconds = settings.longest + _WAKE + _SLACK
    _refuse_long(seconds, longest)
    _refuse_leftovers(book, "try-flows", plan)
    with stage.open():
        if changes and stage.sends:
            return _alone(stage, blank, _Normal(stage, at, book, seconds))
        signals = beacon.Beacon(plan, stage.nonce, stage.addresses)
        try:
            if changes:
                return _as_destination(stage, blank, signals, wait, _Normal(stage, at, book, seconds))
            return _as_source(stage, blank, signals, wait)
        finally:
            signals.done()


def try_port_security(
    plan: path.Plan,
    unit: str,
    settings: probe.Settings,
    *,
    of: path.Role,
    settle: float,
    credentials: cloud.Credentials,
    book: journal.Journal,
    longest: float,
    log: Log = lambda _: None,
) -> record.Trial:
    """Take the port security off one end's port for a moment; it runs on the source's unit.

    Args:
        plan: The path.
        unit: The unit that this runs on.
        settings: What the source sends in each round.
        of: The end of the path whose port it is.
        settle: Seconds that Neutron's agent may take to write the port's flows anew, each time.
        credentials: How to sign in to the cloud.
        book: This unit's journal.
        longest: Seconds that a change may live.
        log: Is told of each stage, in words.

    Raises:
        PathfinderError: The trial cannot be made here; nothing is left.
    """
    stage = _Stage(plan, unit, settings, log)
    if not stage.sends:
        raise errors.PathfinderError(f"{unit} cannot send the probe; run this on the source's unit, {plan.source.unit}")
    port = plan.endpoint(of).port
    label = port.name or port.id
    blank = record.Trial(
        trial="port-security",
        run=plan.run,
        unit=unit,
        role=of,
        started=_now(),
        change=f"port security of port {label} off",
    )
    seconds = settings.longest + settle + _API
    _refuse_long(seconds, longest)
    _refuse_leftovers(book, "try-port-security", plan)
    with cloud.connect(credentials) as openstack:
        kind = port_security.read(openstack, port.id, label)
    with stage.open():
        return _alone(stage, blank, _Unprotected(stage, kind, credentials, book, seconds, settle))


def _alone(stage: _Stage, blank: record.Trial, change: "_Normal | _Unprotected") -> record.Trial:
    """Make the change and send, all on this unit."""
    before = stage.round("before")
    if before.sent and before.answered == before.sent:
        return blank.model_copy(update={"before": before, "problem": _FINE.format(before.sent)})
    is_cold = stage.is_cold
    with change.made() as made:
        change.settle(healthy=True)
        during = stage.round("during")
        spent = stage.spent
    stage.forgets = is_cold
    change.settle(healthy=False)
    after = stage.round("after")
    return blank.model_copy(
        update={"before": before, "during": during, "after": after, **change.told(), **_ended(made, spent)}
    )


_FINE = "All {} packets were answered before anything was changed, so there was nothing to try."


def _as_source(stage: _Stage, blank: record.Trial, signals: beacon.Beacon, wait: float) -> record.Trial:
    """Send, in turns with the unit that makes the change."""
    other = stage.here.far.unit if stage.here.far else ""
    if not _hears(stage, "watching", wait):
        raise errors.PathfinderError(
            f"{other or 'the other unit'} was not heard within {wait:g} s; run try-flows with at=destination on both "
            "units in one command"
        )
    before = stage.round("before")
    if before.sent and before.answered == before.sent:
        return blank.model_copy(update={"before": before, "problem": _FINE.format(before.sent)})
    is_cold = stage.is_cold
    signals.say("ready")
    if not _hears(stage, "changed", _TURN):
        why = f"{other} did not say that it had made the change; see what its own action answered."
        return blank.model_copy(update={"before": before, "problem": why})
    during = stage.round("during")
    signals.say("tried")
    restored = _hears(stage, "restored", _TURN)
    stage.forgets = is_cold
    after = stage.round("after")
    signals.say("done")
    why = "" if restored else f"{other} did not say that it had undone the change; see what its own action answered."
    return blank.model_copy(update={"before": before, "during": during, "after": after, "problem": why})


def _as_destination(
    stage: _Stage, blank: record.Trial, signals: beacon.Beacon, wait: float, change: "_Normal"
) -> record.Trial:
    """Make the change, in turns with the unit that sends."""
    other = stage.here.far.unit if stage.here.far else ""
    patience = stage.settings.longest + _TURN
    if not _hears(stage, "watching", wait):
        raise errors.PathfinderError(
            f"{other or 'the source'} was not heard within {wait:g} s, and nothing was changed; run try-flows with "
            "at=destination on both units in one command"
        )
    before = stage.round("before", lambda: _until(stage, patience, "ready", "done"))
    if not stage.watching.heard("ready"):
        why = f"{other} did not ask for the change, and nothing was changed."
        return blank.model_copy(update={"before": before, "problem": why})
    with change.made() as made:
        signals.say("changed")
        during = stage.round("during", lambda: _until(stage, stage.settings.longest + _WAKE + _SLACK / 2, "tried"))
        spent = stage.spent
    signals.say("restored")
    found = {"before": before, "during": during, **change.told(), **_ended(made, spent)}
    if not stage.watching.heard("tried"):
        why = f"{other} did not say that it had sent anything with the change; see what its own action answered."
        return blank.model_copy(update={**found, "problem": why})
    found["after"] = stage.round("after", lambda: _until(stage, patience, "done"))
    return blank.model_copy(update=found)


def _hears(stage: _Stage, purpose: probe.Purpose, seconds: float) -> bool:
    return stage.watching.wait_for(lambda: bool(stage.watching.heard(purpose)), seconds)


def _until(stage: _Stage, seconds: float, *purposes: probe.Purpose) -> None:
    stage.watching.wait_for(lambda: any(stage.watching.heard(one) for one in purposes), seconds)


class _Normal:
    """NORMAL flows for the probe's traffic."""

    def __init__(self, stage: _Stage, role: path.Role, book: journal.Journal, seconds: float) -> None:
        self._stage = stage
        self._ways = bypass.ways(stage.here, role)
        self._book = book
        self._seconds = seconds
        self._kind: flows.Flows | None = None
        self._learned = False

    @contextlib.contextmanager
    def made(self) -> Generator[protocol.Made]:
        """Add the flows at the first priority that is free."""
        plan = self._stage.plan
        taken = {one.priority for one in flow.dump(bypass.BRIDGE, "table=0")}
        priority = next((one for one in _PRIORITIES if one not in taken), _PRIORITIES[0])
        self._learned = self._stage.only_asks and not self._stage.is_cold
        rules = bypass.rules(plan, self._ways, priority, neighbours=self._stage.only_asks)
        kind = self._kind = flows.Flows(bridge=bypass.BRIDGE, cookie=flows.new_cookie(), rules=rules)
        self._stage.log(f"making the change: {kind.describe()}")
        with protocol.temporarily(self._book, kind, seconds=self._seconds, action="try-flows", run=plan.run) as made:
            yield made

    def settle(self, *, healthy: bool) -> None:
        """Wait for nothing: flows work at once."""

    def told(self) -> dict[str, object]:
        """Return what was changed, as commands, and what it taught others."""
        if self._kind is None:
            return {}
        # With what ends it: whoever pastes it leaves nothing behind, either.
        head = f"cookie={self._kind.cookie},hard_timeout={int(self._seconds)}"
        commands = tuple(f"ovs-ofctl add-flow {bypass.BRIDGE} '{head},{rule}'" for rule in self._kind.rules)
        return {"commands": commands, "learned": self._learned}


class _Unprotected:
    """A port without port security."""

    def __init__(
        self,
        stage: _Stage,
        kind: port_security.PortSecurity,
        credentials: cloud.Credentials,
        book: journal.Journal,
        seconds: float,
        settle: float,
    ) -> None:
        self._stage = stage
        self._kind = kind
        self._credentials = credentials
        self._book = book
        self._seconds = seconds
        self._settle = settle

    @contextlib.contextmanager
    def made(self) -> Generator[protocol.Made]:
        """Take it off."""
        self._stage.log(f"making the change: {self._kind.describe()}")
        with protocol.temporarily(
            self._book,
            self._kind,
            seconds=self._seconds,
            action="try-port-security",
            run=self._stage.plan.run,
            credentials=self._credentials,
        ) as made:
            yield made

    def settle(self, *, healthy: bool) -> None:
        """Wait until Neutron's agent has followed, as far as packets show it."""
        end = time.monotonic() + self._settle
        while self._stage.answers() is not healthy and time.monotonic() < end:
            time.sleep(_POLL)

    def told(self) -> dict[str, object]:
        """Return what was changed, as a command."""
        off = "--no-security-group --no-allowed-address --disable-port-security"
        return {"commands": (f"openstack port set {off} {self._kind.port}",)}


def _ended(made: protocol.Made, spent: float) -> dict[str, object]:
    return {
        "lived": round(made.seconds, 3),
        "exposure": round(max(0.0, made.seconds - spent), 3),
        "outcome": made.outcome.text if made.outcome and made.outcome.state != "conflict" else "",
        "left": made.left,
        "problem": _interrupted(made),
    }


def _interrupted(made: protocol.Made) -> str:
    if made.outcome is not None and made.outcome.state == "conflict":
        return "Others changed the same meanwhile, so this trial tells nothing."
    if made.outcome is None:
        return "The change could not be undone at once, so this trial tells nothing."
    if made.outcome.state == "undone":
        return ""
    return "The change was gone before the trial had ended (the switch or Neutron's agent restarted?): try again."


def _refuse_leftovers(book: journal.Journal, action: str, plan: path.Plan) -> None:
    """Refuse before anything is sent what could not be changed; a change that is under way is no leftover."""
    if not book.is_empty():
        with book.lock(f"{action} of run {plan.run}"):
            protocol.refuse_leftovers(book)


def _refuse_long(seconds: float, longest: float) -> None:
    if seconds > longest:
        raise errors.PathfinderError(
            f"the change may live for {math.ceil(seconds)} s in this trial, and max-change-duration allows "
            f"{longest:.0f} s; lower count or interval, or raise max-change-duration"
        )


def _last_line(found: record.Probe) -> str:
    return " ".join((found.output.splitlines() or ["the probe did not say why"])[-1].split())[:200]


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
