"""`ovs-appctl ofproto/trace`: what the switch would do with a packet (ovs-vswitchd(8)).

Its output is made for people. The grammar, as of Open vSwitch 2.12 to 3.5: sections parted by lines of 79 `=` (a
packet that conntrack recirculates opens a new one), each with `Flow:`, then for each bridge the flows that the packet
met, then `Final flow:`, `Megaflow:`, `Datapath actions:`, and `Translation failed (…)` where translation was given up.

Sections follow in the order in which `ct(…,table=…)` forked the packet (`oftrace_add_recirc_node`). The recirculations
of a bond, of a group that hashes and of MPLS get none.
"""

import collections
import re
from collections.abc import Mapping, Sequence

from .. import path, process, words
from . import action, tracing

_RULER = "=" * 20
_STEP = re.compile(r"^\s*(?P<table>\d{1,3})\. (?P<rest>\S.*)$")
_BRIDGE = re.compile(r'^\s*bridge\("(?P<name>[^"]+)"\)')
_FLOW = re.compile(r"^(?:(?P<match>.*), )?priority (?P<priority>[0-9]{1,5})(?:, cookie (?P<cookie>0x[0-9a-f]+))?$")
_RESUMED = re.compile(r"^recirc\((?P<number>0x[0-9a-f]{1,8}|[1-9][0-9]{0,9}|0)\)")
_FORKS = re.compile(r"^ct\(.*\btable=\d")
_UNTRACED = "-> Failed to trace the conntrack forked pipeline"
_CONTROLLER = re.compile(r"^(?:CONTROLLER\b|controller\b)")
_KNOWN = ("Final flow:", "Megaflow:", "Flow:", "Resuming", "This flow is handled")
_MISSES = ("reg0=0x1", "reg0=0x2")
"""What a trace prints for no match in a bridge that is not the one it began in: the switch's own flows for a packet
that it drops or hands to the controller (`add_internal_miss_flow` in `ofproto-dpif.c`)."""
_TRANSLATED = ("Replacing src/dst IP/ports", "Initial flow:", "Modified flow:")
"""Between the rulers above a section whose packet was translated (NAT), from Open vSwitch 2.17 on."""
_LIMITED = ("Trace reached the recirculation limit", "Queued but not processed:")


class Step(path.Model):
    """One flow that the packet met, or the table in which it met none."""

    bridge: str
    """Empty where the text does not say it: the traced packet itself came from a recirculation."""
    table: int
    priority: int | None = None
    """None where the table had no match."""
    match: str = ""
    cookie: str = "0x0"
    actions: tuple[str, ...] = ()
    """The lines below it, without their indentation, the details (`-> …`, `>> …`) included."""


class Section(path.Model):
    """One pass through the datapath."""

    number: int | None = None
    """Of the recirculation that it follows; None of the first."""
    actions: str | None = None
    """The datapath's; None where the text ends before them."""


class Way(path.Model):
    """Where a traced packet goes in the end."""

    outputs: tuple[action.Output, ...] = ()
    to_controller: bool = False
    unfollowed: tuple[str, ...] = ()
    """Phrases on where it may go besides: empty where all of its way is known."""


class Trace(path.Model):
    """What was understood of a trace."""

    steps: tuple[Step, ...] = ()
    sections: tuple[Section, ...] = ()
    failure: str = ""
    """Why translation was given up, where it was."""
    warnings: tuple[str, ...] = ()
    """The trace's own `>>` remarks, without those that merely say that side effects were suppressed."""
    unknown: tuple[str, ...] = ()
    """Lines outside the grammar."""
    text: str = ""

    @property
    def datapath_actions(self) -> tuple[str, ...]:
        """Of each section that has them, in order."""
        return tuple(one.actions for one in self.sections if one.actions is not None)

    @property
    def outputs(self) -> tuple[action.Output, ...]:
        """Where the packet leaves, over all sections, where it came with no VLAN tag."""
        return self.follow().outputs

    def follow(self, vlan: int | None = None, bonds: Mapping[int, str] | None = None) -> Way:
        """Return where the packet leaves, over all sections: each goes on as the packet was when it was recirculated.

        Args:
            vlan: The VLAN tag with which the packet came; None for none.
            bonds: The names of the switch's bonds by number: what a bond recirculates leaves by one of its members.
        """
        outputs: list[action.Output] = []
        waiting: list[action.Fork] = []
        unfollowed: list[str] = []
        to_controller = any(map(asks_controller, self.steps))
        for section in self.sections:
            came = _resumed(section, waiting) or action.Fork(number=0, vlans=() if vlan is None else (vlan,))
            if section.actions is None:
                unfollowed.append("the text of the trace ends early")
                continue
            found = action.follow(section.actions, came.vlans)
            outputs += found.outputs
            waiting += found.forks
            unfollowed += (*found.beyond, *found.unknown)
            to_controller = to_controller or found.to_controller
        known = bonds or {}
        for fork in waiting:
            if fork.leaving is not None and fork.number in known:
                outputs.append(fork.leaving)
            else:
                unfollowed.append(f"what follows its recirculation {fork.number:#x} was not traced")
        named = [_named(one, known) for one in outputs]
        unfollowed += [f"the ports of {one} are not known" for one in named if one.bond is not None and not one.port]
        return Way(outputs=tuple(named), to_controller=to_controller, unfollowed=tuple(dict.fromkeys(unfollowed)))


def asks_controller(step: Step) -> bool:
    """Whether a flow hands the packet, or a copy of it, to the OpenFlow controller."""
    return any(_CONTROLLER.match(one) for one in step.actions)


def _resumed(section: Section, waiting: list[action.Fork]) -> action.Fork | None:
    """Take the recirculation out of those that wait that a section follows."""
    at = next((at for at, fork in enumerate(waiting) if fork.number == section.number), None)
    return None if at is None else waiting.pop(at)


def _named(output: action.Output, bonds: Mapping[int, str]) -> action.Output:
    return output if output.bond is None else output.model_copy(update={"port": bonds.get(output.bond, "")})


def run(bridge: str, flow: str, ct_next: Sequence[str] = (), timeout: float = 5.0) -> Trace:
    """Trace a flow that enters a bridge; `ct_next` gives the conntrack state of each recirculation.

    A flow has no side effects (a *packet* would commit conntrack entries and learn addresses).

    Args:
        bridge: The bridge; or a datapath such as `ovs-netdev`, and `flow` is a datapath flow's key.
        flow: What to trace, in the words of ovs-fields(7).
        ct_next: Conntrack states as `trk,est`; those that are not needed are passed over.
        timeout: Seconds.

    Raises:
        Untraced: A trace could harm this host, and was not begun.
        ProcessError: vswitchd does not answer, or does not accept the flow.
    """
    return parse(tracing.ask(_command(bridge, flow, ct_next), bridge, flow, timeout))


def command(bridge: str, flow: str, ct_next: Sequence[str] = ()) -> str:
    """Return what `run` asks as a command to paste."""
    return words.pasted(*_command(bridge, flow, ct_next).words)


def run_actions(bridge: str, flow: str, actions: str, ct_next: Sequence[str] = (), timeout: float = 5.0) -> Trace:
    """Trace what a bridge would do with a packet by a list of actions, whatever its tables say.

    What conntrack recirculates is not followed: the trace then ends with the failure "Recirculation conflict".

    Raises:
        Untraced: A trace could harm this host, and was not begun.
        ProcessError: vswitchd does not answer, or does not accept flow or actions.
    """
    return parse(tracing.ask(_command_of_actions(bridge, flow, actions, ct_next), bridge, flow, timeout, actions))


def command_of_actions(bridge: str, flow: str, actions: str, ct_next: Sequence[str] = ()) -> str:
    """Return what `run_actions` asks as a command to paste."""
    return words.pasted(*_command_of_actions(bridge, flow, actions, ct_next).words)


def _command_of_actions(bridge: str, flow: str, actions: str, ct_next: Sequence[str]) -> process.Command:
    return process.Command(["ovs-appctl", "ofproto/trace-packet-out", *_options(ct_next)], bridge, flow, actions)


def _command(bridge: str, flow: str, ct_next: Sequence[str]) -> process.Command:
    return process.Command(["ovs-appctl", "ofproto/trace", *_options(ct_next)], bridge, flow)


def _options(ct_next: Sequence[str]) -> Sequence[process.Word]:
    return [("--ct-next", state) for state in ct_next]


def parse(text: str) -> Trace:
    """Read a trace's output."""
    reader = _Reader()
    for line in text.splitlines():
        reader.line(line)
    return Trace(
        steps=tuple(reader.steps),
        sections=tuple(reader.sections),
        failure=reader.failure,
        warnings=tuple(reader.warnings),
        unknown=tuple(reader.unknown),
        text=text,
    )


class _Reader:
    """Where the reading of a trace stands.

    A bridge or table that is not the last thing its parent does is indented, and what the parent does next stands
    further left again (`oftrace_node_print_details` in `ofproto-dpif-trace.c`): `_open` holds the indentation and the
    place in `steps` of each flow that is still under way.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.sections = [Section()]
        self.warnings: list[str] = []
        self.unknown: list[str] = []
        self.failure = ""
        self._heading = ""
        self._open: list[tuple[int, int]] = []
        self._ended = False
        self._home: str | None = None
        """The bridge in which this section resumes, whatever its first heading says; None where that is right."""
        self._forking: collections.deque[str] = collections.deque()
        """The bridge of each fork whose section is still to come."""

    def line(self, line: str) -> None:
        text = line.strip()
        if not text or set(text) == {"-"}:
            return
        if text.startswith(_RULER):
            self._open, self._heading, self._ended = [], "", False
        elif (resumed := _RESUMED.match(line)) is not None:
            self.sections.append(Section(number=int(resumed["number"], 0)))
            self._home = self._forking.popleft() if self._forking else ""
        elif (heading := _BRIDGE.match(line)) is not None:
            self._heading = heading["name"]
        elif text.startswith("Datapath actions:"):
            self.sections[-1] = Section(number=self.sections[-1].number, actions=text.partition(":")[2].strip())
            self._ended = True
        elif text.startswith("Translation failed"):
            found = re.search(r"\((.*)\)", text)
            self.failure = found[1] if found else text
        elif text == "thaw":
            self._home = self._home or ""  # none is known where the traced packet itself was recirculated before
        elif text.startswith(_LIMITED):
            self.warnings.append(text)
        elif text.startswith((*_KNOWN, *_TRANSLATED)) or (self._ended and line[0].isspace()):
            return  # what follows the actions gives reasons for the slow path
        elif (found := _STEP.match(line)) is not None:
            self._step(found, _level(line))
        elif self.steps and line[0].isspace():
            self._detail(text, _level(line))
        else:
            self.unknown.append(text)

    def _step(self, found: re.Match[str], level: int) -> None:
        while self._open and self._open[-1][0] > level:
            self._open.pop()
        if self._open:
            bridge = self._heading or self.steps[self._open[-1][1]].bridge
        else:
            bridge, self._home = (self._heading if self._home is None else self._home), None
        self._heading = ""
        self._open.append((level, len(self.steps)))
        self.steps.append(_step(bridge, found))

    def _detail(self, text: str, level: int) -> None:
        """Keep a line below a flow: what it does, or a remark on that."""
        while len(self._open) > 1 and self._open[-1][0] >= level:
            self._open.pop()
        at = self._open[-1][1] if self._open else len(self.steps) - 1
        self.steps[at] = self.steps[at].model_copy(update={"actions": (*self.steps[at].actions, text)})
        if _FORKS.match(text):
            self._forking.append(self.steps[at].bridge)
        elif text.startswith(_UNTRACED) and self._forking:
            self._forking.pop()
        if text.startswith(">>") and "suppress" not in text:
            self.warnings.append(text.strip("> <"))
        elif text.startswith("->") and ("neighbor cache miss" in text or text.endswith("dropping")):
            # mere details to the trace, which drops the packet all the same
            self.warnings.append(text.removeprefix("->").strip())


def _level(line: str) -> int:
    """Return the indentation in columns; tables' numbers are padded to two digits, remarks by one blank."""
    return (len(line) - len(line.lstrip())) // 4 * 4


def _step(bridge: str, found: re.Match[str]) -> Step:
    table = int(found["table"])
    flow = _FLOW.match(found["rest"])
    if flow is not None and flow["match"] in _MISSES and flow["priority"] == "0":
        return Step(bridge=bridge, table=table, actions=("No match.",))
    if flow is None:
        return Step(bridge=bridge, table=table, actions=(found["rest"],))
    return Step(
        bridge=bridge,
        table=table,
        priority=int(flow["priority"]),
        match=flow["match"] or "",
        cookie=flow["cookie"] or "0x0",
    )
