"""What would become of a traced packet without one flow: that of somebody else which it met.

A trace cannot leave a flow out. So the packet is taken as it came to that flow, the flow is looked up that would have
been next in the table, and `ofproto/trace-packet-out` (ovs-vswitchd(8)) says what becomes of the packet by its actions.
That has no side effects either; behind a recirculation it has to be asked once more, from the table that resumes.
"""

import re
from collections.abc import Mapping, Sequence

from .. import errors
from ..vswitch import cookie, database, fields, flow, trace
from . import local, record, synthetic, theory

_STEP = re.compile(r"^\s*\d{1,3}\. ")
_RESUMED = re.compile(r"pipeline will be resumed at table (\d+)")
_CONFLICT = "Recirculation conflict"
"""What a trace of actions ends with where the packet is recirculated."""
_PASSES = ("forwarded", "flooded")
_FLOWS = 3
"""How many flows of others on one packet's way are left out, one at a time."""
_PIECES = 4
"""How often a packet is followed behind a recirculation."""
_REWRITES = re.compile(r"\bset\((?:eth|ipv4|ipv6|tcp|udp|sctp|arp|nd|icmpv6)\([^()]*\)\)")
_ADDRESSES = re.compile(r"\b(?:src|dst|sip|tip|sha|tha|target|sll|tll|proto|type)=")


def examine(here: local.Local, cookies: Mapping[str, str], traced: record.Trace) -> record.Trace:
    """Add to a trace what would become of the packet without a flow that has not the agent's cookie.

    Args:
        here: The host.
        cookies: The agent's cookie on each bridge where it is known.
        traced: The trace; one without such a flow is returned as it is.
    """
    place = here.places.get(traced.direction)
    foreign = [one for one in dict.fromkeys(traced.steps) if one.cookie != cookies.get(one.bridge, one.cookie)]
    met = [one for one in foreign if one.priority is not None][:_FLOWS]
    if place is None or not met or traced.untraced:
        return traced
    found = [_examine(here.switch, cookies, place, traced, step) for step in met]
    telling = (one for one in found if one.outcome in _PASSES and (traced.outcome not in _PASSES or one.rewritten))
    return traced.model_copy(update={"without": next(telling, found[0])})


def _examine(
    switch: database.Switch,
    cookies: Mapping[str, str],
    place: theory.Place,
    traced: record.Trace,
    step: record.Step,
) -> record.Without:
    blank = record.Without(flow=step, owner=cookie.owner(step.cookie))
    whole = trace.parse(traced.text)
    at = next((number for number, one in enumerate(whole.steps) if _is_same(one, step)), None)
    packet = _packet_at(switch, whole, at) if at is not None else None
    if packet is None:
        return blank.model_copy(update={"reason": "how the packet comes to that flow is not known"})
    resumes = synthetic.resumed(traced.direction, traced.state) if traced.subject in ("plan", "seen") else ()
    try:
        table = flow.dump(step.bridge, f"table={step.table}")
        own = next((one for one in table if _is_flow(one, step)), None)
        blank = blank.model_copy(update={"actions": own.actions if own is not None else ""})
        instead = _next(table, step, packet, cookies)
        if instead is None:
            return blank.model_copy(update={"outcome": "dropped", "reason": "no other flow there matches the packet"})
        found, command = _execute(step.bridge, packet, instead.actions, resumes)
    except errors.PathfinderError as error:
        return blank.model_copy(update={"reason": str(error)})
    outcome, reason = theory.judge(found, place, fields.tag(packet))
    more = {"outcome": outcome, "reason": reason, "command": command, "rewritten": _rewritten(whole, found)}
    return blank.model_copy(update={"instead": instead.raw, **more})


def _is_same(one: trace.Step, step: record.Step) -> bool:
    return (one.table, one.priority, one.match, one.cookie) == (step.table, step.priority, step.match, step.cookie)


def _packet_at(switch: database.Switch, whole: trace.Trace, at: int) -> fields.Fields | None:
    """Return the packet as it comes to a step; None where it cannot be told."""
    first, text = _section(whole.text, at)
    packet: fields.Fields | None = fields.parse(text)
    for number in range(first, at):
        step, after = whole.steps[number], whole.steps[number + 1]
        packet = _behind(step, packet)
        if packet is not None and step.bridge != after.bridge:
            packet = _crossed(switch, step, step.bridge, after.bridge, packet)
        if packet is None:
            return None
    return packet


def _section(text: str, at: int) -> tuple[int, str]:
    """Return the number of the first step in the same section of a trace, and the packet that it begins with."""
    first, steps, packet = 0, 0, ""
    for line in text.splitlines():
        if line.startswith("Flow: "):
            first, packet = steps, line.removeprefix("Flow: ")
        elif _STEP.match(line):
            if steps == at:
                break
            steps += 1
    return first, packet


def _behind(step: trace.Step, packet: fields.Fields) -> fields.Fields | None:
    """Return the packet behind a step: after its actions, as far as the one that leads on."""
    for action in step.actions:
        if action.startswith(("goto_table:", "resubmit(")):
            break
        changed = fields.changed(packet, action)
        if changed is None:
            return None
        packet = changed
    return packet


def _crossed(
    switch: database.Switch, step: trace.Step, near: str, far: str, packet: fields.Fields
) -> fields.Fields | None:
    """Return the packet behind the patch port that joins two bridges; None where there is not just one."""
    bridges = {one.name: one.bridge for one in switch.interfaces}
    ends = [
        one.ofport
        for one in switch.interfaces
        if one.type == "patch" and one.bridge == far and bridges.get(one.options.get("peer", "")) == near
    ]
    if len(ends) != 1 or ends[0] is None:
        return None
    entry = (one for one in switch.interfaces if (one.bridge, str(one.ofport)) == (near, packet.get("in_port")))
    access = next((one.tag for one in entry), None) if "NORMAL" in step.actions else None
    return fields.behind_patch(packet, ends[0], access if fields.tag(packet) is None else None)


def _next(
    table: Sequence[flow.Flow], step: record.Step, packet: fields.Fields, cookies: Mapping[str, str]
) -> flow.Flow | None:
    """Return the agent's flow that a packet would meet in a table without the one that it met; None where none matches.

    Raises:
        PathfinderError: That cannot be told.
    """
    for one in sorted(table, key=lambda one: -one.priority):
        is_agents = one.cookie == cookies.get(step.bridge) or cookie.owner(one.cookie) == "perhaps-agent"
        if one.priority > (step.priority or 0) or one.cookie == step.cookie or not is_agents:
            continue
        answer = fields.matches(one.match, packet)
        if answer is None or (answer and "conjunction(" in one.actions):
            raise errors.PathfinderError(f"whether the packet would meet {one.raw} is not known")
        if answer:
            return one
    return None


def _is_flow(one: flow.Flow, step: record.Step) -> bool:
    wanted = (step.priority, step.cookie, frozenset(step.match.split(",")))
    return (one.priority, one.cookie, frozenset(one.match.split(","))) == wanted


def _execute(bridge: str, packet: fields.Fields, actions: str, resumes: Sequence[str]) -> tuple[trace.Trace, str]:
    """Follow a packet by the actions of a flow to its end; return what was found, and the first command.

    Raises:
        ProcessError: vswitchd does not answer, or does not accept packet or actions.
    """
    todo, command = re.sub(r"goto_table:(\d+)", r"resubmit(,\1)", actions), ""
    steps: list[trace.Step] = [trace.Step(bridge=bridge, table=0)]
    sections: list[trace.Section] = []
    found, number = trace.Trace(), None
    for _ in range(_PIECES):
        text = fields.write(packet)
        command = command or trace.command_of_actions(bridge, text, todo, resumes)
        found = trace.run_actions(bridge, text, todo, resumes)
        steps += found.steps
        sections += [one.model_copy(update={"number": one.number or number}) for one in found.sections]
        resumed = _RESUMED.findall(found.text)
        if _CONFLICT not in found.failure or not resumed:
            break
        number = sections.pop().number
        todo, bridge = f"resubmit(,{resumed[-1]})", found.steps[-1].bridge if found.steps else bridge
        packet = fields.parse(_section(found.text, len(found.steps))[1])
    whole = trace.Trace(
        steps=tuple(steps), sections=tuple(sections), failure=found.failure, warnings=found.warnings, text=found.text
    )
    return whole, command


def _rewritten(actual: trace.Trace, other: trace.Trace) -> tuple[str, ...]:
    """Return by which datapath actions the packet leaves with other addresses or ports than without the flow."""
    before, after = (
        {text for one in found.datapath_actions for text in _REWRITES.findall(one) if _ADDRESSES.search(text)}
        for found in (other, actual)
    )
    return tuple(sorted(after - before))
