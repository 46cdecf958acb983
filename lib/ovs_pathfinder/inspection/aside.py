"""What differs between two dumps and means nothing to packets, in words and numbers: it would drown what matters."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from .. import path
from ..vswitch import comparison, difference

_What = Literal["cookies", "order", "counters", "learned", "spelling", "ports", "networks", "conjunctions", "temporary"]


class Aside(path.Model):
    """What differs and means nothing."""

    what: _What
    count: int
    text: str


def told(found: comparison.Compared) -> Iterator[Aside]:
    """Tell what was set aside, a line for each kind that there is."""
    for aside in (*_of_flows(found.bridges), *_of_settings(found)):
        if aside.count:
            yield aside


def _of_flows(bridges: Sequence[difference.Bridge]) -> Iterator[Aside]:
    cookies = {one.name: _others(one.before.cookies, one.after.cookies) for one in bridges}
    yield _counted("cookies", "flows with another cookie, as after a start of the agent", cookies)
    yield _counted("order", "flows that stand elsewhere in the dump", {one.name: one.moved for one in bridges})
    hit = sum(one.before.hit for one in bridges), sum(one.after.hit for one in bridges)
    text = f"counters and ages: {hit[0]} flows had met packets before, {hit[1]} after"
    yield Aside(what="counters", count=max(hit), text=text)
    learned = sum(one.before.learned for one in bridges), sum(one.after.learned for one in bridges)
    text = f"flows learned from packets, which go by themselves: {learned[0]} before, {learned[1]} after"
    yield Aside(what="learned", count=sum(learned), text=text)
    yield _counted("spelling", "flows that are only spelt otherwise", {one.name: one.respelt for one in bridges})
    ids = {one.name: one.renumbered for one in bridges}
    yield _counted("conjunctions", "conjunctive matches with another id", ids)


def _of_settings(found: comparison.Compared) -> Iterator[Aside]:
    ports, networks = found.settings.ports, found.settings.networks
    yield Aside(what="ports", count=len(ports), text=f"ports with another OpenFlow number: {_some(ports)}")
    yield Aside(what="networks", count=len(networks), text=f"networks with another local VLAN: {_some(networks)}")
    own = sum(one.before.own for one in found.bridges), sum(one.after.own for one in found.bridges)
    text = f"ovs-pathfinder's own: {own[0]} flows before, {own[1]} after, {found.settings.own} ports"
    yield Aside(what="temporary", count=sum(own) + found.settings.own, text=text)


def _others(before: Mapping[bytes, int], after: Mapping[bytes, int]) -> int:
    return sum(count for cookie, count in before.items() if cookie not in after)


def _counted(what: _What, text: str, counts: Mapping[str, int]) -> Aside:
    each = ", ".join(f"{count} on {name}" for name, count in counts.items() if count)
    return Aside(what=what, count=sum(counts.values()), text=f"{text}: {each}")


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:5]) + (", …" if len(words) > 5 else "")
