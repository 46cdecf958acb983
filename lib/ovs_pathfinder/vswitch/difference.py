"""Which flows of two dumps differ in meaning, and what else differs and means nothing. Pure: it reads no file or tool.

Of the earlier dump a dictionary of texts is kept, of the later one only what is not in it: both are passed through
once, in chunks, and what is costly is done to the few flows that are left in the end.
"""

import array
import bisect
import collections
import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from . import conjunction, dump, wording

_Value = TypeVar("_Value")
_Found = list[tuple[bytes, _Value]]
"""Flows that are the other dump's not, each with its place there."""
_COOKIE = re.compile(rb"^ cookie=([^,]*),", re.MULTILINE)
_LEARN = re.compile(rb"learn\((?P<rest>.*)")
_TABLE = re.compile(rb"(?:^|,)table=(\d+)")
_PRIORITY = re.compile(rb"[ ,]priority=(\d+)")
_TIMEOUTS = re.compile(rb"(?:idle|hard)_timeout=\d+,?")
_DEFAULT_PRIORITY = b"32768"
_JOINT = b"conj"
"""In all flows of conjunctive matches, and in few others."""


@dataclasses.dataclass(frozen=True)
class Change:
    """A flow that one dump has and the other has not, or has with other actions or timeouts; raw lines of the dumps."""

    bridge: str
    before: bytes
    """Empty where there was none."""
    after: bytes
    """Empty where there is none any more."""


@dataclasses.dataclass
class Side:
    """What one dump of a bridge holds, in numbers."""

    flows: int = 0
    hit: int = 0
    """Flows that a packet has met."""
    cookies: collections.Counter[bytes] = dataclasses.field(default_factory=lambda: collections.Counter[bytes]())
    learned: int = 0
    """Flows that the switch has learned from packets, by a learn action of the bridge, and will forget."""
    own: int = 0
    """Temporary flows of ours."""
    openflow: str = ""


class Bridge:
    """The flows of one bridge, before and after."""

    def __init__(self, name: str, before: wording.Names, after: wording.Names, *, own: bytes = b"") -> None:
        """Begin with none.

        Args:
            name: The bridge's name.
            before: What numbers stand for in the earlier dump.
            after: The same for the later one.
            own: How the cookies of temporary flows of ours begin, such as `0x6f7066`.
        """
        earlier, later = wording.together(before, after)
        self.name = name
        self.before, self.after = Side(), Side()
        self.moved = 0
        """Flows that stand elsewhere in the later dump."""
        self.renumbered = 0
        """Ids of conjunctions that are others."""
        self.respelt = 0
        """Flows that are spelt otherwise; where numbers mean something else, that is not told."""
        self._own = own
        self._is_plain = earlier == later
        self._earlier = wording.Wording(name, earlier)
        self._later = self._earlier if self._is_plain else wording.Wording(name, later)
        self._waiting: dict[bytes, int] = {}
        """Flows of the earlier dump that the later has not shown yet, with their number."""
        self._left_before: _Found[int] = []
        self._left_after: _Found[bytes] = []
        self._timed_before: _Found[int] = []
        self._timed_after: _Found[bytes] = []
        self._joint_before: _Found[int] = []
        self._joint_after: _Found[bytes] = []
        """All flows of conjunctive matches."""
        self._learns: set[tuple[bytes, bytes]] = set()
        """Tables and priorities of what is learned."""
        self._order = array.array("q")

    def add_before(self, chunk: bytes) -> None:
        """Take whole lines of the earlier dump."""
        keys = self._keys(chunk, self._earlier)
        numbers: Sequence[int] = range(self.before.flows, self.before.flows + len(keys))
        _count(self.before, chunk, len(keys))
        if self._is_odd(chunk):
            keys, numbers = self._sort_out(chunk, keys, numbers, self.before, self._timed_before)
        if _JOINT in chunk:
            self._joint_before += [one for one in zip(keys, numbers, strict=True) if _JOINT in one[0]]
        if len(set(keys)) == len(keys) and self._waiting.keys().isdisjoint(keys):
            self._waiting.update(zip(keys, numbers, strict=True))
            return
        for key, number in zip(keys, numbers, strict=True):
            if self._waiting.setdefault(key, number) != number:
                self._left_before.append((key, number))

    def add_after(self, chunk: bytes) -> None:
        """Take whole lines of the later dump; all of the earlier one must have been there."""
        keys = self._keys(chunk, self._later)
        lines: Sequence[bytes] = ()
        _count(self.after, chunk, len(keys))
        if self._is_odd(chunk):
            keys, lines = self._sort_out(chunk, keys, chunk.splitlines(), self.after, self._timed_after)
        if _JOINT in chunk:
            lines = lines or chunk.splitlines()
            self._joint_after += [one for one in zip(keys, lines, strict=True) if _JOINT in one[0]]
        take = self._waiting.pop
        numbers = [take(key, -1) for key in keys]
        if -1 not in numbers:
            self._order.extend(numbers)
            return
        lines = lines or chunk.splitlines()
        self._order.extend(number for number in numbers if number >= 0)
        self._left_after += [(keys[at], lines[at]) for at, number in enumerate(numbers) if number < 0]

    def _keys(self, chunk: bytes, words: wording.Wording) -> list[bytes]:
        texts = wording.texts(chunk)
        return texts if self._is_plain else words.meanings(texts)

    def _is_odd(self, chunk: bytes) -> bool:
        """Whether a chunk holds flows that cannot be compared by themselves."""
        return b"_timeout=" in chunk or (self._own != b"" and b" cookie=" + self._own in chunk)

    def _sort_out(
        self, chunk: bytes, keys: Sequence[bytes], values: Sequence[_Value], side: Side, timed: _Found[_Value]
    ) -> tuple[list[bytes], list[_Value]]:
        """Take out our own flows, and those that go by themselves; note what is learned."""
        kept: _Found[_Value] = []
        own = b" cookie=" + self._own
        for line, key, value in zip(chunk.splitlines(), keys, values, strict=True):
            if self._own and line.startswith(own) and len(line.partition(b",")[0]) == len(own) + 10:
                side.own += 1
            elif wording.is_timed(key):
                timed.append((key, value))
            else:
                kept.append((key, value))
            if learn := _LEARN.search(key):
                table, priority = _TABLE.search(learn["rest"]), _PRIORITY.search(learn["rest"])
                self._learns.add((table[1] if table else b"1", priority[1] if priority else _DEFAULT_PRIORITY))
        return [key for key, _ in kept], [value for _, value in kept]

    def finish(self) -> list[tuple[int | None, bytes]]:
        """Return the differences, once all flows have been there.

        Returns:
            Pairs of a number, of the flow in the earlier dump, and the line of the later one; None or empty where a
            dump has no such flow.
        """
        self.moved = _moved(self._order)
        before = self._left_before + list(self._waiting.items()) + self._unlearned(self._timed_before, self.before)
        after = self._left_after + self._unlearned(self._timed_after, self.after)
        before, after = _cancel(before, after)
        if before and after:
            known = len(before)
            before, after = _cancel(self._arranged(before, self._earlier), self._arranged(after, self._later))
            self.respelt = known - len(before) if self._is_plain else 0
        else:
            before, after = self._arranged(before, self._earlier), self._arranged(after, self._later)
        if any(conjunction.is_in(key) for key, _ in (*before, *after)):
            before, after = self._rejoined(before, after)
        self._waiting.clear()
        return _paired(before, after)

    def _unlearned(self, timed: _Found[_Value], side: Side) -> _Found[_Value]:
        """Return the flows with a time limit that were not learned."""
        kept = [one for one in timed if _level(one[0]) not in self._learns]
        side.learned = len(timed) - len(kept)
        return kept

    def _arranged(self, found: _Found[_Value], words: wording.Wording) -> _Found[_Value]:
        """Bring flows into the form in which all that is only spelling is gone."""
        versions = {self.before.openflow, self.after.openflow}
        pushed = "OpenFlow10" in versions and len(versions) > 1
        keys: Iterable[bytes] = (key for key, _ in found)
        if self._is_plain:
            keys = words.meanings(keys)
        return [(wording.arranged(key, pushed=pushed), value) for key, (_, value) in zip(keys, found, strict=True)]

    def _rejoined(self, before: _Found[int], after: _Found[bytes]) -> tuple[_Found[int], _Found[bytes]]:
        """Compare conjunctive matches as wholes: with the ids that they have, or with those that fit."""
        earlier = self._arranged(self._joint_before, self._earlier)
        later = self._arranged(self._joint_after, self._later)
        fitting = conjunction.pair([key for key, _ in earlier], [key for key, _ in later])
        ways = [{one: one for one in (*fitting, *fitting.values())}, fitting]
        results: list[tuple[_Found[int], _Found[bytes]]] = []
        for ids in ways:
            kept = {one: one for one in ids.values()}
            renamed = [(conjunction.rename(key, kept), value) for key, value in earlier]
            results.append(_cancel(renamed, [(conjunction.rename(key, ids), value) for key, value in later]))
        best = min(results, key=lambda found: len(found[0]) + len(found[1]))
        self.renumbered = sum(one != other for one, other in fitting.items()) if best is results[1] else 0
        return (
            [one for one in before if not conjunction.is_in(one[0])] + best[0],
            [one for one in after if not conjunction.is_in(one[0])] + best[1],
        )


def _count(side: Side, chunk: bytes, flows: int) -> None:
    side.flows += flows
    side.hit += flows - chunk.count(dump.UNHIT)
    first = _COOKIE.match(chunk)
    if first is not None and chunk.count(first[0]) == flows:
        side.cookies[first[1]] += flows
    else:
        side.cookies.update(_COOKIE.findall(chunk))


def _cancel(before: _Found[int], after: _Found[bytes]) -> tuple[_Found[int], _Found[bytes]]:
    """Take away what is in both, as often as it is in both."""
    waiting: dict[bytes, list[int]] = collections.defaultdict(list)
    for key, number in before:
        waiting[key].append(number)
    left: _Found[bytes] = []
    for key, line in after:
        if numbers := waiting.get(key):
            numbers.pop()
        else:
            left.append((key, line))
    return [(key, number) for key, numbers in waiting.items() for number in numbers], left


def _moved(order: Sequence[int]) -> int:
    """Return how many flows must be moved to bring them into order: all but the longest ascending sequence of them."""
    ends: list[int] = []
    for number in order:
        if not ends or number > ends[-1]:
            ends.append(number)
        else:
            ends[bisect.bisect_left(ends, number)] = number
    return len(order) - len(ends)


def _level(text: bytes) -> tuple[bytes, bytes]:
    """Return a flow's table and priority."""
    head = text.partition(b"actions=")[0]
    table, priority = _TABLE.search(head), _PRIORITY.search(head)
    return table[1] if table else b"0", priority[1] if priority else _DEFAULT_PRIORITY


def _paired(before: _Found[int], after: _Found[bytes]) -> list[tuple[int | None, bytes]]:
    """Join what has the same table, priority and match; in the order of these."""
    places: dict[bytes, list[int]] = collections.defaultdict(list)
    for key, number in before:
        places[_identity(key)].append(number)
    pairs: list[tuple[bytes, int | None, bytes]] = []
    for key, line in after:
        numbers = places[_identity(key)]
        pairs.append((key, numbers.pop(0) if numbers else None, line))
    pairs += [(key, number, b"") for key, numbers in places.items() for number in numbers]
    pairs.sort(key=lambda one: (*_order(one[0]), one[0]))
    return [(number, line) for _, number, line in pairs]


def _identity(text: bytes) -> bytes:
    return _TIMEOUTS.sub(b"", text.partition(b"actions=")[0]).rstrip(b", ")


def _order(text: bytes) -> tuple[int, int]:
    table, priority = _level(text)
    return int(table), -int(priority)
