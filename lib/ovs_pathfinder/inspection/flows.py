"""dump-flows: the flows of a bridge that matter: those that packets meet, of one port, or that move at this moment."""

import collections
import contextlib
import heapq
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, ClassVar, Literal

import pydantic

from .. import errors, path, process
from ..temporary import flows
from ..vswitch import datapath, dump, flow, named, ofctl, selection, state, tables, wording
from . import answer, context, query

_MATCH = r"^[A-Za-z0-9_.:/=,+-]*$"
_NOTHING = re.compile(rb"(?!)")
_OURS = re.compile(rf"{flows.COOKIE_MARK:#x}[0-9a-f]{{10}}")

Owner = Literal["agent", "ovs-pathfinder", "foreign", "unknown"]


def _bridge(value: str) -> str:
    if not ofctl.is_name(value):
        raise ValueError("it is no name of a bridge; give one that `ovs-vsctl list-br` shows")
    return value


class Query(query.Query):
    """Which flows."""

    bridge: Annotated[query.Text, pydantic.AfterValidator(_bridge)] = "br-int"
    table: Annotated[int, pydantic.Field(ge=0, le=254)] | None = None
    port: query.OptionalText = ""
    """A port by name, OpenFlow number, or Neutron's id: flows that name it, or its MAC address."""
    hit: bool = True
    """Only flows that a packet has met."""
    changed: Annotated[float, pydantic.Field(ge=0, le=60)] = 0.0
    """Seconds between two dumps, of which only what differs is shown; 0 for one dump."""
    match: Annotated[str, pydantic.StringConstraints(pattern=_MATCH, max_length=255)] = ""
    """Only flows as narrow as this, or narrower, as ovs-ofctl takes it (`icmp6`, `ip,nw_dst=10.0.0.0/24`)."""
    limit: Annotated[int, pydantic.Field(ge=1, le=1000)] = 100


class Flow(path.Model):
    """A flow, with names of ports and networks for numbers."""

    table: int
    table_name: str
    """What the table means to Neutron's agent; empty where it means nothing."""
    priority: int
    match: str
    actions: str
    packets: int
    bytes: int
    cookie: str
    owner: Owner
    change: selection.Change = ""
    """What has become of it between two dumps."""
    rise: int = 0
    """Packets that met it between two dumps."""
    raw: str
    """As ovs-ofctl printed it."""


class Table(path.Model):
    """One table, in numbers."""

    table: int
    name: str
    flows: int
    hit: int


class Port(path.Model):
    """A port that the flows name."""

    name: str
    ofport: int | None
    id: str
    """Neutron's; empty where it is none of Neutron's."""
    mac: str


class Answer(answer.Answer):
    """The flows, by table and falling priority."""

    action: ClassVar[str] = "dump-flows"
    bridge: str
    openflow: str
    """The version of OpenFlow that they were read with."""
    agent: str
    """The cookie of Neutron's agent on this bridge; empty where it is not known."""
    total: int
    """Flows that the bridge answered with, before hit, port and changed."""
    hit: int
    found: int
    """Flows that were asked for; as many of them are shown as `limit` says."""
    foreign: int
    """Those of them that are neither the agent's nor ours, where the agent's cookie is known."""
    tables: tuple[Table, ...]
    flows: tuple[Flow, ...]
    ports: tuple[Port, ...]


def run(query: Query, context: context.Context) -> Answer:
    """Dump.

    Raises:
        PathfinderError: There is no such bridge or port, or the switch does not answer.
    """
    dumped = dump.Flows(query.bridge, _match(query))
    with contextlib.ExitStack() as ending:
        ending.callback(dumped.cancel)
        if not query.changed:
            dumped.begin()  # while ovsdb-server is asked
        return _answer(query, context, state.read_database(), dumped)


def _answer(query: Query, context: context.Context, switch: state.State, dumped: dump.Flows) -> Answer:
    bridges = [one.name for one in switch.bridges]
    if query.bridge not in bridges:
        raise errors.PathfinderError(
            f"there is no bridge {query.bridge[:40]!r} on this host; name one of {', '.join(bridges) or 'none'}"
        )
    port = _find(switch, query) if query.port else None
    notes = list(_notes(query, port))
    tally = dump.Tally()
    if query.changed:
        found = _moved(query, port, dumped, tally, context.log, notes)
    else:
        found = [selection.Moved(line, "") for line in _lines(dumped, _selection(query, port), tally)]
    return _told(query, switch, dumped, tally, found, notes)


def _find(switch: state.State, query: Query) -> state.Port:
    """Find the port that an operator names; it need not be on the bridge."""
    here = switch.ports_of(query.bridge)
    for one in (*here, *switch.ports):
        if query.port in (one.name, one.iface_id) or (one in here and query.port == str(one.ofport)):
            return one
    raise errors.PathfinderError(
        f"there is no port {query.port[:80]!r} on {query.bridge} or on another bridge of this host; name one of "
        f"{', '.join(one.name for one in here[:20])}"
    )


def _notes(query: Query, port: state.Port | None) -> Iterator[str]:
    if port is not None and port.bridge != query.bridge:
        yield (
            f"{port.name} is on {port.bridge}, so on {query.bridge} only flows with its MAC address "
            f"{port.mac or '(which Open vSwitch does not know)'} were looked for."
        )
    elif port is not None and (port.ofport or 0) < 1:
        yield f"{port.name} has no OpenFlow number, so only flows with its MAC address were looked for: {port.error}."


def _match(query: Query) -> str:
    table = "" if query.table is None else f"table={query.table}"
    return ",".join(part for part in (table, query.match) if part)


def _selection(query: Query, port: state.Port | None) -> selection.Selection:
    hit = query.hit and not query.changed
    if port is None:
        return selection.Selection(hit=hit)
    pattern = selection.of_port(
        port.ofport if port.bridge == query.bridge else None,
        port.mac,
        is_integration=query.bridge == wording.INTEGRATION,
    )
    return selection.Selection(hit=hit, pattern=pattern or _NOTHING, vlan=port.local_vlan)


def _lines(dumped: dump.Flows, wanted: selection.Selection, tally: dump.Tally) -> Iterator[bytes]:
    for chunk in dumped:
        tally.add(chunk)
        yield from wanted.pick(chunk)
    yield from wanted.joint()


def _moved(
    query: Query,
    port: state.Port | None,
    dumped: dump.Flows,
    tally: dump.Tally,
    log: Callable[[str], None],
    notes: list[str],
) -> list[selection.Moved]:
    """Dump twice, and return what differs."""
    log(f"dumping {query.bridge}")
    _make_current(notes)
    first: dict[bytes, bytes] = {}
    began = time.monotonic()
    for chunk in _chunks(dumped, _selection(query, port), dump.Tally()):
        first.update(selection.counters(chunk))
    log(f"dumping {query.bridge} again, {query.changed:g} s later")
    time.sleep(max(0.0, query.changed - (time.monotonic() - began)))
    _make_current(notes)
    return list(selection.moved(first, _chunks(dumped, _selection(query, port), tally)))


def _chunks(dumped: dump.Flows, wanted: selection.Selection, tally: dump.Tally) -> Iterator[bytes]:
    for chunk in dumped:
        tally.add(chunk)
        yield wanted.kept(chunk)
    yield b"".join(line + b"\n" for line in wanted.joint())


def _make_current(notes: list[str]) -> None:
    """Wait until the counters hold what the datapath has forwarded."""
    try:
        datapath.synchronise(time.monotonic())
    except process.ProcessError as error:
        notes.append(f"The counters may lag by some seconds: {error}.")


def _told(
    query: Query,
    switch: state.State,
    dumped: dump.Flows,
    tally: dump.Tally,
    found: list[selection.Moved],
    notes: list[str],
) -> Answer:
    reader = named.Reader(query.bridge, switch)
    agent = _agent(query.bridge)
    shown = heapq.nsmallest(query.limit, found, key=lambda one: selection.order(one.line))
    if len(shown) < len(found):
        notes.append(f"Only the first {len(shown)} of {len(found)} flows are shown; narrow down, or raise limit.")
    if unread := dumped.unread():
        notes.append(f"{unread[0].upper()}{unread[1:]}.")
    parsed = [(one, reader.read(one.line)) for one in shown]
    ports = {port.name: port for _, one in parsed for port in reader.ports(one)}
    total, hit = tally.flows.total(), tally.flows.total() - tally.unhit.total()
    return Answer(
        summary=_summary(query, total, found),
        notes=tuple(notes),
        bridge=query.bridge,
        openflow=dumped.openflow,
        agent=agent,
        total=total,
        hit=hit,
        found=len(found),
        foreign=_foreign(found, agent),
        tables=tuple(
            Table(table=table, name=tables.name(query.bridge, table), flows=count, hit=count - tally.unhit[table])
            for table, count in sorted(tally.flows.items())
        ),
        flows=tuple(_flow(query.bridge, moved, one, agent) for moved, one in parsed),
        ports=tuple(
            Port(name=one.name, ofport=one.ofport, id=one.iface_id, mac=one.mac) for _, one in sorted(ports.items())
        ),
    )


def _flow(bridge: str, moved: selection.Moved, one: flow.Flow, agent: str) -> Flow:
    return Flow(
        table=one.table,
        table_name=tables.name(bridge, one.table),
        priority=one.priority,
        match=one.match,
        actions=one.actions,
        packets=one.packets,
        bytes=one.bytes,
        cookie=one.cookie,
        owner=_owner(one.cookie, agent) if moved.change != "gone" else "unknown",
        change=moved.change,
        rise=moved.rise,
        raw=one.raw,
    )


def _agent(bridge: str) -> str:
    """Return the cookie of Neutron's agent: that of the one flow of a table in which it has one."""
    if bridge not in tables.AGENTS_OWN:
        return ""
    with contextlib.suppress(process.ProcessError):  # the flows themselves were read, or their error is told
        found = flow.dump(bridge, f"table={tables.AGENTS_OWN[bridge]}")
        return found[0].cookie if len(found) == 1 else ""
    return ""


def _owner(cookie: str, agent: str) -> Owner:
    if _OURS.fullmatch(cookie):
        return "ovs-pathfinder"
    return "agent" if cookie == agent else "foreign" if agent else "unknown"


def _foreign(found: Iterable[selection.Moved], agent: str) -> int:
    if not agent:
        return 0
    cookies = (one.line.partition(b",")[0].removeprefix(b" cookie=").decode() for one in found if one.change != "gone")
    return sum(_owner(cookie, agent) == "foreign" for cookie in cookies)


def _summary(query: Query, total: int, found: list[selection.Moved]) -> str:
    table = "" if query.table is None else f"table {query.table}"
    where = ", ".join(part for part in (query.bridge, table, query.match) if part)
    if query.changed:
        kinds = collections.Counter(one.change for one in found)
        return (
            f"Within {query.changed:g} s packets met {kinds['moved']} of {total} flows of {where}"
            f"{f' that name {query.port}' if query.port else ''}; {kinds['new']} new, {kinds['gone']} gone."
        )
    those = " and ".join(
        part for part in (f"name {query.port}" if query.port else "", "met packets" if query.hit else "") if part
    )
    return f"{len(found)} of {total} flows of {where}{f': those that {those}' if those else ''}."
