"""What differs between two states of a switch besides its flows: versions, settings, bridges, ports, groups, meters."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from .. import path
from . import state, wording

_Kind = Literal["version", "switch", "bridge", "port", "group", "meter"]
OUR_KEY = "ovs-pathfinder"
"""In the external_ids of what ovs-pathfinder puts into the database for a moment (`temporary.mirror`)."""
_ID = re.compile(r"(?:group_id|meter)=(\d+)[, ]?")
_BUCKET_ID = re.compile(r"bucket_id:\d+,")


class Setting(path.Model):
    """One thing that is not the same; empty where there was, or is, none."""

    kind: _Kind
    name: str
    """Of the bridge, the port, or the program; `br-int 5` for a group or meter."""
    field: str = ""
    before: str = ""
    after: str = ""

    def __str__(self) -> str:
        what = " ".join(part for part in (self.kind, self.name, self.field) if part)
        return f"{what}: {self.before or 'none'} before, {self.after or 'none'} after"


class Compared(path.Model):
    """What differs, and what only looks as if it did."""

    settings: tuple[Setting, ...] = ()
    ports: tuple[str, ...] = ()
    """Ports that have another number and nothing else: `tap93fff561-bf 5 to 7`."""
    networks: tuple[str, ...] = ()
    """Networks that have another local VLAN: `gre/753 1 to 2`."""
    own: int = 0
    """Temporary ports of ours, in either."""


def compare(before: state.State, after: state.State) -> Compared:
    """Compare two states."""
    found = list(_fields("version", "", before.versions.model_dump(), after.versions.model_dump()))
    for field in ("other_config", "external_ids"):
        found += _maps("switch", "Open_vSwitch", field, getattr(before, field), getattr(after, field))
    found += _bridges(before, after)
    earlier, later = ({(one.bridge, one.name): one for one in side.ports} for side in (before, after))
    ours = {key for key, one in (*earlier.items(), *later.items()) if OUR_KEY in one.external_ids}
    networks = wording.names(before, wording.INTEGRATION).networks, wording.names(after, wording.INTEGRATION).networks
    ports: list[str] = []
    for key in sorted((earlier.keys() | later.keys()) - ours):
        first, second = earlier.get(key), later.get(key)
        found += _port(first, second, networks)
        if first and second and first.ofport != second.ofport and _is_open(first) and _is_open(second):
            ports.append(f"{second.name} {first.ofport} to {second.ofport}")
    return Compared(settings=tuple(found), ports=tuple(ports), networks=_renumbered(*networks), own=len(ours))


def _renumbered(before: Mapping[int, str], after: Mapping[int, str]) -> tuple[str, ...]:
    later = {name: vlan for vlan, name in after.items()}
    return tuple(
        f"{name} {vlan} to {later[name]}" for vlan, name in sorted(before.items()) if later.get(name, vlan) != vlan
    )


def _bridges(before: state.State, after: state.State) -> Iterable[Setting]:
    earlier, later = ({one.name: one for one in side.bridges} for side in (before, after))
    for name in sorted(earlier.keys() | later.keys()):
        first, second = earlier.get(name), later.get(name)
        if first is None or second is None:
            yield Setting(kind="bridge", name=name, before="there" if first else "", after="there" if second else "")
            continue
        skipped = {"name", "groups", "meters", "unread"}
        yield from _fields("bridge", name, first.model_dump(exclude=skipped), second.model_dump(exclude=skipped))
        early, late = wording.together(wording.names(before, name), wording.names(after, name))
        yield from _records("group", name, _named(first.groups, name, early), _named(second.groups, name, late))
        yield from _records("meter", name, _numbered(first.meters), _numbered(second.meters))


def _named(groups: Iterable[str], bridge: str, names: wording.Names) -> dict[str, str]:
    """Return groups by number, with names of ports; ids of buckets are an order of OpenFlow 1.5 alone."""
    words = wording.Wording(bridge, names)
    (*said,) = words.meanings(_BUCKET_ID.sub("", group).encode() for group in groups)
    return _numbered(one.decode() for one in said)


def _numbered(records: Iterable[str]) -> dict[str, str]:
    found = ((_ID.match(record), record) for record in records)
    return {number[1] if number else record: record[number.end() if number else 0 :] for number, record in found}


def _records(kind: _Kind, bridge: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[Setting]:
    for number in sorted(before.keys() | after.keys()):
        first, second = before.get(number, ""), after.get(number, "")
        if first != second:
            yield Setting(kind=kind, name=f"{bridge} {number}", before=first, after=second)


def _port(
    before: state.Port | None, after: state.Port | None, networks: tuple[Mapping[int, str], Mapping[int, str]]
) -> Iterable[Setting]:
    there = after or before
    assert there is not None  # noqa: S101
    name = f"{there} on {there.bridge}"
    if before is None or after is None:
        yield Setting(kind="port", name=name, before=_wired(before), after=_wired(after))
        return
    skipped = {"bridge", "name", "ofport", "tag", "other_config"}
    yield from _fields("port", name, before.model_dump(exclude=skipped), after.model_dump(exclude=skipped))
    noted = [{key: value for key, value in one.other_config.items() if key != "tag"} for one in (before, after)]
    yield from _maps("port", name, "other_config", *noted)
    yield from _fields("port", name, {"tag": _tag(before, networks[0])}, {"tag": _tag(after, networks[1])})
    if _is_open(before) != _is_open(after):
        yield Setting(kind="port", name=name, field="ofport", before=str(before.ofport), after=str(after.ofport))


def _wired(port: state.Port | None) -> str:
    return "" if port is None else f"there, {port.type or 'system'}, ofport {port.ofport}"


def _is_open(port: state.Port) -> bool:
    return port.ofport is not None and port.ofport > 0


def _tag(port: state.Port, networks: Mapping[int, str]) -> str:
    """Return the tag as the network that it stands for; on another bridge than br-int it stands for itself."""
    if port.tag is None:
        return ""
    if port.tag == state.DEAD_VLAN:
        return f"{port.tag}, the dead VLAN"
    network = networks.get(port.tag, "") if port.bridge == wording.INTEGRATION else ""
    return network or str(port.tag)


def _fields(kind: _Kind, name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[Setting]:
    for field, first in before.items():
        second = after[field]
        if isinstance(first, Mapping):
            yield from _maps(kind, name, field, first, second)  # pyright: ignore[reportUnknownArgumentType]
        elif first != second:
            yield Setting(kind=kind, name=name, field=field, before=_said(first), after=_said(second))


def _maps(kind: _Kind, name: str, field: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[Setting]:
    for key in sorted(before.keys() | after.keys()):
        first, second = before.get(key, ""), after.get(key, "")
        if first != second:
            yield Setting(kind=kind, name=name, field=f"{field}:{key}", before=first, after=second)


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
