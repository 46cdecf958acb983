"""Temporary flows: added and strictly deleted in OpenFlow bundles, under a cookie of their own, with a time limit.

What is relied on was tried with Open vSwitch 3.1: `add` silently replaces a flow with the same table, priority and
match; `check_overlap` looks at one priority, not at a flow that would be replaced, and not at flows added by the same
bundle; a bundle is atomic, and what it adds and deletes again is never seen by a packet.
"""

import contextlib
import re
import secrets
import signal
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import pydantic

from .. import cloud, errors, process, words
from ..vswitch import cookie, database, flow, ofctl
from . import change, rule

if TYPE_CHECKING:
    from typing_extensions import LiteralString

COOKIE_MARK = cookie.CHARM_MARK
"""The first three bytes of each cookie: "opf". Only the whole cookie decides what is deleted."""
_LONGEST_LIFE = 65_535
"""Seconds that `hard_timeout` can hold."""
_LOG_LINE = re.compile(r"\S+\|\d+\|\w+\|[A-Z]+\|")
_PATIENCE = 7
"""Seconds after which ovs-ofctl itself gives up: it holds the journal's lock, and may outlive this process."""
_TIMEOUT = 8.0
_GAVE_UP = -signal.SIGALRM
"""How a tool of Open vSwitch ends when its own --timeout is over."""


def new_cookie() -> str:
    """Return a cookie that no other flow has."""
    return f"{COOKIE_MARK << 40 | secrets.randbits(40):#018x}"


class Flows(change.Change):
    """Flows on one bridge, which the switch itself deletes when their time is over."""

    kind: Literal["flows"] = "flows"
    bridge: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$")]
    cookie: Annotated[str, pydantic.StringConstraints(pattern=r"^0x[0-9a-f]{16}$")]
    rules: Annotated[tuple[rule.Rule, ...], pydantic.Field(min_length=1, max_length=rule.MOST)]

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
        database.refuse_restoring()
        self._check_rules()
        asked: list[process.Word] = ["ovs-vsctl", "--timeout=5", "--bare", "--columns=flow_tables", "list", "Bridge"]
        limits = process.run(process.Command(asked, self.bridge), timeout=8)
        if limits.strip():
            raise errors.PathfinderError(
                f"{self.bridge} limits its flow tables (Flow_Table in OVSDB), so a new flow could push out another; "
                "nothing is added there"
            )
        try:
            self._dump(f"cookie={self.cookie}/-1", ofctl.BUNDLING)
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
        for table, priority in sorted({one.level for one in self.rules}):
            for canary in canaries:
                named = f"table={table},priority={priority}{canary}"
                lines.append(f"add cookie={self.cookie},{named},check_overlap,actions=drop")
                lines.append(f"delete_strict cookie={self.cookie}/-1,{named}")
        lines += [f"add cookie={self.cookie},hard_timeout={seconds},{one}" for one in self.rules]
        try:
            self._bundle(lines)
            made = self.present()
        except process.ProcessError as error:
            raise errors.PathfinderError(self._refusal(error)) from error
        if sorted((each.table, each.priority) for each in made) != sorted(one.level for one in self.rules):
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
        if database.restores():
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
        return self._dump(f"cookie={self.cookie}/-1")

    def _dump(self, match: str, versions: "LiteralString" = "") -> list[flow.Flow]:
        asked = ofctl.command(self.bridge, ["dump-flows"], match, patience=_PATIENCE, versions=versions)
        text = process.run(asked, timeout=_TIMEOUT)
        return [found for line in text.splitlines() if (found := flow.parse(line)) is not None]

    def _bundle(self, lines: Iterable[str]) -> None:
        text = "\n".join(lines) + "\n"
        added = ofctl.command(self.bridge, ["--bundle", "add-flows"], "-", patience=_PATIENCE, versions=ofctl.BUNDLING)
        process.run(added, input=text, timeout=_TIMEOUT)

    def _delete(self) -> list[flow.Flow]:
        """Delete strictly, and by the cookie alone what is left after that; return what is left of all."""
        with contextlib.suppress(process.ProcessError):  # of a bridge that no longer speaks a version with bundles
            self._bundle(f"delete_strict cookie={self.cookie}/-1,{one.strict}" for one in self.rules)
        if not self.present():
            return []
        deleted = ofctl.command(self.bridge, ["del-flows"], f"cookie={self.cookie}/-1", patience=_PATIENCE)
        process.run(deleted, timeout=_TIMEOUT)
        return self.present()

    def _check_rules(self) -> None:
        """Let ovs-ofctl read the flows, without the switch: no field may fall away, and no two may be one."""
        try:
            read = _read_back(self.rules)
        except process.ProcessError as error:
            raise errors.PathfinderError(self._refusal(error)) from error
        if len(read) != len(self.rules):
            raise errors.PathfinderError(f"ovs-ofctl reads {_many(read)} where {len(self.rules)} were given")
        seen: dict[str, rule.Rule] = {}
        for one, text in zip(self.rules, read, strict=True):
            if "decode error" in text:
                raise errors.PathfinderError(f"the flow '{one}' is refused by ovs-ofctl: {' '.join(text.split())}")
            match = text.partition(" actions=")[0]
            if match in seen:
                raise errors.PathfinderError(
                    f"the flows '{seen[match]}' and '{one}' match the same, and the switch keeps one; leave one out"
                )
            seen[match] = one

    def _refusal(self, error: process.ProcessError) -> str:
        """Say why the switch, or ovs-ofctl, took none of the flows."""
        if "OVERLAP" in error.stderr:
            return self._occupied()
        if "version negotiation failed" in error.stderr:
            return (
                f"{self.bridge} does not speak OpenFlow 1.3 or a later version, without which flows cannot be added "
                "all or none; see its protocols with ovs-vsctl get bridge"
            )
        if _is_silence(error) or re.search("is not a bridge|failed to (connect|open)", error.stderr):
            return f"ovs-vswitchd does not answer for {self.bridge}; is openvswitch-switch running? ({_said(error)})"
        return f"{self.bridge} takes none of the flows: {_said(error)}"

    def _occupied(self) -> str:
        """Name a flow that is in the way."""
        levels = {one.level for one in self.rules}
        with contextlib.suppress(process.ProcessError):  # the switch goes away at this moment
            for table in sorted({one.table for one in self.rules}):
                for found in self._dump(f"table={table}"):
                    if (found.table, found.priority) in levels:
                        return (
                            f"priority {found.priority} of table {table} in {self.bridge} is in use: "
                            f"{found.raw[:300]}; choose another priority"
                        )
        return f"a priority was in use in {self.bridge}; try again, or choose another one"


def _many(flows: Sequence[object]) -> str:
    return words.many(len(flows), "flow")


def _read_back(rules: Sequence[rule.Rule]) -> list[str]:
    """Return the flows in ovs-ofctl's own words, in the same order.

    Raises:
        PathfinderError: A field falls away, for want of the protocol that it needs, so that the flow would be wider.
        ProcessError: One of the rules is no flow.
    """
    # Only its log tells that a field falls away, and process.run returns stdout.
    logged = ("--log-file=/dev/stdout", "-vfile:off", "-vofp_match:file:info")
    parsed = ofctl.offline([*logged, "parse-flows", "-"], patience=_PATIENCE)
    said = process.run(parsed, input="".join(f"{one}\n" for one in rules), timeout=_TIMEOUT)
    if "normalization changed" not in said:
        return re.findall(r"^OFPT_FLOW_MOD[^:]*: (.*)$", said, re.MULTILINE)
    if len(rules) > 1:
        for one in rules:
            _read_back([one])
    raise errors.PathfinderError(
        f"the flow '{rules[0]}' would lose a field and match more than it says: name the protocol that the field needs "
        "(ip, icmp6, tcp …; see ovs-fields(7))"
    )


def _is_silence(error: process.ProcessError) -> bool:
    """Whether a tool was not answered, and gave up or was ended for it."""
    return error.status in (None, _GAVE_UP)


def _said(error: process.ProcessError) -> str:
    """Return how long a tool waited, or what it found wrong: without its log, its name, and what follows from that."""
    if error.status == _GAVE_UP:
        limit = next(one for one in error.command if one.startswith("--timeout="))
        return f"no answer within {limit.partition('=')[2]} s"
    lines = [line for line in error.stderr.splitlines() if not _LOG_LINE.match(line)] or ["no message"]
    answer = re.match(r"Error (OFP\w+) for: [^:]*: (?:ADD |DEL_STRICT )?(.*)", lines[0])
    if answer is not None:
        return f"{answer[2][:200]} ({answer[1]})"
    return re.sub(r"^ovs-\w+: (-:\d+: )?", "", " ".join(" ".join(lines).split()))[:300]
