"""snapshot-flows: keep all that says how this host's switch treats packets, in one file, to compare it with later."""

from typing import Annotated, ClassVar

import pydantic

from .. import errors, path, words
from ..vswitch import dump, snapshot, state, tables
from . import answer, context, query, storage

FOLDER = "snapshots"
_LABEL = r"^([A-Za-z0-9][A-Za-z0-9._-]{0,39})?$"


class Query(query.Query):
    """What the snapshot is to be called."""

    label: Annotated[str, pydantic.StringConstraints(pattern=_LABEL)] = ""
    """Part of the file's name, such as `before-upgrade`."""


class Table(path.Model):
    """One table of flows, in numbers."""

    bridge: str
    table: int
    name: str
    """What it means to Neutron's agent; empty where it means nothing."""
    flows: int
    hit: int
    """Flows that a packet has met."""


class Bridge(path.Model):
    """One bridge, in numbers."""

    name: str
    openflow: str
    """The version of OpenFlow that its flows were read with: the highest that it speaks."""
    flows: int
    groups: int
    meters: int
    ports: int


class Answer(answer.Answer):
    """Where the snapshot is, what is in it, and how to go on."""

    action: ClassVar[str] = "snapshot-flows"
    name: str
    path: str
    bytes: int
    sha256: str
    unit: str
    host: str
    taken: str
    """UTC, ISO 8601."""
    ovs_version: str
    """Of ovs-vswitchd, as it says itself."""
    bridges: tuple[Bridge, ...]
    tables: tuple[Table, ...]
    removed: tuple[str, ...]
    """Older snapshots that have made room."""
    fetch: str
    """The command that copies the file to where it is typed."""
    compare: str
    """The command that compares the switch with it later."""


def run(query: Query, context: context.Context) -> Answer:
    """Take a snapshot.

    Raises:
        PathfinderError: The switch does not answer, or the file cannot be kept.
    """
    shelf = storage.Storage(context.folder / FOLDER)
    context.log("asking ovsdb-server and ovs-vswitchd for bridges, ports, groups and meters")
    source = snapshot.Live(context.unit, query.label)
    plugged = {(one.bridge, one.name): (one.ofport, one.tag) for one in source.switch.ports}
    seen = _Seen(context)
    with shelf.writing(context.unit, query.label) as fresh:
        written = snapshot.write(source, fresh.write, seen.add)
        if written.errors and not any(written.flows.values()):
            raise errors.PathfinderError(next(iter(written.errors.values())))
        is_steady = state.ofports() == plugged
    return _answer(context, source.switch, written, fresh, seen, shelf.make_room(), is_steady=is_steady)


class _Seen:
    """Counts flows as they pass by, and tells which bridge is being read."""

    def __init__(self, context: context.Context) -> None:
        self._log = context.log
        self._tallies: dict[str, dump.Tally] = {}

    def add(self, bridge: str, chunk: bytes) -> None:
        if bridge not in self._tallies:
            self._log(f"reading the flows of {bridge}")
            self._tallies[bridge] = dump.Tally()
        self._tallies[bridge].add(chunk)

    def tables(self) -> tuple[Table, ...]:
        return tuple(
            Table(
                bridge=bridge,
                table=table,
                name=tables.name(bridge, table),
                flows=count,
                hit=count - tally.unhit[table],
            )
            for bridge, tally in self._tallies.items()
            for table, count in sorted(tally.flows.items())
        )


def _answer(
    context: context.Context,
    switch: state.State,
    written: snapshot.Written,
    fresh: storage.Fresh,
    seen: _Seen,
    removed: list[str],
    *,
    is_steady: bool,
) -> Answer:
    notes = [f"The flows of {bridge} are not all in the snapshot: {why}." for bridge, why in written.errors.items()]
    notes += [sentence for bridge in switch.bridges for sentence in bridge.unread]
    if not is_steady:
        notes.append("Ports were plugged, unplugged or tagged while the snapshot was taken; take another one.")
    flows, name = sum(written.flows.values()), fresh.file.name
    return Answer(
        summary=(
            f"{words.many(flows, 'flow')} on {words.many(len(written.flows), 'bridge')} of Open vSwitch "
            f"{switch.versions.vswitchd or '(version unknown)'} are in {name}, {fresh.bytes} bytes."
        ),
        notes=tuple(notes),
        name=name,
        path=str(fresh.file),
        bytes=fresh.bytes,
        sha256=fresh.sha256,
        unit=switch.unit,
        host=switch.host,
        taken=switch.taken,
        ovs_version=switch.versions.vswitchd,
        bridges=tuple(
            Bridge(
                name=one.name,
                openflow=written.openflow.get(one.name, ""),
                flows=written.flows.get(one.name, 0),
                groups=len(one.groups),
                meters=len(one.meters),
                ports=len(switch.ports_of(one.name)),
            )
            for one in switch.bridges
        ),
        tables=seen.tables(),
        removed=tuple(removed),
        fetch=storage.fetch(context.unit, fresh.file),
        compare=context.command(context.unit, "diff-flows", f"before={name}"),
    )
