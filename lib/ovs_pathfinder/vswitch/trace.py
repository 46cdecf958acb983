"""`ovs-appctl ofproto/trace`: what the switch would do with a packet (ovs-vswitchd(8)).

Its output is made for people. The grammar, as of Open vSwitch 2.12 to 3.5: sections parted by lines of 79 `=` (a
packet that conntrack recirculates opens a new one), each with `Flow:`, then for each bridge the flows that the packet
met, then `Final flow:`, `Megaflow:`, `Datapath actions:`, and `Translation failed (…)` where translation was given up.
"""

import collections
import re
from collections.abc import Sequence

from .. import path, process
from . import action

_RULER = "=" * 20
_STEP = re.compile(r"^\s*(?P<table>\d{1,3})\. (?P<rest>\S.*)$")
_BRIDGE = re.compile(r'^\s*bridge\("(?P<name>[^"]+)"\)')
_FLOW = re.compile(r"^(?:(?P<match>.*), )?priority (?P<priority>\d+)(?:, cookie (?P<cookie>0x[0-9a-f]+))?$")
_KNOWN = ("Final flow:", "Megaflow:", "Flow:", "recirc(", "Resuming", "This flow is handled")
_MISSES = ("reg0=0x1", "reg0=0x2")
"""What a trace prints for no match in a bridge that is not the one it began in: the switch's own flows for a packet
that it drops or hands to the controller (`add_internal_miss_flow` in `ofproto-dpif.c`)."""
_TRANSLATED = ("Replacing src/dst IP/ports", "Initial flow:", "Modified flow:")
"""Between the rulers above a section whose packet was translated (NAT), from Open vSwitch 2.17 on."""
_LIMITED = ("Trace reached the recirculation limit", "Queued but not processed:")


class Step(path.Model):
    """One flow that the packet met, or the table in which it met none."""

    bridge: str
    """As headed; after a recirculation that is the entry bridge, whatever bridge the table is of."""
    table: int
    priority: int | None = None
    """None where the table had no match."""
    match: str = ""
    cookie: str = "0x0"
    actions: tuple[str, ...] = ()
    """The lines below it, without their indentation, the details (`-> …`, `>> …`) included."""
    recirculated: bool = False
    """Whether it comes right after a recirculation, so that `bridge` may not be where the table is."""


class Trace(path.Model):
    """What was understood of a trace."""

    steps: tuple[Step, ...] = ()
    datapath_actions: tuple[str, ...] = ()
    """Of each section, in order."""
    failure: str = ""
    """Why translation was given up, where it was."""
    warnings: tuple[str, ...] = ()
    """The trace's own `>>` remarks, without those that merely say that side effects were suppressed."""
    unknown: tuple[str, ...] = ()
    """Lines outside the grammar."""
    text: str = ""

    @property
    def outputs(self) -> tuple[action.Output, ...]:
        """Where the packet leaves, over all sections, where it came with no VLAN tag."""
        return self.outputs_of(None)

    def outputs_of(self, vlan: int | None) -> tuple[action.Output, ...]:
        """Return where the packet leaves, over all sections: each goes on with the VLAN tag of its recirculation.

        Args:
            vlan: The VLAN tag with which the packet came; None for none.
        """
        found: list[action.Output] = []
        waiting = collections.deque([vlan])
        for actions in self.datapath_actions:
            sent, recirculated = action.follow(actions, waiting.popleft() if waiting else None)
            found += sent
            waiting += recirculated
        return tuple(found)


def run(bridge: str, flow: str, ct_next: Sequence[str] = (), timeout: float = 5.0) -> Trace:
    """Trace a flow that enters a bridge; `ct_next` gives the conntrack state of each recirculation.

    A flow has no side effects (a *packet* would commit conntrack entries and learn addresses).

    Args:
        bridge: The bridge; or a datapath such as `ovs-netdev`, and `flow` is a datapath flow's key.
        flow: What to trace, in the words of ovs-fields(7).
        ct_next: Conntrack states as `trk,est`; those that are not needed are passed over.
        timeout: Seconds.

    Raises:
        ProcessError: vswitchd does not answer, or does not accept the flow.
    """
    return parse(process.run(_argv(bridge, flow, ct_next), timeout=timeout))


def command(bridge: str, flow: str, ct_next: Sequence[str] = ()) -> str:
    """Return what `run` asks as a command to paste."""
    *words, last = _argv(bridge, flow, ct_next)
    return f"{' '.join(words)} '{last}'"


def _argv(bridge: str, flow: str, ct_next: Sequence[str]) -> list[str]:
    options = [word for state in ct_next for word in ("--ct-next", state)]
    return ["ovs-appctl", "ofproto/trace", *options, bridge, flow]


def parse(text: str) -> Trace:
    """Read a trace's output."""
    reader = _Reader()
    for line in text.splitlines():
        reader.line(line)
    return Trace(
        steps=tuple(reader.steps),
        datapath_actions=tuple(reader.actions),
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
        self.actions: list[str] = []
        self.warnings: list[str] = []
        self.unknown: list[str] = []
        self.failure = ""
        self._heading = ""
        self._open: list[tuple[int, int]] = []
        self._ended = False
        self._thawed = False

    def line(self, line: str) -> None:
        text = line.strip()
        if not text or set(text) == {"-"}:
            return
        if text.startswith(_RULER):
            self._open, self._heading, self._ended = [], "", False
        elif (heading := _BRIDGE.match(line)) is not None:
            self._heading = heading["name"]
        elif text.startswith("Datapath actions:"):
            self.actions.append(text.partition(":")[2].strip())
            self._ended = True
        elif text.startswith("Translation failed"):
            found = re.search(r"\((.*)\)", text)
            self.failure = found[1] if found else text
        elif text == "thaw":  # the flow had been through a recirculation before it was traced
            self._thawed = True
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
        above = self.steps[self._open[-1][1]] if self._open else None
        # The first heading after a recirculation names the entry bridge; one after a flow is right again.
        if above is None:
            resumed, self._thawed = bool(self.actions) or self._thawed, False
        else:
            resumed = above.recirculated and not self._heading
        bridge = self._heading or (above.bridge if above is not None else "")
        self._heading = ""
        self._open.append((level, len(self.steps)))
        self.steps.append(_step(bridge, found, recirculated=resumed))

    def _detail(self, text: str, level: int) -> None:
        """Keep a line below a flow: what it does, or a remark on that."""
        while len(self._open) > 1 and self._open[-1][0] >= level:
            self._open.pop()
        at = self._open[-1][1] if self._open else len(self.steps) - 1
        self.steps[at] = self.steps[at].model_copy(update={"actions": (*self.steps[at].actions, text)})
        if text.startswith(">>") and "suppress" not in text:
            self.warnings.append(text.strip("> <"))
        elif "neighbor cache miss" in text:  # a mere detail to the trace, which drops the packet all the same
            self.warnings.append(text.removeprefix("->").strip())


def _level(line: str) -> int:
    """Return the indentation in columns; tables' numbers are padded to two digits, remarks by one blank."""
    return (len(line) - len(line.lstrip())) // 4 * 4


def _step(bridge: str, found: re.Match[str], *, recirculated: bool) -> Step:
    table = int(found["table"])
    flow = _FLOW.match(found["rest"])
    if flow is not None and flow["match"] in _MISSES and flow["priority"] == "0":
        return Step(bridge=bridge, table=table, recirculated=recirculated, actions=("No match.",))
    if flow is None:
        return Step(bridge=bridge, table=table, recirculated=recirculated, actions=(found["rest"],))
    return Step(
        bridge=bridge,
        table=table,
        priority=int(flow["priority"]),
        match=flow["match"] or "",
        cookie=flow["cookie"] or "0x0",
        recirculated=recirculated,
    )
