"""A mirror of one port to a device of our own, on which tcpdump can run: a tunnel port has no device.

What is relied on was tried with Open vSwitch 3.1 (userspace datapath): several mirrors of one port work side by side,
and so does a mirror of another's output port; what is received on an output port is dropped, whatever the flows say;
a bridge passes over its 33rd mirror. A killed ovs-vswitchd leaves its tap devices behind, and one whose port has been
removed before the next start stays for good.
"""

import contextlib
import itertools
import json
import pathlib
import secrets
import socket
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

import pydantic

from .. import cloud, errors, files, path, process
from ..vswitch import database
from . import change

KEY = "ovs-pathfinder"
"""The key in `external_ids` of all rows that are ours; its value is the mirror's mark."""
_TABLES = ("Mirror", "Port", "Interface")
_MOST_MIRRORS = 32
"""MAX_MIRRORS of ofproto-dpif-mirror.c; of more, nothing but the switch's log speaks."""
_SNAP_LENGTH = 1280
"""Bytes: the kernel's datapath drops what exceeds the device's MTU. To ask for a larger one changes that of others."""
_OFPORT = 65000
"""The OpenFlow port that is asked for, so that the next ports of others get the numbers they would have got."""
_SECONDS = 5
_VSCTL: list[process.Word] = ["ovs-vsctl", ("--timeout=", _SECONDS)]
_QUERY: list[process.Word] = [*_VSCTL, "--no-wait", "--format=json"]
_DEVICES = pathlib.Path("/sys/class/net")
_IPV6 = pathlib.Path("/proc/sys/net/ipv6/conf")

_Name = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$")]


class Mirror(change.Change):
    """The first 1280 bytes of each packet that a port of a bridge receives or sends, copied to an internal port."""

    kind: Literal["mirror"] = "mirror"
    bridge: _Name
    port: _Name
    """The port that is mirrored."""
    device: Annotated[str, pydantic.StringConstraints(pattern=r"^opf[0-9a-f]{8}$")]
    """The internal port, its device, and the mirror."""
    mark: Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9a-f]{16}$")]
    """What all of its rows are found by."""
    run: path.RunId | Literal[""] = ""

    def describe(self) -> str:
        """Say what is mirrored, and where to."""
        return f"a mirror of {self.port} on {self.bridge} to the device {self.device}"

    def check(self) -> None:
        """Refuse a port that is not there, a device that is, and a bridge that would pass over one more mirror."""
        switch = database.read()
        database.refuse_restoring()
        if self.bridge not in switch.bridges:
            raise errors.PathfinderError(
                f"there is no bridge {self.bridge} on this host; it has {', '.join(switch.bridges) or 'none'}"
            )
        port = switch.interface(self.port)
        if port is None or port.bridge != self.bridge:
            there = sorted(one.name for one in switch.interfaces if one.bridge == self.bridge)
            where = f"it is on {port.bridge}" if port and port.bridge else f"it has {', '.join(there)}"
            raise errors.PathfinderError(f"{self.bridge} has no port {self.port}; {where}")
        if switch.interface(self.device) or self._is_there():
            raise errors.PathfinderError(f"there is a device {self.device} already; nothing was done to it, try again")
        (((mirrors,),),) = _query(
            process.Command(_QUERY).then(["--", "--columns=mirrors", "list", "Bridge"], self.bridge)
        )
        if mirrors[0] == "set" and len(mirrors[1]) >= _MOST_MIRRORS:
            raise errors.PathfinderError(
                f"{self.bridge} has {len(mirrors[1])} mirrors, and Open vSwitch takes no more; remove those that "
                "nobody needs (ovs-vsctl list Mirror)"
            )

    def make(self, seconds: int, credentials: cloud.Credentials | None = None) -> None:
        """Add port and mirror in one transaction, and bring the device up so that the host never sends by it."""
        try:
            _vsctl(self._with_rows(process.Command(_VSCTL)))
        except process.ProcessError as error:
            silent = "Alarm clock" in error.stderr or error.status is None
            why = f"ovs-vswitchd did not answer within {_SECONDS} s" if silent else " ".join(error.stderr.split())[:300]
            raise errors.PathfinderError(f"{self.port} on {self.bridge} cannot be mirrored: {why}") from error
        if not self._is_there():
            raise errors.PathfinderError(
                f"ovs-vswitchd made no device {self.device}, so {self.port} cannot be mirrored; see its log"
            )
        try:
            self._bring_up()
        except (OSError, process.ProcessError) as error:
            raise errors.PathfinderError(f"the device {self.device} cannot be brought up: {error}") from error

    def undo(self, credentials: cloud.Credentials | None = None) -> change.Outcome:
        """Remove the rows with the mark in one transaction, and the device where ovs-vswitchd leaves it behind.

        It needs no ovs-vswitchd: what the database does not hold, the next one does not set up.
        """
        before = self.present()
        said = self._remove(before) if before else ""
        if left := self.present():
            rows = ", ".join(f"{table} {uuid}" for table, uuids in left.items() for uuid in uuids)
            raise errors.PathfinderError(f"{self.describe()} is still in Open vSwitch's database, as {rows}: {said}")
        stayed = self._is_left_behind()
        if not before and not stayed:
            return change.Outcome(state="gone", text=f"Nothing was left of {self.describe()}.")
        if stayed:
            self._delete_device()
        return change.Outcome(
            state="undone", text=f"The mirror of {self.port} on {self.bridge} is removed{self._say_device()}."
        )

    def present(self) -> Mapping[str, Collection[str]]:
        """Return the UUIDs of the rows with the mark, of each table that has some.

        Raises:
            PathfinderError: ovsdb-server does not answer.
        """
        command = process.Command(_QUERY)
        for table in _TABLES:
            command = command.then(["--", "--columns=_uuid", "find"], table, f"external_ids:{KEY}={self.mark}")
        found = _query(command)
        tables = zip(_TABLES, found, strict=True)
        return {table: [uuid for ((_, uuid),) in rows] for table, rows in tables if rows}

    def _with_rows(self, command: process.Command) -> process.Command:
        ids = {KEY: self.mark, f"{KEY}-bridge": self.bridge, f"{KEY}-port": self.port}
        if self.run:
            ids[f"{KEY}-run"] = self.run
        known = [f"external_ids:{key}={value}" for key, value in ids.items()]
        selected = ["select_src_port=@mirrored", "select_dst_port=@mirrored", f"snaplen={_SNAP_LENGTH}"]
        named = [f"name={self.device}", "output_port=@output"]
        return (
            command.then(["--", "add-port"], self.bridge, self.device)
            .then(["--", "set", "Interface"], self.device, "type=internal", f"ofport_request={_OFPORT}", *known)
            .then(["--", "set", "Port"], self.device, *known)
            .then(["--", "--id=@mirrored", "get", "Port"], self.port)
            .then(["--", "--id=@output", "get", "Port"], self.device)
            .then(["--", "--id=@mirror", "create", "Mirror"], *named, *selected, *known)
            .then(["--", "add", "Bridge"], self.bridge, "mirrors", "@mirror")
        )

    def _remove(self, found: Mapping[str, Collection[str]]) -> str:
        """Take rows out of the bridge by UUID: ovsdb-server drops those that no other refers to. Return what failed."""
        command = process.Command(_VSCTL)
        for table, column in (("Mirror", "mirrors"), ("Port", "ports")):
            if table in found:
                command = command.then(["--", "--if-exists", "remove", "Bridge"], self.bridge, column, *found[table])
        try:
            _vsctl(command)
        except process.ProcessError as error:  # ovs-vswitchd is waited for, and not needed
            return str(error)
        return ""

    def _bring_up(self) -> None:
        """Bring the device up, and keep the host from sending by it.

        It would report its multicast groups, and answer what it sees: ARP requests for its other devices' addresses.
        """
        settings = ["dev", self.device, "alias", self._alias, "arp", "off", "multicast", "off"]
        if _IPV6.is_dir():  # the kernel may have no IPv6
            # Before anything else: `ip` sets `up` first, and the device would get an address.
            (_IPV6 / self.device / "disable_ipv6").write_text("1")
            settings += ["addrgenmode", "none"]
        process.run(process.Command(["ip", "link", "set"], *settings, "up"))

    @property
    def _alias(self) -> str:
        """What marks the device in the kernel, where it outlives its row."""
        return f"{KEY}:{self.mark}"

    def _is_there(self) -> bool:
        return self.device in (name for _, name in socket.if_nameindex())

    def _is_left_behind(self) -> bool:
        """Return whether the device is there and marked, and has no row, by which others could have taken it over."""
        try:
            marked = files.text(_DEVICES / self.device / "ifalias").strip() == self._alias
        except OSError:
            return False
        return marked and database.read().interface(self.device) is None

    def _say_device(self) -> str:
        """Say what became of the device."""
        if self._is_left_behind():
            return f"; its device {self.device} goes when ovs-vswitchd answers again"
        if self._is_there():
            return f"; {self.device}, which others have made meanwhile, was left alone"
        return f", and its device {self.device} with it"

    def _delete_device(self) -> None:
        """Delete the device, where that can be done: the kernel's datapath gives it up to ovs-vswitchd only."""
        with contextlib.suppress(process.ProcessError):
            process.run(process.Command(["ip", "link", "delete", "dev"], self.device))


def new(bridge: str, port: str, run: str = "") -> Mirror:
    """Describe a mirror of a port, with a mark and a device that no other has.

    Raises:
        PathfinderError: Open vSwitch has no such names.
    """
    mark = secrets.token_hex(8)
    try:
        return Mirror(bridge=bridge, port=port, device=f"opf{mark[:8]}", mark=mark, run=run)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise errors.PathfinderError(
            f"{first['loc'][0]} {first['input']!r} cannot be that of a mirror: {first['msg'].lower()}"
        ) from error


def orphans(known: Collection[str]) -> list[Mirror]:
    """Return the mirrors of this host that are ours, and not among the known marks; their `undo` removes them.

    Args:
        known: The marks of those that the journals of this host have open.

    Raises:
        PathfinderError: ovsdb-server does not answer.
    """
    found: dict[str, Mirror] = {}
    command = process.Command(_QUERY)
    for table in _TABLES:
        command = command.then(["--", "--columns=name,external_ids", "list"], table)
    for name, (_, pairs) in itertools.chain(*_query(command)):
        ids = dict[str, str](pairs)
        about = {field: ids.get(f"{KEY}-{field}", "") for field in ("bridge", "port", "run")}
        with contextlib.suppress(pydantic.ValidationError):  # not written by us
            one = Mirror.model_validate({**about, "device": name, "mark": ids.get(KEY, "")})
            found.setdefault(one.mark, one)
    return [one for one in found.values() if one.mark not in known]


def _vsctl(command: process.Command) -> str:
    """Run ovs-vsctl, and wait until ovs-vswitchd has done what it says."""
    return process.run(command, timeout=_SECONDS + 3)


def _query(command: process.Command) -> list[list[Any]]:
    """Return the rows that each command of ovs-vsctl prints, with cells of the wire format (RFC 7047, 5.1)."""
    try:
        printed = _vsctl(command)
    except process.ProcessError as error:
        raise errors.PathfinderError(
            "ovsdb-server does not answer on this host, so nothing can be said about its mirrors "
            f"(is openvswitch-switch running?): {' '.join(error.stderr.split())[:200]}"
        ) from error
    return [json.loads(line)["data"] for line in printed.splitlines() if line.strip()]
