"""Circles of `ct(table=…)`: Open vSwitch before a fix follows them for ever in a trace, and takes the host's memory.

Each `ct(table=…)` is a recirculation, from which a trace goes on by itself. Before commit 6fc215de3 nothing limits how
often: ovs-vswitchd answers nothing any more, and grows until the kernel ends it. Neutron's own flows go from table 71
to 72 and from 81 to 82, and never back. The datapath drops such packets after a few rounds, so they do no harm there.

A circle is reported wherever a packet may come to one: a field whose value is not known may have any.
"""

import collections
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from .. import errors, path, process
from . import daemon, dump, flow, ofctl, pipeline, state

_FIXED = {(2, 17): 10, (3, 0): 7, (3, 1): 5, (3, 2): 3, (3, 3): 1}
"""The first patch release of each series that ends such a trace; none before these series does, all after them do."""
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_SHELF_LIFE = 60.0
"""Seconds for which flows that were read are taken for what is there: as long as an action needs them."""
_MOST_MATCHES = 32
"""Flows of a table with the same actions that are told apart; more count as one that any packet may match."""
_MOST_FLOWS = 10_000
"""Flows of a bridge that lead on and differ in what they do; with more, nothing is known."""
_MOST_STATES = 5_000
"""Places that a packet may come to, told apart by what is known of it there; with more, nothing is known."""
_TABLE = re.compile(rb" table=(\d+),")
_RECIRCULATED = re.compile(r"\brecirc_id\(0x([0-9a-f]+)\)")
_IN_PORT = re.compile(r"\bin_port\(([^)]*)\)")
_KEY = re.compile(r"\b(eth_type|proto)(?:\(|=)(0x[0-9a-f]+|\d+)[,)]|\bicmp(?:v6)?\(type=(\d+)[,)]")


class Loop(path.Model):
    """A circle that a packet may come to."""

    flows: tuple[flow.Flow, ...]
    """Those that recirculate in it; empty where the flows were too many to be followed."""
    bridges: tuple[str, ...] = ()
    """Of each flow."""

    def __str__(self) -> str:
        """Say so, without a full stop."""
        if not self.flows:
            return "its flows are too many to tell whether a packet may recirculate in a circle"
        named = zip(self.bridges, self.flows, strict=True)
        return "a packet may recirculate in a circle by " + " and ".join(
            f"{bridge} table={one.table},priority={one.priority}{f',{one.match}' if one.match else ''} "
            f"actions={one.actions[:200]}"
            for bridge, one in named
        )


def affects(version: str) -> bool:
    """Say whether a version of Open vSwitch may follow a circle for ever; one that is not understood may."""
    found = _VERSION.match(version)
    if found is None:
        return True
    major, minor, patch = (int(part) for part in found.groups())
    return (major, minor) <= max(_FIXED) and patch < _FIXED.get((major, minor), patch + 1)


class _Place(NamedTuple):
    """Where a packet may be."""

    bridge: str
    table: int
    known: frozenset[tuple[str, int]]
    is_outer: bool = False
    """Whether it is a tunnel's packet, which the switch itself sends in the bridge of the underlay."""


class _Rule(NamedTuple):
    """A flow, or one that stands for many with the same actions, whose matches and priorities differ."""

    flow: flow.Flow
    done: tuple[pipeline.Do, ...]
    is_one: bool


class _Flows:
    """Those flows of a bridge that lead on, by table."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        kept: dict[tuple[int, bytes], list[flow.Flow] | flow.Flow] = {}
        for chunk in chunks:
            for line in chunk.splitlines():
                _, _, actions = line.partition(b" actions=")
                if not pipeline.leads_on(pipeline.read(actions.decode(errors="replace"))):
                    continue
                _keep(kept, line, actions)
        self.tables: dict[int, list[_Rule]] = collections.defaultdict(list)
        for (table, _), flows in kept.items():
            is_one = isinstance(flows, list)
            for one in flows if isinstance(flows, list) else [flows]:
                self.tables[table].append(_Rule(one, pipeline.read(one.actions), is_one))
        for rules in self.tables.values():
            rules.sort(key=lambda rule: rule.flow.priority, reverse=True)
        programs = [rule.done for rules in self.tables.values() for rule in rules]
        self.written = frozenset(one.name for done in programs for one in _all(done) if one.what in ("set", "forget"))
        self.entries = frozenset(
            one.number
            for done in programs
            for one in _all(done)
            if one.what == "recirculate" and one.number is not None
        )
        self.groups: dict[int, tuple[pipeline.Do, ...]] | None = None


def _keep(kept: "dict[tuple[int, bytes], list[flow.Flow] | flow.Flow]", line: bytes, actions: bytes) -> None:
    """Keep a flow that leads on; of many with the same actions in a table, one that any packet may match."""
    found = _TABLE.search(line)
    key = (int(found[1]) if found else 0, actions)
    others = kept.setdefault(key, [])
    if not isinstance(others, list):
        return
    if len(kept) > _MOST_FLOWS:
        raise _TooManyError("too many flows lead on")
    read = flow.parse(line.decode(errors="replace"))
    if read is None or len(others) >= _MOST_MATCHES:
        first = others[0] if others else flow.Flow(table=key[0])
        kept[key] = first.model_copy(update={"match": "", "actions": actions.decode(errors="replace")})
    else:
        others.append(read)


def _all(done: Sequence[pipeline.Do]) -> Iterator[pipeline.Do]:
    for one in done:
        yield one
        yield from _all(one.inner)


class _TooManyError(errors.PathfinderError):
    """There is more than can be followed."""


class Switch:
    """The flows of a switch, each bridge's read once, when a packet may first come there."""

    def __init__(self, switch: state.State, dumped: Callable[[str], Iterable[bytes]] = dump.Flows) -> None:
        """Take what the database says, and what yields a bridge's flows in chunks of whole lines."""
        self._switch = switch
        self._dumped = dumped
        self._ports = {(one.bridge, one.ofport): one for one in switch.ports if one.ofport is not None}
        self._named = {one.name: one for one in switch.ports}
        self._read: dict[str, _Flows] = {}

    def find(self, bridge: str, text: str, actions: str = "") -> Loop | None:
        """Return the circle that a packet may come to, which a trace of `text` is about; None where there is none.

        Args:
            bridge: Where it comes in; or a datapath, and `text` is the key of a datapath's flow.
            text: The packet, as a flow.
            actions: What it begins with instead of the bridge's first table.

        Raises:
            PathfinderError: The flows cannot be read.
        """
        try:
            starts = self._starts(bridge, text)
            if actions:
                begun = [self._follow(one, dict(one.known), pipeline.read(actions)) for one in starts]
                starts = [place for places in begun for place, _ in places]
            ways = self._explore(starts)
        except _TooManyError:
            return Loop(flows=())
        for start, nexts in ways.items():
            for target, by in nexts.items():
                if by is not None and start in _reached(ways, target):
                    return self._loop(ways, start, target)
        return None

    def _loop(self, ways: "_Ways", start: _Place, target: _Place) -> Loop:
        """Name the flows that recirculate between a place and itself."""
        inside = {one for one in _reached(ways, target) if start in _reached(ways, one)}
        found: dict[tuple[str, str], flow.Flow] = {}
        for one in inside:
            for other, by in ways.get(one, {}).items():
                if by is not None and other in inside:
                    found[one.bridge, by.raw] = by
        return Loop(flows=tuple(found.values()), bridges=tuple(bridge for bridge, _ in found))

    def _starts(self, bridge: str, text: str) -> list[_Place]:
        names = {one.name for one in self._switch.bridges}
        if bridge in names:
            known = pipeline.packet(text)
            named = re.search(r"(?:^|,)in_port=\"?([^,\"]+)", text)
            port = self._named.get(named[1]) if named else None
            if port is not None and port.ofport is not None:
                known["in_port"] = port.ofport
            return [_Place(bridge, 0, frozenset(known.items()))]
        return self._of_key(text)

    def _of_key(self, key: str) -> list[_Place]:
        """Return where the packets of a datapath's flow may be: one that was recirculated goes on in any such table."""
        known = {"eth_type": 0, "proto": 0}
        for name, number, kind in _KEY.findall(key):
            known |= {"icmp_type": int(kind)} if kind else {name: int(number, 0)}
        fields = {"eth_type": known["eth_type"], "ip_proto": known["proto"]}
        fields = {name: number for name, number in fields.items() if number}
        fields |= {"icmp_type": known["icmp_type"]} if "icmp_type" in known else {}
        found = _RECIRCULATED.search(key)
        if found is None or int(found[1], 16) == 0:
            entry = _IN_PORT.search(key)
            port = self._named.get(entry[1]) if entry else None
            if port is not None and port.ofport is not None:
                return [_Place(port.bridge, 0, frozenset({**fields, "in_port": port.ofport}.items()))]
        places: list[_Place] = []
        for one in self._switch.bridges:
            tables = {*self._flows(one.name).entries, *(() if found and int(found[1], 16) else (0,))}
            places += [_Place(one.name, table, frozenset(fields.items())) for table in tables]
        return places

    def _explore(self, starts: Sequence[_Place]) -> "_Ways":
        """Follow a packet to every place that it may come to."""
        ways: _Ways = {}
        waiting = list(starts)
        while waiting:
            here = waiting.pop()
            if here in ways:
                continue
            if len(ways) >= _MOST_STATES:
                raise _TooManyError("a packet may come to too many places")
            nexts = ways[here] = {}
            for rule in self._met(here):
                for target, recirculates in self._follow(here, dict(here.known), rule.done):
                    nexts[target] = rule.flow if recirculates else nexts.get(target)
            waiting += nexts
        return ways

    def _met(self, here: _Place) -> Iterator[_Rule]:
        """Yield the flows of a table that a packet may meet: none below one that it is certain to match."""
        known = dict(here.known)
        floor = 0
        for rule in self._flows(here.bridge).tables.get(here.table, ()):
            if (rule.is_one and rule.flow.priority < floor) or not pipeline.matches(rule.flow.match, known):
                continue
            yield rule
            if rule.is_one and pipeline.is_certain(rule.flow.match, known):
                floor = max(floor, rule.flow.priority)

    def _follow(
        self, here: _Place, known: dict[str, int], done: Sequence[pipeline.Do]
    ) -> Iterator[tuple[_Place, bool]]:
        """Yield where actions lead a packet, and whether by a recirculation; `known` becomes what it is after them."""
        for one in done:
            if one.what == "set" and one.name and one.number is not None:
                known[one.name] = one.number
            elif one.what == "forget":
                _forget(known, one.name)
            elif one.what == "table":
                table = here.table if one.number is None else one.number
                came_in = known if one.port is None else {**known, "in_port": one.port}
                yield here._replace(table=table, known=frozenset(came_in.items())), False
                for name in self._flows(here.bridge).written:  # what comes behind it sees what that table has done
                    _forget(known, name)
            elif one.what == "recirculate":
                again = {name: value for name, value in known.items() if one.name != "nat" or name[:2] not in _NAT}
                yield here._replace(table=one.number or 0, known=frozenset(again.items())), True
            elif one.what == "inside":
                yield from self._follow(here, dict(known), one.inner)
            elif one.what == "group":
                buckets = self._groups(here.bridge).get(one.number or 0, ())
                yield from self._follow(here, dict(known), buckets)
            else:
                for place in self._leave(here, known, one):
                    yield place, False

    def _leave(self, here: _Place, known: pipeline.Known, by: pipeline.Do) -> Iterator[_Place]:
        """Yield where a packet comes in again that leaves by a port: at the other end of a patch, on another bridge."""
        came_in = known.get("in_port")
        number = came_in if by.name == "in_port" else by.number
        vlan = self._vlan(here, known) if by.what == "normal" else None
        for port in self._switch.ports_of(here.bridge):
            is_back = port.ofport == came_in and by.name != "in_port"
            if is_back or (number is not None and port.ofport != number):
                continue
            if by.what == "normal" and vlan is not None and not _carries(port, vlan):
                continue
            yield from self._behind(here, known, port, by, vlan)

    def _behind(
        self, here: _Place, known: pipeline.Known, port: state.Port, by: pipeline.Do, vlan: int | None
    ) -> Iterator[_Place]:
        """Yield where a packet comes in that leaves by a port."""
        if "remote_ip" in port.options and not here.is_outer:
            yield from self._outside(port)
        peer = self._named.get(port.options.get("peer", "")) if port.type == "patch" else None
        if peer is None or peer.ofport is None or here.is_outer:
            return
        fields = {name: value for name, value in known.items() if not name.startswith("reg")}
        fields |= {f"reg{number}": 0 for number in range(16)} | {"in_port": peer.ofport}
        if by.what == "normal":
            fields.pop("vlan", None)
            if port.tag is not None and not port.vlan_mode.replace("access", ""):
                fields["vlan"] = 0
            elif vlan is not None:
                fields["vlan"] = vlan | pipeline.TAGGED if vlan else 0
        yield _Place(peer.bridge, 0, frozenset(fields.items()))

    def _outside(self, tunnel: state.Port) -> Iterator[_Place]:
        """Yield where a tunnel's packet comes in: with the datapath in userspace the host's own bridge sends it."""
        known = {f"reg{number}": 0 for number in range(16)} | {"vlan": 0}
        known |= {"ip_proto": 47 if tunnel.type in ("gre", "ip6gre") else 17}
        userspace = {one.name for one in self._switch.bridges if one.datapath_type == "netdev"}
        for port in self._switch.ports:
            if port.type == "internal" and not port.iface_id and port.bridge in userspace and port.ofport is not None:
                fields = frozenset({**known, "in_port": port.ofport}.items())
                yield _Place(port.bridge, 0, fields, is_outer=True)

    def _vlan(self, here: _Place, known: pipeline.Known) -> int | None:
        """Return the VLAN in which MAC learning takes a packet to be; None where that is not known."""
        entry = self._ports.get((here.bridge, known.get("in_port", -1)))
        tagged = known.get("vlan")
        if entry is None or tagged is None:
            return None
        if tagged == 0 and entry.tag is not None:
            return entry.tag
        return tagged & 0xFFF

    def _flows(self, bridge: str) -> _Flows:
        if bridge not in self._read:
            self._read[bridge] = _Flows(self._dumped(bridge))
        return self._read[bridge]

    def _groups(self, bridge: str) -> dict[int, tuple[pipeline.Do, ...]]:
        flows = self._flows(bridge)
        if flows.groups is None:
            command = ofctl.command(bridge, ["dump-groups"])
            flows.groups = {}
            for line in process.run(command, timeout=10).splitlines():
                if (found := re.match(r"\s*group_id=(\d+)", line)) is not None:
                    buckets = re.findall(r"actions=(.*?)(?=,bucket=|$)", line)
                    flows.groups[int(found[1])] = tuple(one for text in buckets for one in _copy(text))
        return flows.groups


_NAT = ("ip", "tp", "ic")
"""How the names of the fields begin that conntrack may translate: addresses, ports, and ICMP's."""
_Ways = dict[_Place, dict[_Place, flow.Flow | None]]
"""From each place to the next ones, with the flow where that is by a recirculation."""


def _copy(text: str) -> Iterator[pipeline.Do]:
    """Return what a bucket of a group does, each to a copy of its own."""
    yield pipeline.Do("inside", inner=pipeline.read(text.strip()))


def _forget(known: dict[str, int], name: str) -> None:
    for field in [one for one in known if one != "in_port" and one.startswith(name)] if name in ("", "reg") else [name]:
        known.pop(field, None)


def _carries(port: state.Port, vlan: int) -> bool:
    """Say whether a port may send packets of a VLAN (vlan_mode in ovs-vswitchd.conf.db(5))."""
    if port.vlan_mode not in ("", "access", "trunk"):
        return True
    if port.tag is not None and port.vlan_mode != "trunk":
        return port.tag == vlan
    return not port.trunks or vlan in port.trunks


def _reached(ways: _Ways, start: _Place) -> set[_Place]:
    """Return the places that can be reached from one, that one among them."""
    found, waiting = {start}, [start]
    while waiting:
        new = set(ways.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


class _Latest:
    """What was read of this host's switch of late; traces run side by side."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = ("", 0.0)
        """Of which process of ovs-vswitchd, and when."""
        self._switch: Switch | None = None

    def find(self, bridge: str, text: str, actions: str) -> Loop | None:
        """Return the circle that a trace may come to, and follow for ever in the version that runs."""
        with self._lock:
            asked, now = daemon.identity(), time.monotonic()
            if not self._read[1] or self._read[0] != asked or now - self._read[1] > _SHELF_LIFE:
                self._switch = Switch(state.read_database()) if affects(daemon.version()) else None
                self._read = asked, now
            return self._switch.find(bridge, text, actions) if self._switch is not None else None


_latest = _Latest()


def find(bridge: str, text: str, actions: str = "") -> Loop | None:
    """Return the circle that a trace may come to on this host, where its Open vSwitch would not end it.

    Flows are read once a minute at most.

    Args:
        bridge: As `Switch.find`.
        text: The same.
        actions: The same.

    Raises:
        PathfinderError: The switch does not answer.
    """
    return _latest.find(bridge, text, actions)
