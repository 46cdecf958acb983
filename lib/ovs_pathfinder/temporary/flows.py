"""Temporary flows: added and strictly deleted in OpenFlow bundles, under a cookie of their own, with a time limit.

What is relied on was tried with Open vSwitch 3.1: `add` silently replaces a flow with the same table, priority and
match; `check_overlap` looks at one priority, not at a flow that would be replaced, and not at flows added by the same
bundle; a bundle is atomic, and what it adds and deletes again is never seen by a packet.
"""

import contextlib
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import pydantic

from .. import cloud, errors, path, process
from ..vswitch import database, flow
from . import change

COOKIE_MARK = 0x6F7066
"""The first three bytes of each cookie: "opf". Only the whole cookie decides what is deleted."""
_MOST = 100
_LONGEST = 20_000
_LONGEST_LIFE = 65_535
"""Seconds that `hard_timeout` can hold."""
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
_LOG_LINE = re.compile(r"\S+\|\d+\|\w+\|[A-Z]+\|")
_TIMEOUT = 8.0
_ANY_VERSION = "OpenFlow10,OpenFlow13,OpenFlow14"


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
    if len(found) > _MOST:
        raise errors.PathfinderError(f"{len(found)} flows are more than {_MOST}, the most that are added; give fewer")
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


def new_cookie() -> str:
    """Return a cookie that no other flow has."""
    return f"{COOKIE_MARK << 40 | secrets.randbits(40):#018x}"


class Flows(change.Change):
    """Flows on one bridge, which the switch itself deletes when their time is over."""

    kind: Literal["flows"] = "flows"
    bridge: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$")]
    cookie: Annotated[str, pydantic.StringConstraints(pattern=r"^0x[0-9a-f]{16}$")]
    rules: Annotated[tuple[Rule, ...], pydantic.Field(min_length=1, max_length=_MOST)]

    def describe(self) -> str:
        """Say which flows, where."""
        return f"{_many(self.rules)} with cookie {self.cookie} on {self.bridge}"

    def check(self) -> None:
        """Refuse flows that are not what they seem, and a bridge on which they could not be added or taken away."""
        bridges = database.read().bridges
        if self.bridge not in bridges:
            raise errors.PathfinderError(
                f"there is no bridge {self.bridge} on this host; it has {', '.join(bridges) or 'none'}"
            )
        self._check_rules()
        limits = process.run(
            ["ovs-vsctl", "--timeout=5", "--bare", "--columns=flow_tables", "list", "Bridge", self.bridge], timeout=8
        )
        if limits.strip():
            raise errors.PathfinderError(
                f"{self.bridge} limits its flow tables (Flow_Table in OVSDB), so a new flow could push out another; "
                "nothing is added there"
            )
        try:
            self._dump(f"cookie={self.cookie}/-1")
        except process.ProcessError as error:
            raise errors.PathfinderError(self._refusal(error)) from error

    def make(self, seconds: int, credentials: cloud.Credentials | None = None) -> None:
        """Add all flows or none, in levels of priority where there is no flow yet."""
        if not 1 <= seconds <= _LONGEST_LIFE:
            raise errors.PathfinderError(f"flows cannot live {seconds} s; give 1 to {_LONGEST_LIFE}")
        # A flow of the level that leaves these registers open overlaps with the first canary, and any other one with
        # the second: in both cases the whole bundle is refused. The second alone would replace a flow like itself.
        canaries = (f",xxreg3={secrets.randbits(128):#x}", "")
        lines: list[str] = []
        for table, priority in sorted({rule.level for rule in self.rules}):
            for canary in canaries:
                named = f"table={table},priority={priority}{canary}"
                lines.append(f"add cookie={self.cookie},{named},check_overlap,actions=drop")
                lines.append(f"delete_strict cookie={self.cookie}/-1,{named}")
        lines += [f"add cookie={self.cookie},hard_timeout={seconds},{rule}" for rule in self.rules]
        try:
            self._bundle(lines)
            made = self.present()
        except process.ProcessError as error:
            raise errors.PathfinderError(self._refusal(error)) from error
        if sorted((one.table, one.priority) for one in made) != sorted(rule.level for rule in self.rules):
            raise errors.PathfinderError(
                f"{self.bridge} shows {_many(made)} where {len(self.rules)} should have been added"
            )

    def undo(self, credentials: cloud.Credentials | None = None) -> change.Outcome:
        """Delete each flow by table, priority, match and the whole cookie."""
        try:
            before = self.present()
            left = self._delete() if before else []
        except process.ProcessError as error:
            if self.bridge not in database.read().bridges:
                return change.Outcome(state="gone", text=f"The bridge {self.bridge} is gone, and its flows with it.")
            raise errors.PathfinderError(
                f"ovs-vswitchd does not answer for {self.bridge}, so its flows with cookie {self.cookie} cannot be "
                f"deleted now: {_said(error)[:200]}"
            ) from error
        if left:
            raise errors.PathfinderError(
                f"{_many(left)} with cookie {self.cookie} cannot be deleted from {self.bridge}: {left[0].raw[:200]}"
            )
        if _restores():
            raise errors.PathfinderError(
                f"Open vSwitch is being restarted and has yet to restore the flows that {self.bridge} had "
                "(other_config:flow-restore-wait), so they can only be looked for afterwards"
            )
        if not before:
            return change.Outcome(state="gone", text=f"No flow with cookie {self.cookie} was left on {self.bridge}.")
        return change.Outcome(
            state="undone", text=f"{_many(before)} with cookie {self.cookie} deleted from {self.bridge}."
        )

    def present(self) -> list[flow.Flow]:
        """Return those of the flows that are on the bridge.

        Raises:
            ProcessError: The bridge does not answer.
        """
        return self._dump(f"cookie={self.cookie}/-1", _ANY_VERSION)

    def _dump(self, match: str, versions: str = "OpenFlow14") -> list[flow.Flow]:
        text = process.run([*_ofctl("dump-flows", versions=versions), self.bridge, match], timeout=_TIMEOUT)
        return [found for line in text.splitlines() if (found := flow.parse(line)) is not None]

    def _bundle(self, lines: Iterable[str]) -> None:
        text = "\n".join(lines) + "\n"
        process.run([*_ofctl("--bundle", "add-flows"), self.bridge, "-"], input=text, timeout=_TIMEOUT)

    def _delete(self) -> list[flow.Flow]:
        """Delete strictly, and by the cookie alone what is left after that; return what is left of all."""
        with contextlib.suppress(process.ProcessError):  # of a bridge that no longer speaks OpenFlow 1.4
            self._bundle(f"delete_strict cookie={self.cookie}/-1,{rule.strict}" for rule in self.rules)
        if not self.present():
            return []
        delete = _ofctl("del-flows", versions=_ANY_VERSION)
        process.run([*delete, self.bridge, f"cookie={self.cookie}/-1"], timeout=_TIMEOUT)
        return self.present()

    def _check_rules(self) -> None:
        """Let ovs-ofctl read the flows, without the switch: no field may fall away, and no two may be one."""
        try:
            read = _read_back(self.rules)
        except process.ProcessError as error:
            raise errors.PathfinderError(self._refusal(error)) from error
        if len(read) != len(self.rules):
            raise errors.PathfinderError(f"ovs-ofctl reads {_many(read)} where {len(self.rules)} were given")
        seen: dict[str, Rule] = {}
        for rule, words in zip(self.rules, read, strict=True):
            if "decode error" in words:
                raise errors.PathfinderError(f"the flow '{rule}' is refused by ovs-ofctl: {' '.join(words.split())}")
            match = words.partition(" actions=")[0]
            if match in seen:
                raise errors.PathfinderError(
                    f"the flows '{seen[match]}' and '{rule}' match the same, and the switch keeps one; leave one out"
                )
            seen[match] = rule

    def _refusal(self, error: process.ProcessError) -> str:
        """Say why the switch, or ovs-ofctl, took none of the flows."""
        if "OVERLAP" in error.stderr:
            return self._occupied()
        if "version negotiation failed" in error.stderr:
            return (
                f"{self.bridge} does not speak OpenFlow 1.4, without which flows cannot be added all or none; "
                "see its protocols with ovs-vsctl get bridge"
            )
        if error.status is None or re.search("is not a bridge|failed to (connect|open)", error.stderr):
            return f"ovs-vswitchd does not answer for {self.bridge}; is openvswitch-switch running? ({_said(error)})"
        return f"{self.bridge} takes none of the flows: {_said(error)}"

    def _occupied(self) -> str:
        """Name a flow that is in the way."""
        levels = {rule.level for rule in self.rules}
        with contextlib.suppress(process.ProcessError):  # the switch goes away at this moment
            for table in sorted({rule.table for rule in self.rules}):
                for found in self._dump(f"table={table}"):
                    if (found.table, found.priority) in levels:
                        return (
                            f"priority {found.priority} of table {table} in {self.bridge} is in use: "
                            f"{found.raw[:300]}; choose another priority"
                        )
        return f"a priority was in use in {self.bridge}; try again, or choose another one"


def _ofctl(*command: str, versions: str = "OpenFlow14") -> list[str]:
    return ["ovs-ofctl", "--no-names", "-O", versions, *command]


def _restores() -> bool:
    """Whether `ovs-ctl restart` has yet to restore the flows that it saved; it says so before ovs-vswitchd starts.

    Raises:
        PathfinderError: ovsdb-server does not answer.
    """
    get = ["ovs-vsctl", "--timeout=5", "--no-wait", "--if-exists", "get", "Open_vSwitch", "."]
    try:
        return "true" in process.run([*get, "other_config:flow-restore-wait"], timeout=8)
    except process.ProcessError as error:
        raise errors.PathfinderError(
            f"ovsdb-server does not say whether flows that are gone now are being restored: {_said(error)[:200]}"
        ) from error


def _many(flows: Sequence[object]) -> str:
    return "1 flow" if len(flows) == 1 else f"{len(flows)} flows"


def _read_back(rules: Sequence[Rule]) -> list[str]:
    """Return the flows in ovs-ofctl's own words, in the same order.

    Raises:
        PathfinderError: A field falls away, for want of the protocol that it needs, so that the flow would be wider.
        ProcessError: One of the rules is no flow.
    """
    # Only its log tells that a field falls away, and process.run returns stdout.
    parse_flows = _ofctl("--log-file=/dev/stdout", "-vfile:off", "-vofp_match:file:info", "parse-flows")
    said = process.run([*parse_flows, "-"], input="".join(f"{rule}\n" for rule in rules), timeout=_TIMEOUT)
    if "normalization changed" not in said:
        return re.findall(r"^OFPT_FLOW_MOD[^:]*: (.*)$", said, re.MULTILINE)
    if len(rules) > 1:
        for rule in rules:
            _read_back([rule])
    raise errors.PathfinderError(
        f"the flow '{rules[0]}' would lose a field and match more than it says: name the protocol that the field needs "
        "(ip, icmp6, tcp …; see ovs-fields(7))"
    )


def _said(error: process.ProcessError) -> str:
    """Return what ovs-ofctl found wrong: without its log, its name, and what follows from the first error."""
    lines = [line for line in error.stderr.splitlines() if not _LOG_LINE.match(line)] or ["no message"]
    answer = re.match(r"Error (OFP\w+) for: [^:]*: (?:ADD |DEL_STRICT )?(.*)", lines[0])
    if answer is not None:
        return f"{answer[2][:200]} ({answer[1]})"
    return re.sub(r"^ovs-\w+: (-:\d+: )?", "", " ".join(" ".join(lines).split()))[:300]
