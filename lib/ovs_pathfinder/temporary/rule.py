"""An operator's flows, as ovs-ofctl takes them (ovs-ofctl(8), ovs-fields(7)): read, and checked one by one.

A field is read as ovs-ofctl reads it, or refused: what it would cut off without a word would match other packets.
"""

import re
from collections.abc import Iterable
from typing import Annotated

import pydantic

from .. import errors, path

MOST = 100
"""Flows that are added at once, at the most."""
_LONGEST = 20_000
_STRANGE = re.compile(r"[^A-Za-z0-9_.:/=,()\[\]>+@ -]")
# ovs-ofctl takes `table:3` and `table(3)` for `table=3`, too: a field must not be read otherwise than here.
_FIELD = r"[a-z][a-z0-9_]*(=[A-Za-z0-9_.:/+@-]+)?"
_NO_MATCH = (
    *("cookie", "hard_timeout", "idle_timeout", "importance"),
    *("send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts", "allow_hidden_fields"),
    *("duration", "n_packets", "n_bytes", "idle_age", "hard_age", "out_port", "out_group", "action", "actions"),
)
# What does not fit into these, or into a byte of an address, ovs-ofctl cuts off without a word.
_FITTING = {
    "dl_vlan": range(4096),
    "dl_vlan_pcp": range(8),
    "vlan_pcp": range(8),
    "nw_tos": range(0, 256, 4),
    "ip_dscp": range(64),
    "ip_ecn": range(4),
    "nw_ecn": range(4),
    "arp_op": range(256),
}
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,16}")
_FOUR_BYTES = re.compile(r"[0-9]+(\.[0-9]+){3}")
_SIX_BYTES = re.compile(r"[0-9a-fA-F]+(:[0-9a-fA-F]+){5}")
_LASTING = {"learn": "learns other flows", "commit": "commits connections to conntrack"}
_WORD = re.compile(r"[a-z0-9_]+")


class Rule(path.Model):
    """One flow to be added."""

    table: Annotated[int, pydantic.Field(ge=0, le=253)] = 0
    priority: Annotated[int, pydantic.Field(ge=0, le=65535)] = 32768
    match: Annotated[str, pydantic.StringConstraints(pattern=rf"^({_FIELD}(,{_FIELD})*)?$")]
    """Fields as ovs-ofctl takes them, such as `icmp6,in_port=3`."""
    actions: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_.:/=,()\[\]>+@-]+$")] = "NORMAL"

    @property
    def level(self) -> tuple[int, int]:
        """The table and the priority."""
        return self.table, self.priority

    @property
    def strict(self) -> str:
        """What names the flow for a strict deletion."""
        return f"table={self.table},priority={self.priority}" + (f",{self.match}" if self.match else "")

    @property
    def fields(self) -> dict[str, str]:
        """The match as a dictionary; a field without a value (`icmp6`) has an empty one."""
        found = (field.partition("=") for field in self.match.split(",") if field)
        return {name: value for name, _, value in found}

    def __str__(self) -> str:
        return f"{self.strict},actions={self.actions}"


def parse(text: str) -> tuple[Rule, ...]:
    """Read an operator's flows, parted by blanks: `table=0,priority=96,icmp6,in_port=3,actions=NORMAL …`.

    Raises:
        PathfinderError: One of them is no flow, or holds what a temporary flow may not.
    """
    if len(text) > _LONGEST:
        raise errors.PathfinderError(f"the flows are {len(text)} characters, more than {_LONGEST}; give fewer")
    strange = sorted(set(_STRANGE.findall(text)))
    if strange:
        raise errors.PathfinderError(
            f"the flows hold {', '.join(map(ascii, strange))[:80]}, which no flow needs; give them in one line, "
            "parted by blanks, as ovs-ofctl takes them"
        )
    found: list[Rule] = []
    open_: list[str] = []
    for word in text.split():
        fields, is_end, actions = word.partition("actions=")
        open_.append(word)
        if is_end and actions and fields[-1:] in ("", ","):
            found.append(_rule(",".join([*open_[:-1], fields]), actions))
            open_.clear()
    if open_ or not found:
        raise errors.PathfinderError(
            f"the flows end in {' '.join(open_)[:80]!r}, which has no actions; each flow ends with its actions, "
            "which hold no blanks: table=0,priority=96,icmp6,in_port=3,actions=NORMAL"
        )
    if len(found) > MOST:
        raise errors.PathfinderError(f"{len(found)} flows are more than {MOST}, the most that are added; give fewer")
    return tuple(found)


def _rule(text: str, actions: str) -> Rule:
    named: dict[str, str] = {}
    fields = [field for field in text.split(",") if field]
    shown = f"the flow {','.join([*fields, f'actions={actions}'])[:80]!r}"
    for field in fields:
        name, _, value = field.partition("=")
        if not re.fullmatch(_FIELD, field):
            raise errors.PathfinderError(
                f"{shown} has {field[:80]!r}, which is no field; a field is a name, or name=value, such as in_port=3"
            )
        if name in named:
            raise errors.PathfinderError(f"{shown} has {name[:80]} twice; give it once")
        if not all(_fits(name, part) for part in value.split("/")):
            raise errors.PathfinderError(
                f"{shown} has {field[:80]}, which does not fit and would be cut to another value; correct it"
            )
        named[name] = value
    _refuse(shown, named, actions)
    head = {name: _number(shown, name, named.pop(name)) for name in ("table", "priority") if name in named}
    match = ",".join(field for field in fields if field.partition("=")[0] in named)
    try:
        return Rule(match=match, actions=actions, **head)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise errors.PathfinderError(
            f"{shown} cannot have {first['loc'][0]} {first['input']!r}: {first['msg'].lower()}"
        ) from error


def _fits(name: str, value: str) -> bool:
    if name in _FITTING and _NUMBER.fullmatch(value):
        return int(value, 16 if value[1:2] in ("x", "X") else 10) in _FITTING[name]
    if _FOUR_BYTES.fullmatch(value):
        return all(len(byte) <= 3 and int(byte) <= 255 for byte in value.split("."))
    return not _SIX_BYTES.fullmatch(value) or all(len(byte) <= 2 for byte in value.split(":"))


def _refuse(shown: str, named: Iterable[str], actions: str) -> None:
    """Refuse what is the business of ovs-pathfinder, and what would outlive the flow.

    Raises:
        PathfinderError: The flow has such a thing.
    """
    for name in named:
        if name in _NO_MATCH:
            raise errors.PathfinderError(
                f"{shown} has {name}, which is not matched, and ovs-pathfinder sets what is needed itself; leave it out"
            )
        if name in ("reg15", "xreg7", "xxreg3"):
            raise errors.PathfinderError(
                f"{shown} matches {name}, by which ovs-pathfinder tells whether a priority is free; leave it out"
            )
    for word in _WORD.findall(actions.lower()):
        if word in _LASTING:
            raise errors.PathfinderError(
                f"{shown} {_LASTING[word]}, which could not be undone; give one without {word}"
            )


def _number(shown: str, name: str, value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise errors.PathfinderError(f"{shown} has {name} {value[:80]!r}, which is no number; give one")
    return int(value)
