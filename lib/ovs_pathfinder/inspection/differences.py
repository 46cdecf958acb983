"""diff-flows: has anything changed that matters to packets, between two snapshots, or since one?"""

import collections
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from .. import errors, path, words
from ..temporary import flows
from ..vswitch import comparison, named, settings, snapshot, state, tables, wording
from . import answer, aside, context, query, snapshots, storage

NOW = "now"
SHOWN = 200
"""Differences of flows in the answer; where there are more, all of them are in a file."""
_OURS = f"{flows.COOKIE_MARK:#x}".encode()
_PROGRAMS = {
    "vswitchd": "ovs-vswitchd",
    "ovsdb": "ovsdb-server",
    "schema_version": "database schema",
    "kernel": "kernel",
    "charm": "charm",
}


class Query(query.Query):
    """What is compared."""

    before: query.OptionalText = ""
    """A snapshot by name, label or absolute path; the newest of this unit without one."""
    after: query.OptionalText = NOW
    """The same, or `now` for the switch as it is."""


class Source(path.Model):
    """One of the two."""

    name: str
    unit: str
    host: str
    taken: str
    """UTC, ISO 8601."""
    ovs_version: str
    flows: int
    """Those that were compared."""


class Flow(path.Model):
    """A flow that is not the same, with names of ports and networks for numbers."""

    change: Literal["gone", "new", "changed"]
    bridge: str
    table: int
    table_name: str
    """What the table means to Neutron's agent; empty where it means nothing."""
    priority: int
    match: str
    before: str = ""
    """Its actions in the earlier one, with its time limits if it has some."""
    after: str = ""
    ports: tuple[str, ...] = ()
    """Neutron's ports that it names, each with its id, and its MAC address where Open vSwitch knows it."""
    hit_before: int | None = None
    """Packets that had met it."""
    hit_after: int | None = None
    cookie: str = ""
    """Of the later one, or of the flow that is gone."""
    is_foreign: bool = False
    """Whether most flows of the bridge have another cookie."""

    @property
    def place(self) -> str:
        """Where it is, in words."""
        name = f" ({self.table_name})" if self.table_name else ""
        cookie = f", cookie {self.cookie}, unlike most flows there" if self.is_foreign else ""
        return f"{self.bridge} table {self.table}{name}, priority {self.priority}{cookie}"

    @property
    def actions(self) -> str:
        """What it does, or did and does."""
        return " became ".join(one for one in (self.before, self.after) if one)

    def __str__(self) -> str:
        ports = f" [{'; '.join(self.ports)}]" if self.ports else ""
        return f"{self.change}: {self.place}: {self.match or 'any packet'} → {self.actions}{ports}"


class Answer(answer.Answer):
    """What differs, and what was set aside."""

    action: ClassVar[str] = "diff-flows"
    before: Source
    after: Source
    same: bool
    """Whether flows, groups, meters, ports, bridges and settings are the same; versions may differ."""
    bridges: int
    """Bridges that both have."""
    gone: int
    new: int
    changed: int
    flows: tuple[Flow, ...]
    settings: tuple[settings.Setting, ...]
    aside: tuple[aside.Aside, ...]
    file: str = ""
    """All differences, a line each, where there are too many to be shown."""
    fetch: str = ""
    """The command that copies that file to where it is typed."""


def run(query: Query, context: context.Context) -> Answer:
    """Compare.

    Raises:
        PathfinderError: A snapshot cannot be found or read, or the switch does not answer.
    """
    shelf = storage.Storage(context.folder / snapshots.FOLDER)
    if query.before == NOW:
        raise errors.PathfinderError(
            "before=now has nothing later to be compared with; name a snapshot, or leave it out"
        )
    before = snapshot.Snapshot(shelf.find(query.before))
    context.log(f"reading {before.file.name}, taken {before.switch.taken} on {before.switch.host}")
    after = snapshot.Live(context.unit) if query.after == NOW else snapshot.Snapshot(shelf.find(query.after))
    found = comparison.compare(before, after, own=_OURS, log=context.log)
    names = (before.file.name, NOW if isinstance(after, snapshot.Live) else after.file.name)
    rows = list(_rows(found, before.switch, after.switch))
    kinds = collections.Counter(one.change for one in rows)
    file = _keep(rows, found, names, shelf, context.unit) if len(rows) > SHOWN else None
    return Answer(
        summary=_summary(found, kinds),
        notes=tuple(_notes(found, before.switch, after.switch)),
        before=_source(names[0], before.switch, sum(one.before.flows for one in found.bridges)),
        after=_source(names[1], after.switch, sum(one.after.flows for one in found.bridges)),
        same=not rows and not found.unread and not _settings(found),
        bridges=len(found.bridges),
        gone=kinds["gone"],
        new=kinds["new"],
        changed=kinds["changed"],
        flows=tuple(rows[:SHOWN]),
        settings=found.settings.settings,
        aside=tuple(aside.told(found)),
        file=str(file or ""),
        fetch=storage.fetch(context.unit, file) if file else "",
    )


def lines(before: snapshot.Snapshot, after: snapshot.Source) -> list[str]:
    """Return what matters of the differences between two, a line each: settings, then flows.

    Raises:
        PathfinderError: One of them cannot be read, or shows no difference as far as it can be read.
    """
    found = comparison.compare(before, after, own=_OURS)
    rows = list(_rows(found, before.switch, after.switch))
    if found.unread and not rows:
        raise errors.PathfinderError("; ".join(found.unread.values()))
    return [*(str(one) for one in _settings(found)), *(str(one) for one in rows)]


def _source(name: str, switch: state.State, flows: int) -> Source:
    return Source(
        name=name,
        unit=switch.unit,
        host=switch.host,
        taken=switch.taken,
        ovs_version=switch.versions.vswitchd,
        flows=flows,
    )


def _rows(found: comparison.Compared, before: state.State, after: state.State) -> Iterator[Flow]:
    """Tell of each change what an operator needs to know of it."""
    readers = {one.name: (named.Reader(one.name, before), named.Reader(one.name, after)) for one in found.bridges}
    usual = {one.name: [_most(side.cookies) for side in (one.before, one.after)] for one in found.bridges}
    for change in found.changes:
        early, late = readers[change.bridge]
        first = early.read(change.before) if change.before else None
        second = late.read(change.after) if change.after else None
        there = second or first
        if there is None:
            continue
        ports = (late if second else early).ports(there)
        yield Flow(
            change="new" if not first else "changed" if second else "gone",
            bridge=change.bridge,
            table=there.table,
            table_name=tables.name(change.bridge, there.table),
            priority=there.priority,
            match=there.match,
            before=first.actions if first else "",
            after=second.actions if second else "",
            ports=tuple(str(port) for port in ports if port.iface_id),
            hit_before=first.packets if first else None,
            hit_after=second.packets if second else None,
            cookie=there.cookie,
            is_foreign=there.cookie != usual[change.bridge][bool(second)],
        )


def _most(cookies: collections.Counter[bytes]) -> str:
    """Return the cookie that most flows have: the agent's, on Neutron's bridges."""
    return cookies.most_common(1)[0][0].decode(errors="replace") if cookies else ""


def _settings(found: comparison.Compared) -> list[settings.Setting]:
    """Return the settings that differ; a version is none."""
    return [one for one in found.settings.settings if one.kind != "version"]


def _summary(found: comparison.Compared, kinds: Mapping[str, int]) -> str:
    before, after = sum(one.before.flows for one in found.bridges), sum(one.after.flows for one in found.bridges)
    where = f"on {words.many(len(found.bridges), 'bridge')}"
    versions = [
        f"{_PROGRAMS[one.field]} {one.before or 'unknown'} to {one.after or 'unknown'}"
        for one in found.settings.settings
        if one.kind == "version"
    ]
    others = _settings(found)
    if not kinds and not others and not found.unread:
        changed = f"; only the version changed, {versions[0]}" if len(versions) == 1 else ""
        changed = f"; only versions changed, {', '.join(versions)}" if len(versions) > 1 else changed
        return f"The rules are the same: {words.many(after, 'flow')} {where}{changed}."
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in ("gone", "new", "changed") if kinds.get(kind))
    differing = sum(kinds.values())
    differ = f"{words.many(differing, 'flow')} {'differs' if differing == 1 else 'differ'} ({counts})"
    others_ = "of the other bridges " if found.unread else ""
    parts = [f"{differ}, of {before} before and {after} after {where}"] if kinds else []
    if not kinds and found.bridges:
        parts = [f"The flows {others_}are the same: {words.many(after, 'flow')} {where}"]
    if others:
        what = collections.Counter(one.kind for one in others)
        parts.append(
            "different settings: " + ", ".join(words.many(count, f"{kind} setting") for kind, count in what.items())
        )
    if found.unread:
        parts.append(f"whether the flows of {', '.join(found.unread)} are the same is not known")
    if versions:
        parts.append(f"changed versions: {', '.join(versions)}")
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]}."


def _notes(found: comparison.Compared, before: state.State, after: state.State) -> Iterator[str]:
    """Say what could not be compared, and what to mind."""
    if before.host != after.host:
        yield f"The two are of different hosts: {before.host} and {after.host}."
    for bridge, why in found.unread.items():
        yield f"The flows of {bridge} could not be compared: {why}."
    for bridge, count in found.lonely.items():
        yield f"{words.many(count, 'flow')} of {bridge}, which only one of the two has, were not compared."
    for switch in (before, after):
        yield from (sentence for bridge in switch.bridges for sentence in bridge.unread)
    for one in found.bridges:
        early, late = one.before.openflow, one.after.openflow
        if early and late and early != late:
            yield (
                f"The flows of {one.name} were read with {early} before and {late} after; what is known to be the same "
                "in other words was set aside, and all else compared as text."
            )
    ports = after.ports_of(wording.INTEGRATION)
    if unnamed := [
        one.name for one in ports if one.iface_id and one.tag not in (None, state.DEAD_VLAN) and not one.network
    ]:
        yield (
            "The database does not say for which networks the VLANs of these ports stand, so they were compared as "
            f"numbers: {', '.join(unnamed[:5])}{', …' if len(unnamed) > 5 else ''}."
        )


def _keep(
    rows: Sequence[Flow], found: comparison.Compared, names: tuple[str, str], shelf: storage.Storage, unit: str
) -> pathlib.Path:
    """Write all differences into a file, a line each; return where it is."""
    with shelf.writing(unit, kind=storage.DIFFERENCES) as fresh:
        fresh.write(f"# {names[0]} and {names[1]}\n".encode())
        for one in (*found.settings.settings, *rows):
            fresh.write(f"{one}\n".encode())
    shelf.make_room()
    return fresh.file
