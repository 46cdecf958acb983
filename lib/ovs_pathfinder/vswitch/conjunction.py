"""Conjunctive matches (ovs-fields(7)): the same rules under other ids, which an agent gives out anew when it starts.

A flow that matches `conj_id=8`, and those with `conjunction(8,1/2)` and `conjunction(8,2/2)` as actions, are one rule.
An id means nothing by itself, so the ids of two dumps are paired by the flows that they stand in. Neutron's firewall
notes in register 7 which one it was.
"""

import collections
import re
from collections.abc import Iterable, Mapping, Sequence

_ID = re.compile(rb"(?<=conj_id=)\d+|(?<=conjunction\()\d+")
_MATCHED = re.compile(rb"conj_id=(\d+)")
_NOTED = re.compile(rb"set_field:(0x[0-9a-f]+)->reg7\b")
_ROUNDS = 8
"""How often an id that is known may help to tell those that it shares a flow with."""
_MOST = 24
"""Ids in a flow, or in flows alike, up to which they help to tell each other."""

_Votes = dict[tuple[bytes, bytes], float]


def is_in(text: bytes) -> bool:
    """Whether a flow is part of a conjunctive match."""
    return b"conj_id=" in text or b"conjunction(" in text


def pair(before: Sequence[bytes], after: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the id of `before` for each id of `after` that stands in flows like it; never one for two.

    Args:
        before: All flows of a bridge with ids in them.
        after: The same, later.
    """
    before, after = [_plain(text) for text in before], [_plain(text) for text in after]
    found: dict[bytes, bytes] = {}
    votes: _Votes = {}
    for _ in range(_ROUNDS):
        votes = _votes(_traits(before, {one: one for one in found.values()}), _traits(after, found))
        certain = _certain(votes)
        if not certain:
            break
        found |= certain
    taken = set(found.values())
    for one, other in sorted(votes, key=lambda ids: (-votes[ids], int(ids[0]), int(ids[1]))):
        if one not in found and other not in taken:
            found[one] = other
            taken.add(other)
    return found


def rename(text: bytes, ids: Mapping[bytes, bytes]) -> bytes:
    """Return a flow with other ids; one that has none gets one that no other dump has."""
    return _ordered(_ID.sub(lambda found: ids.get(found[0], b"~" + found[0]), _plain(text)))


def _plain(text: bytes) -> bytes:
    """Return a flow with an id that it notes in a register as one that can be seen."""
    matched = _MATCHED.search(text)
    if matched is None or b"->reg7" not in text:
        return text
    return _NOTED.sub(
        lambda noted: b"set_field:" + matched[0] + b"->reg7" if int(noted[1], 16) == int(matched[1]) else noted[0], text
    )


def _traits(texts: Iterable[bytes], known: Mapping[bytes, bytes]) -> dict[bytes, list[bytes]]:
    """Return the ids that are not known yet, by what each of their flows says of them."""
    traits: dict[bytes, list[bytes]] = collections.defaultdict(list)
    for text in texts:
        ids = set(_ID.findall(text))
        if len(ids) <= _MOST:
            for one in ids - known.keys():
                said = _ID.sub(lambda found, own=one: b"@" if found[0] == own else known.get(found[0], b"?"), text)
                traits[_ordered(said)].append(one)
    return traits


def _votes(before: Mapping[bytes, list[bytes]], after: Mapping[bytes, list[bytes]]) -> _Votes:
    """Let each trait that both dumps have speak for the pairs of ids that have it: the rarer, the louder."""
    votes: _Votes = collections.defaultdict(float)
    for trait, ids in after.items():
        others = before.get(trait, [])
        if others and len(ids) <= _MOST and len(others) <= _MOST:
            for one in ids:
                for other in others:
                    votes[one, other] += 1 / (len(ids) * len(others))
    return votes


def _certain(votes: _Votes) -> dict[bytes, bytes]:
    """Return the pairs of which each has more votes than any other pair with one of the two."""
    best: dict[tuple[int, bytes], tuple[float, int]] = {}
    for ids, vote in votes.items():
        for place in enumerate(ids):
            most, how_many = best.get(place, (0.0, 0))
            best[place] = (vote, 1) if vote > most else (most, how_many + (vote == most))
    return {ids[0]: ids[1] for ids, vote in votes.items() if all(best[place] == (vote, 1) for place in enumerate(ids))}


def _ordered(text: bytes) -> bytes:
    """Return a flow with the conjunctions that it is a member of in order: theirs means nothing."""
    head, word, actions = text.partition(b"actions=")
    parts = re.split(rb",(?=conjunction\()", actions)
    return head + word + b",".join(sorted(parts)) if len(parts) > 1 else text
