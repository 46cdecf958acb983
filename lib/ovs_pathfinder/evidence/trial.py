"""Trials: change one thing for a moment, send the probe again, and put it back: before, during, after.

Any change of flows makes the switch look at its datapath flows again, and may heal for a moment what it was not meant
for: so the first packet after each change only wakes the switch, and the round after the undo must fail again.
"""

import contextlib
import datetime
import math
import time
from collections.abc import Generator

from .. import cloud, errors, path, words
from ..temporary import flows, journal, port_security, protocol
from ..vswitch import datapath, flow
from . import beacon, bypass, probe, record, session

_PRIORITIES = range(40_961, 40_971)
"""Above all that Neutron's agent uses in table 0, below its 65535 for the dead VLAN."""
_SLACK = 8.0
"""Seconds that a change may live beyond the packets' own time: processes start, the other unit is told."""
_TURN = 15.0
"""Seconds beyond the packets' own time that the other unit's turn is waited for."""
_API = 45.0
"""Seconds that Neutron may take, in all."""
_POLL = 0.3


def try_flows(
    plan: path.Plan,
    unit: str,
    settings: probe.Settings,
    *,
    at: path.Role,
    wait: float,
    book: journal.Journal,
    longest: float,
    log: session.Log = lambda _: None,
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
    part = session.Session(plan, unit, settings, log)
    changes = at in part.here.roles
    if not changes and not part.sends:
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
    seconds = settings.longest + session.WAKE + _SLACK
    _refuse_long(seconds, longest)
    _refuse_leftovers(book, "try-flows", plan)
    with part.open():
        if changes and part.sends:
            return _alone(part, blank, _Normal(part, at, book, seconds))
        signals = beacon.Beacon(plan, part.nonce, part.addresses)
        try:
            if changes:
                return _as_destination(part, blank, signals, wait, _Normal(part, at, book, seconds))
            return _as_source(part, blank, signals, wait)
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
    log: session.Log = lambda _: None,
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
    part = session.Session(plan, unit, settings, log)
    if not part.sends:
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
    with part.open():
        return _alone(part, blank, _Unprotected(part, kind, credentials, book, seconds, settle))


def _alone(part: session.Session, blank: record.Trial, change: "_Normal | _Unprotected") -> record.Trial:
    """Make the change and send, all on this unit."""
    before = part.round("before")
    if before.sent and before.answered == before.sent:
        return blank.model_copy(update={"before": before, "problem": _FINE.format(before.sent)})
    is_cold = part.is_cold
    with change.made() as made:
        change.settle(healthy=True)
        during = part.round("during")
        spent, met = part.spent, change.met()
    part.forgets = is_cold
    change.settle(healthy=False)
    after = part.round("after")
    return blank.model_copy(
        update={"before": before, "during": during, "after": after, "met": met, **change.told(), **_ended(made, spent)}
    )


_FINE = "All {} packets were answered before anything was changed, so there was nothing to try."


def _as_source(part: session.Session, blank: record.Trial, signals: beacon.Beacon, wait: float) -> record.Trial:
    """Send, in turns with the unit that makes the change."""
    other = part.here.far.unit if part.here.far else ""
    if not part.hears(wait, "watching"):
        raise errors.PathfinderError(
            f"{other or 'the other unit'} was not heard within {wait:g} s; run try-flows with at=destination on both "
            "units in one command"
        )
    before = part.round("before")
    if before.sent and before.answered == before.sent:
        return blank.model_copy(update={"before": before, "problem": _FINE.format(before.sent)})
    is_cold = part.is_cold
    signals.say("ready")
    if not part.hears(_TURN, "changed"):
        why = f"{other} did not say that it had made the change; see what its own action answered."
        return blank.model_copy(update={"before": before, "problem": why})
    during = part.round("during")
    signals.say("tried")
    restored = part.hears(_TURN, "restored")
    part.forgets = is_cold
    after = part.round("after")
    signals.say("done")
    why = "" if restored else f"{other} did not say that it had undone the change; see what its own action answered."
    return blank.model_copy(update={"before": before, "during": during, "after": after, "problem": why})


def _as_destination(
    part: session.Session, blank: record.Trial, signals: beacon.Beacon, wait: float, change: "_Normal"
) -> record.Trial:
    """Make the change, in turns with the unit that sends."""
    other = part.here.far.unit if part.here.far else ""
    patience = part.settings.longest + _TURN
    if not part.hears(wait, "watching"):
        raise errors.PathfinderError(
            f"{other or 'the source'} was not heard within {wait:g} s, and nothing was changed; run try-flows with "
            "at=destination on both units in one command"
        )
    before = part.round("before", lambda: part.hears(patience, "ready", "done"))
    if not part.watching.heard("ready"):
        why = f"{other} did not ask for the change, and nothing was changed."
        return blank.model_copy(update={"before": before, "problem": why})
    with change.made() as made:
        signals.say("changed")
        during = part.round("during", lambda: part.hears(part.settings.longest + session.WAKE + _SLACK / 2, "tried"))
        spent, met = part.spent, change.met()
    signals.say("restored")
    found = {"before": before, "during": during, "met": met, **change.told(), **_ended(made, spent)}
    if not part.watching.heard("tried"):
        why = f"{other} did not say that it had sent anything with the change; see what its own action answered."
        return blank.model_copy(update={**found, "problem": why})
    found["after"] = part.round("after", lambda: part.hears(patience, "done"))
    return blank.model_copy(update=found)


class _Normal:
    """NORMAL flows for the probe's traffic."""

    def __init__(self, part: session.Session, role: path.Role, book: journal.Journal, seconds: float) -> None:
        self._part = part
        self._ways = bypass.ways(part.here, role)
        self._book = book
        self._seconds = seconds
        self._kind: flows.Flows | None = None
        self._learned = False

    @contextlib.contextmanager
    def made(self) -> Generator[protocol.Made]:
        """Add the flows at the first priority that is free."""
        plan = self._part.plan
        taken = flow.priorities(bypass.BRIDGE, 0)
        priority = next((one for one in _PRIORITIES if one not in taken), _PRIORITIES[0])
        self._learned = self._part.only_asks and not self._part.is_cold
        rules = bypass.rules(plan, self._ways, priority, neighbours=self._part.only_asks)
        kind = self._kind = flows.Flows(bridge=bypass.BRIDGE, cookie=flows.new_cookie(), rules=rules)
        self._part.log(f"making the change: {kind.describe()}")
        with protocol.temporarily(self._book, kind, seconds=self._seconds, action="try-flows", run=plan.run) as made:
            yield made

    def settle(self, *, healthy: bool) -> None:
        """Wait for nothing: flows work at once."""

    def met(self) -> int | None:
        """Return how many packets the flows have taken; None where the switch does not say."""
        try:
            datapath.synchronise(time.monotonic())
            return sum(one.packets for one in self._kind.present()) if self._kind is not None else None
        except errors.PathfinderError:
            return None

    def told(self) -> dict[str, object]:
        """Return what was changed, as commands, and what it taught others."""
        if self._kind is None:
            return {}
        # With what ends it: whoever pastes it leaves nothing behind, either.
        head = f"cookie={self._kind.cookie},hard_timeout={int(self._seconds)}"
        commands = tuple(
            words.pasted("ovs-ofctl", "add-flow", bypass.BRIDGE, f"{head},{rule}") for rule in self._kind.rules
        )
        return {"commands": commands, "learned": self._learned}


class _Unprotected:
    """A port without port security."""

    def __init__(
        self,
        part: session.Session,
        kind: port_security.PortSecurity,
        credentials: cloud.Credentials,
        book: journal.Journal,
        seconds: float,
        settle: float,
    ) -> None:
        self._part = part
        self._kind = kind
        self._credentials = credentials
        self._book = book
        self._seconds = seconds
        self._settle = settle

    @contextlib.contextmanager
    def made(self) -> Generator[protocol.Made]:
        """Take it off."""
        self._part.log(f"making the change: {self._kind.describe()}")
        with protocol.temporarily(
            self._book,
            self._kind,
            seconds=self._seconds,
            action="try-port-security",
            run=self._part.plan.run,
            credentials=self._credentials,
        ) as made:
            yield made

    def settle(self, *, healthy: bool) -> None:
        """Wait until Neutron's agent has followed, as far as packets show it."""
        end = time.monotonic() + self._settle
        while self._part.answers() is not healthy and time.monotonic() < end:
            time.sleep(_POLL)

    def met(self) -> None:
        """Say nothing: a port counts no packets for its security groups."""

    def told(self) -> dict[str, object]:
        """Return what was changed, as a command."""
        off = ("--no-security-group", "--no-allowed-address", "--disable-port-security")
        return {"commands": (words.pasted("openstack", "port", "set", *off, self._kind.port),)}


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


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
