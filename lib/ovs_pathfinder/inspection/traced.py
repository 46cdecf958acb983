"""What came of a trace: its steps by Neutron's names, where the packet leaves, and whether it should leave there."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from .. import path
from ..evidence import record, theory
from ..vswitch import action, tables, trace
from . import subjects

_TEXTS = 40_000
"""Characters that are kept of the own texts of all traces of an answer, so that it fits into a result of Juju's."""
_TEXT = 8000
"""Characters that are kept of one."""
_CIRCLE = 3
"""How often a packet meets one flow where that sends it round in a circle."""
_DROPPED = ("br-int", 93)
"""Neutron's table for what the firewall drops; the flow before says why."""
_FLOOD = ("br-tun", 22)
"""Neutron's table that sends to all tunnels."""
_FOR_ALL = ("ff", "33", "01")
"""The first bytes of MAC addresses that are for many: broadcast, and multicast of IPv6 and IPv4."""

Outcome = Literal[record.Outcome, "unchecked"]
"""As of evidence; `unchecked` where it leaves by one port, and nobody knows whether that is the right one."""


class Step(path.Model):
    """One flow that the packet met."""

    bridge: str
    table: int
    name: str = ""
    """The table's meaning to Neutron."""
    priority: int | None = None
    """None where the table had no match."""
    match: str = ""
    cookie: str = ""
    actions: tuple[str, ...] = ()
    """What it did, with the trace's own remarks (`-> …`, `>> …`)."""
    times: int = 1
    """How often in a row."""

    @property
    def does(self) -> str:
        """What it did, for a narrow column: without remarks, and without what a flow learns.

        The `drop` that a trace prints below `ct(…)` is left out too: a copy of the packet goes on.
        """
        often = f"{self.times} times " if self.times > 1 else ""
        is_forked = any(one.startswith("ct(") for one in self.actions)
        kept = [one for one in self.actions if not one.startswith(("->", ">")) and not (is_forked and one == "drop")]
        done = ", ".join(kept)
        done = re.sub(r"\blearn\(.*\)", "learn(…)", done)
        return often + re.sub(r"\bNXM_NX_REG(\d+)\[0\.\.15\]", r"reg\1", done)

    def __str__(self) -> str:
        name = f" ({self.name})" if self.name else ""
        how = "no match" if self.priority is None else f"priority {self.priority}"
        return f"{self.bridge} table {self.table}{name}, {how}"


class Traced(path.Model):
    """One trace."""

    direction: subjects.Direction
    state: record.State = "untracked"
    ct_state: str = ""
    """The conntrack state with which the packet comes to the switch; empty for none."""
    outcome: Outcome = "unknown"
    verdict: str = ""
    """A sentence, without its full stop."""
    reason: str = ""
    """In the trace's own words."""
    expected: str = ""
    """Where it should leave; empty where that is not known."""
    outputs: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    flow: str
    command: str
    megaflow: str = ""
    """The datapath's flow whose key this is, as it was printed."""
    does: str = ""
    """What that flow really does, in words."""
    agrees: bool | None = None
    """Whether the tables would give that flow the actions that it has; None where there is none or it is not known."""
    unknown: tuple[str, ...] = ()
    """Lines that were not understood."""
    text: str = ""
    """What `ofproto/trace` printed, shortened."""

    @property
    def label(self) -> str:
        """Say which packet it is."""
        if self.megaflow:
            return "the datapath flow"
        return f"{'the packet' if self.direction == 'given' else self.direction}, {self.ct_state or 'untracked'}"

    def beside(self, other: "Traced") -> tuple[Step, ...]:
        """Return the flows that it met and another trace did not."""
        met = {(one.bridge, one.table, one.priority, one.match) for one in other.steps}
        return tuple(one for one in self.steps if (one.bridge, one.table, one.priority, one.match) not in met)

    @property
    def decisive(self) -> Step | None:
        """The flow at which the packet ends where that is no way out."""
        return deciding(self.steps) if self.outcome in ("dropped", "failed") else None


def blank(asked: subjects.Asked, subject: subjects.Subject, why: str = "") -> Traced:
    """Return what is known of a trace before it is made, or where it could not be."""
    place = asked.place
    expected = ""
    if place is not None:
        expected = name(place.expected, subject.names)
    return Traced(
        direction=asked.direction,
        state=asked.state,
        ct_state=asked.ct_state,
        expected=expected,
        flow=asked.flow,
        command=asked.command,
        megaflow=asked.megaflow.raw if asked.megaflow else "",
        reason=why,
        verdict=f"could not be traced: {why}" if why else "",
    )


def judge(found: trace.Trace, asked: subjects.Asked, subject: subjects.Subject) -> Traced:
    """Say what came of a trace."""
    way = found.follow(asked.place.vlan if asked.place else None, subject.bonds)
    outcome, reason = _checked(found, asked.place, way) if asked.place else _unchecked(found, subject, way)
    kept = min(_TEXT, _TEXTS // max(1, len(subject.asked)))
    blank_ = blank(asked, subject)
    wanted = (name(one, subject.names) for one in way.outputs if asked.place and asked.place.expects(one))
    traced = blank_.model_copy(
        update={
            "outcome": outcome,
            "reason": reason,
            "expected": next(wanted, blank_.expected),  # where several ports are as good, the one that it leaves by
            "outputs": tuple(name(one, subject.names) for one in way.outputs),
            "steps": tuple(_steps(found.steps)),
            "unknown": found.unknown[:20],
            "text": found.text[:kept] + ("\n[shortened]\n" if len(found.text) > kept else ""),
        }
    )
    if asked.megaflow is not None:
        real, told = asked.megaflow.actions, next(iter(found.datapath_actions), None)
        agrees = False if found.failure else _agree(real, told, subject)
        traced = traced.model_copy(update={"does": _effect(real, subject), "agrees": agrees})
    return traced.model_copy(update={"verdict": _verdict(traced)})


def name(output: action.Output, names: Mapping[str, str]) -> str:
    """Name a way out: a device rather than its number in the datapath."""
    return str(output) if output.remote else names.get(output.port, str(output))


def _checked(found: trace.Trace, place: theory.Place, way: trace.Way) -> tuple[Outcome, str]:
    """Say where a trace ends, as `theory.judge` does, and whether it came to its tunnel by a flood.

    With one tunnel a flood looks like delivery. On the other hand br-int knows no MAC address behind a tunnel, as what
    comes from there passes no NORMAL (Neutron's tables 81 and 82): it floods, and br-tun alone tells where to.
    """
    outcome, reason = theory.judge(found, place, place.vlan)
    if not place.expected_remote or outcome not in ("forwarded", "flooded"):
        return outcome, reason
    if any((step.bridge, step.table) == _FLOOD for step in found.steps):
        return "flooded", reason
    is_one_host = len({(one.remote, one.key) for one in way.outputs if one.remote}) == 1
    return ("forwarded" if is_one_host else outcome), reason


def _unchecked(found: trace.Trace, subject: subjects.Subject, way: trace.Way) -> tuple[Outcome, str]:
    """Say where a trace ends of which nobody knows where it should."""
    if found.failure:
        return "failed", found.failure
    if not found.steps:
        return "unknown", "the trace could not be read"
    if way.unfollowed:
        return "not-followed", "; ".join(way.unfollowed)
    remark = found.warnings[-1] if found.warnings else ""
    listened = [one for one in way.outputs if name(one, subject.names) not in subject.bridges]
    if not listened:
        return ("not-followed", theory.TO_CONTROLLER) if theory.is_handed_over(found, way) else ("dropped", remark)
    return ("unchecked" if len(way.outputs) == 1 else "flooded"), remark


def _steps(steps: Sequence[trace.Step]) -> Iterator[Step]:
    """Yield the steps; a flow that is met several times in a row stands there once."""
    last: Step | None = None
    for one in steps:
        step = Step(
            bridge=one.bridge,
            table=one.table,
            name=tables.name(one.bridge, one.table),
            priority=one.priority,
            match=one.match,
            cookie=one.cookie,
            actions=one.actions,
        )
        if last is not None and _is_same(last, step):
            last = last.model_copy(update={"times": last.times + 1, "actions": step.actions})
            continue
        if last is not None:
            yield last
        last = step
    if last is not None:
        yield last


def _is_same(first: Step, second: Step) -> bool:
    return (first.bridge, first.table, first.priority, first.match) == (
        second.bridge,
        second.table,
        second.priority,
        second.match,
    )


def _agree(real: str, told: str | None, subject: subjects.Subject) -> bool | None:
    """Say whether two lists of actions do the same; None where not all of either is known."""
    if "slow_path(" in real:  # ovs-vswitchd then follows the tables itself, for each packet
        return True
    if told is None or any(action.follow(one).unknown for one in (real, told)):
        return None
    return _effect(real, subject) == _effect(told, subject)


def _effect(actions: str, subject: subjects.Subject) -> str:
    """Say in words what datapath actions do, in the same words whether ports are printed by name or by number."""
    found, words = action.follow(actions), {part.partition("(")[0] for part in action.split(actions)}
    numbers = {device: number for number, device in subject.names.items()}
    sent = [one.model_copy(update={"port": numbers.get(one.port, one.port)}) for one in found.outputs]
    bonds = [subject.bonds[one.number] for one in found.forks if one.leaving and one.number in subject.bonds]
    ways = sorted({*(name(one, subject.names) for one in sent), *(f"bond {one}" for one in bonds)})
    said = ["sends it through conntrack"] if len(found.forks) > len(bonds) else []
    said += ["takes it out of its tunnel"] if "tnl_pop" in words else []
    said += ["hands it to the OpenFlow controller"] if found.to_controller else []
    said += ["hands it to ovs-vswitchd"] if "userspace" in words and not found.to_controller else []
    said += [f"sends it to {', '.join(ways)}"] if ways else []
    return " and ".join([*said, *found.unknown]) or "drops it"


def _verdict(traced: Traced) -> str:
    if traced.megaflow:
        return _of_megaflow(traced)
    if traced.outcome == "failed":
        return f"translation failed, {_lower(traced.reason)}{_circle(traced)}"
    if traced.outcome == "unknown":
        return f"could not be understood: {traced.reason}"
    if traced.outcome == "not-followed":
        return f"could not be followed to its end: {traced.reason}"
    if traced.outcome == "dropped":
        return f"is dropped{end(traced)}{_remark(traced)}"
    ways = _listed(traced.outputs)
    if traced.outcome == "forwarded":
        return _as_it_should(traced)
    if traced.outcome == "flooded":
        if _is_for_all(traced.flow):
            return f"goes to {ways}, as what is for all should"
        return f"is flooded, to {ways}: that is no delivery, it shows that the switch does not know the MAC address"
    leaves = _leaves(traced.outputs)
    if traced.outcome == "unchecked":
        return f"{leaves} {ways}; whether it should is not known{_remark(traced)}"
    return f"{leaves} {ways} instead of {traced.expected}{_remark(traced)}"


def _leaves(outputs: Sequence[str]) -> str:
    return "leaves by" if any(one.startswith("the tunnel") for one in outputs) else "reaches"


def _as_it_should(traced: Traced) -> str:
    copies = [one for one in traced.outputs if one != traced.expected and not one.startswith("br-")]
    copied = f"; NORMAL of br-int floods it to {_listed(copies)} as well" if copies else ""
    return f"{_leaves([traced.expected])} {traced.expected}, as it should{copied}{_remark(traced)}"


def _of_megaflow(traced: Traced) -> str:
    if traced.outcome == "failed":
        return f"{traced.does}; what the tables would do cannot be told: {_lower(traced.reason)}{_circle(traced)}"
    if traced.agrees:
        return f"{traced.does}, as the tables say"
    if traced.agrees is None:
        return f"{traced.does}; what the tables would do cannot be told: {traced.reason or 'the trace ends early'}"
    would = f"reach {_listed(traced.outputs)}" if traced.outputs else f"be dropped{end(traced)}"
    if traced.outcome == "not-followed":
        would = f"do something else ({traced.reason})"
    return f"{traced.does}, but by the tables it would {would}: the datapath does not do what the flows say"


def _listed(outputs: Sequence[str]) -> str:
    kept = list(dict.fromkeys(outputs))
    return ", ".join(kept[:5]) + (f" and {len(kept) - 5} more" if len(kept) > 5 else "")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _remark(traced: Traced) -> str:
    """Return the trace's own remark, unless it says what is said already."""
    return f" ({traced.reason})" if traced.reason and not traced.reason.startswith("it leaves by") else ""


def _circle(traced: Traced) -> str:
    """Name the tables that send the packet round in a circle."""
    last = [one.table for one in traced.steps[-_CIRCLE * 4 :]]
    longest = max(traced.steps, key=lambda one: one.times, default=None)
    if longest is not None and longest.times >= _CIRCLE:
        return f": table {longest.table} resubmits to itself"
    tables_ = sorted({table for table in last if last.count(table) >= _CIRCLE})
    return f": tables {' and '.join(map(str, tables_))} resubmit to each other" if tables_ else ""


def end(traced: Traced) -> str:
    """Say which flow decided that a packet goes nowhere."""
    decisive = deciding(traced.steps)
    return f" in {decisive}" if decisive is not None else ""


def deciding(steps: Sequence[Step]) -> Step | None:
    """Return the flow at which a packet ends: the last one, or the one that sent it to Neutron's table for drops."""
    own = [one for one in steps if (one.bridge, one.table) != _DROPPED]
    return own[-1] if own else steps[-1] if steps else None


def _is_for_all(flow: str) -> bool:
    _, _, mac = flow.partition("dl_dst=")
    return mac[:2] in _FOR_ALL


def differ(traces: Sequence[Traced]) -> bool:
    """Say whether conntrack's state decides what becomes of a packet."""
    return len({(one.outcome, one.outputs) for one in traces if one.outcome != "unknown"}) > 1
