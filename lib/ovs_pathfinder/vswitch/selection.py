"""Picks flows out of a dump by their text: whole lines in, whole lines out, and nothing parsed that is not shown."""

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Literal

from . import dump, wording

_PACKETS = re.compile(rb" n_packets=(\d+),")
_TABLE = re.compile(rb" table=(\d+),")
_PRIORITY = re.compile(rb"[ ,]priority=(\d+)")
_MEMBER = re.compile(rb"conjunction\((\d+)")
_CONJUNCTION = re.compile(rb"conj_id=(\d+)")


Change = Literal["", "moved", "new", "gone"]
"""What became of a flow between two dumps: packets have met it, or it came or went; empty where there was one dump."""


class Selection:
    """What is asked for: all flows, or those that a packet has met, or those of one port."""

    def __init__(self, *, hit: bool = False, pattern: re.Pattern[bytes] | None = None, vlan: int | None = None) -> None:
        """Ask.

        Args:
            hit: Whether a packet must have met them.
            pattern: What they must hold, such as `of_port` gives it.
            vlan: The local VLAN of the port that the pattern is of, if it has one.
        """
        self._others = re.compile(rb"[ ,](?:in_port=|reg5=|reg6=(?!0x%x[, ]))" % (vlan or 0))
        self._hit = hit
        self._pattern = pattern
        self._members: list[bytes] = []
        self._ids: set[bytes] = set()

    def pick(self, chunk: bytes) -> list[bytes]:
        """Return the wanted lines of a chunk of whole lines."""
        flows = chunk.count(b"\n")
        if self._hit and chunk.count(dump.UNHIT) == flows:
            return []
        lines = chunk.splitlines()
        if self._hit:
            lines = [line for line in lines if dump.UNHIT not in line]
        if self._pattern is None:
            return lines
        search = self._pattern.search
        found = [line for line in lines if search(line)]
        if b"conj" in chunk:
            self._ids.update(number for line in found for number in _CONJUNCTION.findall(line))
            self._members += [line for line in lines if b"conjunction(" in line and not self._others.search(line)]
        return found

    def kept(self, chunk: bytes) -> bytes:
        """Return a chunk of the wanted lines of one."""
        if not self._hit and self._pattern is None:
            return chunk
        return b"".join(line + b"\n" for line in self.pick(chunk))

    def joint(self) -> list[bytes]:
        """Return flows of its network that name no port, of conjunctive matches that name this; after all chunks."""
        return [line for line in self._members if self._ids.intersection(_MEMBER.findall(line))]


def of_port(ofport: int | None, mac: str, *, is_integration: bool) -> re.Pattern[bytes] | None:
    """Return a pattern of flows that name a port: by number, by register, or by its MAC address.

    Args:
        ofport: Its number on the bridge; None where it is on another one.
        mac: Its MAC address; empty where it has none.
        is_integration: Whether the bridge is br-int, where Neutron's firewall keeps the port in register 5.
    """
    parts: list[str] = [rf"{re.escape(mac)}(?![0-9a-f:/])"] if mac else []
    if ofport is not None and ofport > 0:
        parts.append(rf"(?:in_port=|output:|output\(port=|resubmit\(){ofport}\b")
        if is_integration:
            parts.append(rf"reg5={ofport:#x}\b|set_field:{ofport:#x}->reg5\b|load:{ofport:#x}->NXM_NX_REG5\[\]")
    return re.compile("|".join(parts).encode()) if parts else None


@dataclasses.dataclass(frozen=True)
class Moved:
    """A flow that is not in two dumps alike."""

    line: bytes
    change: Change
    rise: int = 0
    """Packets that have met it between the two."""


def counters(chunk: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield what each flow of a chunk of whole lines says, and the packets that it has met."""
    return zip(wording.texts(chunk), _PACKETS.findall(chunk), strict=True)


def moved(before: dict[bytes, bytes], chunks: Iterable[bytes]) -> Iterator[Moved]:
    """Compare the counters of an earlier dump with a later one; the dictionary is used up."""
    take = before.pop
    for chunk in chunks:
        if not chunk:
            continue
        lines = chunk.splitlines()
        for number, (text, packets) in enumerate(counters(chunk)):
            earlier = take(text, None)
            if earlier is None:
                yield Moved(lines[number], "new", int(packets))
            elif earlier != packets:
                yield Moved(lines[number], "moved", int(packets) - int(earlier))
    for text in before:
        yield Moved(b" " + text, "gone")


def order(line: bytes) -> tuple[int, int, bytes]:
    """Return what lines are shown by: table, falling priority, text."""
    head = line.partition(b"actions=")[0]
    table, priority = _TABLE.search(head), _PRIORITY.search(head)
    level = int(priority[1]) if priority else 32768
    return int(table[1]) if table else 0, -level, head.rpartition(b" priority=")[2]
