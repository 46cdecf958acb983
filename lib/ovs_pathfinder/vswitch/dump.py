"""A bridge's flows as a stream of lines: 100,000 are an ordinary hypervisor (`ovs-ofctl dump-flows`, ovs-ofctl(8)).

A line is ` cookie=…, duration=…, table=…, n_packets=…, n_bytes=…, REST`, where REST is timeouts, flags, ages, match and
actions (`ofputil_flow_stats_format` in `ofp-flow.c`, the same from Open vSwitch 2.9 to 4.0).
"""

import collections
import contextlib
import fcntl
import os
import re
import select
from collections.abc import Iterator

from .. import errors, process, words
from . import ofctl

_PATIENCE = 10.0
"""Seconds without a byte after which ovs-vswitchd counts as silent."""
_PIPE = 1 << 20
UNHIT = b" n_packets=0,"
"""In the line of a flow that no packet has met."""
_HEADING = b"ST_FLOW reply"
"""Of `OFPST_FLOW reply (OF1.4) (xid=0x2):`, and of `NXST_FLOW reply (xid=0x4):`, which is OpenFlow 1.0's."""
_VERSION = re.compile(rb"\(OF1\.(\d)\)")
_TABLE = re.compile(rb" table=(\d+), n_packets=(0,)?")
_FLOW_COUNT = re.compile(r"flow_count=(\d+)")
_LOG_LINE = re.compile(r"\S+\|\d+\|\w+\|[A-Z]+\|")


def count(bridge: str, match: str = "") -> int | None:
    """Return how many flows the switch says that it has, as narrow as `match` or narrower; None where it is silent."""
    operands = [match] if match else []
    try:
        counting = ofctl.command(bridge, ["dump-aggregate"], *operands, names=True)
        found = _FLOW_COUNT.search(process.run(counting, timeout=_PATIENCE))
    except process.ProcessError:
        return None
    return int(found[1]) if found else None


class Flows:
    """The flows of one bridge, asked for as they are read."""

    def __init__(self, bridge: str, match: str = "") -> None:
        """Ask for the flows that are as narrow as `match` or narrower."""
        self.bridge = bridge
        self.openflow = ""
        """The version that was spoken, such as `OpenFlow14`; empty until the first chunk has come."""
        self.strange: list[bytes] = []
        """Lines that are neither a flow nor a heading."""
        self.read = 0
        """Flows that were read so far."""
        self._match = match
        self._begun: process.Running | None = None

    def unread(self) -> str:
        """Say what was not understood of what has been read, in one sentence without its end; empty where all was.

        A message that ovs-ofctl cannot decode is printed up to the flow that it does not know, then in hexadecimal; the
        flows behind it are lost. How many there are, the switch counts itself.
        """
        if not self.strange:
            return ""
        line = " ".join(self.strange[0].decode(errors="replace").split())[:100]
        missing = (count(self.bridge, self._match) or 0) - self.read
        many = words.many(missing, "flow") if missing > 0 else "some flows"
        return f"{many} of {self.bridge} could not be read: ovs-ofctl printed {line!r}"

    def begin(self) -> None:
        """Let the switch begin to answer while something else is done; `cancel` it if it is not read after all."""
        self._begun = self._running()

    def cancel(self) -> None:
        """End what has begun and is not being read."""
        if self._begun is not None:
            self._begun.stop()

    def _running(self) -> process.Running:
        operands = [self._match] if self._match else []
        return process.Running(ofctl.command(self.bridge, ["dump-flows"], *operands, names=bool(operands)))

    def __iter__(self) -> Iterator[bytes]:
        """Yield chunks of whole lines, each of which is a flow.

        Raises:
            PathfinderError: The bridge does not answer, or does not understand the match.
        """
        self.read, self.strange = 0, []
        try:
            tool, self._begun = self._begun or self._running(), None
            for chunk in _chunks(tool):
                if flows := self._flows(chunk):
                    self.read += flows.count(b"\n")
                    yield flows
        except process.ProcessError as error:
            raise errors.PathfinderError(refusal(self.bridge, error)) from error

    def _flows(self, chunk: bytes) -> bytes:
        """Return the flows of a chunk; each reply of the switch, of 64 KiB at the most, has a heading."""
        kept: list[bytes] = []
        start = 0
        while (at := chunk.find(_HEADING, start)) >= 0:
            begin, end = chunk.rfind(b"\n", 0, at) + 1, chunk.index(b"\n", at) + 1
            kept.append(chunk[start:begin])
            found = _VERSION.search(chunk, begin, end)
            self.openflow = f"OpenFlow1{found[1].decode() if found else 0}"
            start = end
        kept.append(chunk[start:])
        flows = b"".join(kept) if start else chunk
        if flows.count(b"\n cookie=") + flows.startswith(b" cookie=") == flows.count(b"\n"):
            return flows
        lines = flows.splitlines(keepends=True)
        self.strange += [line for line in lines if not line.startswith(b" cookie=")]
        return b"".join(line for line in lines if line.startswith(b" cookie="))


class Tally:
    """Counts flows as they pass by."""

    def __init__(self) -> None:
        self.flows: collections.Counter[int] = collections.Counter()
        """By table."""
        self.unhit: collections.Counter[int] = collections.Counter()
        """Those that no packet has met."""

    def add(self, chunk: bytes) -> None:
        """Count the flows of a chunk of whole lines."""
        flows, first = chunk.count(b"\n"), _TABLE.search(chunk)
        # A switch dumps one table after the other, so that most chunks are of one.
        if first is not None and chunk.count(b" table=%b, n_packets=" % first[1]) == flows:
            self.flows[int(first[1])] += flows
            self.unhit[int(first[1])] += chunk.count(UNHIT)
            return
        for (table, unhit), count in collections.Counter(_TABLE.findall(chunk)).items():
            self.flows[int(table)] += count
            self.unhit[int(table)] += count if unhit else 0


def refusal(bridge: str, error: process.ProcessError) -> str:
    """Say why the flows of a bridge could not be read."""
    if "version negotiation failed" in error.stderr:
        return f"{bridge} speaks none of {ofctl.VERSIONS}; see its protocols with ovs-vsctl get bridge"
    if error.status is None or re.search("is not a bridge|failed to (connect|open)|Connection", error.stderr):
        return f"ovs-vswitchd does not answer for {bridge}; is openvswitch-switch running? ({said(error)})"
    return f"the flows of {bridge} cannot be read: {said(error)}"


def said(error: process.ProcessError) -> str:
    """Return what ovs-ofctl found wrong, without its log and its name."""
    lines = [line for line in error.stderr.splitlines() if not _LOG_LINE.match(line)] or ["no message"]
    return " ".join(" ".join(lines).split()).removeprefix("ovs-ofctl: ")[:300]


def _chunks(tool: process.Running) -> Iterator[bytes]:
    """Yield what a tool prints, in whole lines, and end it.

    Raises:
        ProcessError: The tool failed, or printed nothing for a long time.
    """
    try:
        rest = b""
        for more in _pieces(tool):
            lines, newline, last = more.rpartition(b"\n")
            if newline:
                yield rest + lines + newline
                rest = last
            else:
                rest += more
        _, said = tool.finish(_PATIENCE)
        if tool.status:
            raise process.ProcessError(tool.command, tool.status, "", said)
        if rest:
            yield rest + b"\n"
    finally:
        tool.stop()


def _pieces(tool: process.Running) -> Iterator[bytes]:
    """Yield large pieces of a tool's stdout: it writes small ones, and to wake for each costs more than to read it."""
    descriptor = tool.stdout.fileno()
    with contextlib.suppress(OSError):  # the user has as many large pipes as the kernel allows
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE)
    while True:
        if not select.select([descriptor], [], [], _PATIENCE)[0]:
            raise process.ProcessError(tool.command, None, "", f"no answer within {_PATIENCE:g} s")
        piece = os.read(descriptor, _PIPE)
        if not piece:
            return
        yield piece
