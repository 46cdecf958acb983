"""What says, besides the flows, how the switch treats packets: bridges, ports, groups, meters, settings, versions."""

import contextlib
import datetime
import importlib.metadata
import os
import re
import socket
from collections.abc import Mapping
from typing import Any

from .. import errors, path, process
from . import daemon, database, dump, ofctl

_COLUMNS = {
    "Open_vSwitch": "ovs_version,db_version,other_config,external_ids",
    "Bridge": (
        "name,ports,fail_mode,protocols,datapath_type,datapath_version,other_config,external_ids,"
        "mcast_snooping_enable,stp_enable,rstp_enable"
    ),
    "Port": "_uuid,name,interfaces,tag,trunks,vlan_mode,other_config",
    "Interface": "_uuid,name,type,ofport,options,external_ids,mtu,error",
}
DEAD_VLAN = 4095
"""Neutron's tag of a port that is not wired."""
_VERSION = re.compile(r"\(Open vSwitch\) (\S+)")
_NEEDS_NEWER = re.compile("version negotiation failed|does not support any of the usable flow formats")


class Versions(path.Model):
    """Of what runs, not of what is installed; empty where it does not say."""

    vswitchd: str = ""
    ovsdb: str = ""
    schema_version: str = ""
    kernel: str = ""
    charm: str = ""


class Bridge(path.Model):
    """The settings of a bridge (ovs-vswitchd.conf.db(5)), and its groups and meters."""

    name: str
    fail_mode: str = ""
    protocols: tuple[str, ...] = ()
    """Empty where all that ovs-vswitchd speaks are allowed."""
    datapath_type: str = ""
    datapath_version: str = ""
    mcast_snooping: bool = False
    stp: bool = False
    rstp: bool = False
    other_config: Mapping[str, str] = {}
    external_ids: Mapping[str, str] = {}
    groups: tuple[str, ...] = ()
    """A line each, as `ovs-ofctl dump-groups` prints it."""
    meters: tuple[str, ...] = ()
    """A line each, its bands included, from `ovs-ofctl dump-meters`."""
    unread: tuple[str, ...] = ()
    """Whole sentences on what could not be read of it."""


class Port(path.Model):
    """An interface of a bridge, with what its port says."""

    bridge: str
    name: str
    port: str = ""
    """The port's name where it has another one: a bond has several interfaces."""
    type: str = ""
    ofport: int | None = None
    tag: int | None = None
    """Neutron's local VLAN, on br-int."""
    trunks: tuple[int, ...] = ()
    vlan_mode: str = ""
    mtu: int | None = None
    options: Mapping[str, str] = {}
    external_ids: Mapping[str, str] = {}
    other_config: Mapping[str, str] = {}
    """Of the port: there Neutron's agent writes the network that the tag stands for."""
    error: str = ""

    @property
    def iface_id(self) -> str:
        """The Neutron port; empty where it is none."""
        return self.external_ids.get("iface-id", "")

    @property
    def mac(self) -> str:
        """The Neutron port's MAC address; empty where Open vSwitch was not told."""
        return self.external_ids.get("attached-mac", "")

    @property
    def local_vlan(self) -> int | None:
        """The local VLAN of its network: what the agent noted, as a dead port's tag is another one; None without."""
        noted = self.other_config.get("tag", "")
        return int(noted) if noted.isascii() and noted.isdecimal() else None if self.tag == DEAD_VLAN else self.tag

    @property
    def network(self) -> str:
        """The network of that VLAN, such as `gre/753` or `vlan/physnet1/100`; empty where the agent noted none."""
        known = {key: value for key, value in self.other_config.items() if value not in ("", "None")}
        type_, physical = known.get("network_type", ""), known.get("physical_network", "")
        segment = known.get("segmentation_id", "") or ("" if physical else known.get("net_uuid", ""))
        return "/".join(part for part in (type_, physical, segment) if part) if type_ and (physical or segment) else ""

    def __str__(self) -> str:
        known = ", ".join(one for one in (self.iface_id, self.mac) if one)
        return f"{self.name} ({known})" if known else self.name


class State(path.Model):
    """A switch at one time, but for its flows."""

    unit: str = ""
    host: str = ""
    taken: str = ""
    """UTC, ISO 8601."""
    label: str = ""
    versions: Versions = Versions()
    other_config: Mapping[str, str] = {}
    """Of the table Open_vSwitch."""
    external_ids: Mapping[str, str] = {}
    bridges: tuple[Bridge, ...] = ()
    ports: tuple[Port, ...] = ()

    def ports_of(self, bridge: str) -> tuple[Port, ...]:
        """Return the ports of a bridge."""
        return tuple(one for one in self.ports if one.bridge == bridge)


def read(unit: str, label: str = "") -> State:
    """Ask ovsdb-server and ovs-vswitchd for all of it.

    Raises:
        PathfinderError: Open vSwitch is not installed, or one of the two does not answer.
    """
    rows = database.tables(_COLUMNS)
    found = _state(rows)
    (about,) = rows["Open_vSwitch"]
    return found.model_copy(
        update={
            "unit": unit,
            "label": label,
            "versions": _versions(about),
            "bridges": tuple(_with_groups(bridge) for bridge in found.bridges),
        }
    )


def read_database() -> State:
    """Ask ovsdb-server alone: for all but versions, groups and meters.

    Raises:
        PathfinderError: Open vSwitch is not installed, or ovsdb-server does not answer.
    """
    return _state(database.tables(_COLUMNS))


def _state(rows: Mapping[str, list[Mapping[str, Any]]]) -> State:
    with database.understood():
        (about,) = rows["Open_vSwitch"]
        return State(
            host=about["external_ids"].get("hostname", "") or socket.gethostname(),
            taken=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            other_config=about["other_config"],
            external_ids=about["external_ids"],
            bridges=tuple(_bridge(row) for row in sorted(rows["Bridge"], key=lambda row: str(row["name"]))),
            ports=_ports(rows),
        )


def ofports() -> dict[tuple[str, str], tuple[int | None, int | None]]:
    """Return the number and the tag of each port, by bridge and name: whether they have changed meanwhile.

    Raises:
        PathfinderError: ovsdb-server does not answer.
    """
    found = database.read().interfaces
    return {(one.bridge, one.name): (one.ofport, one.tag) for one in found}


def _versions(about: Mapping[str, Any]) -> Versions:
    charm = ""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        charm = importlib.metadata.version("ovs-pathfinder")
    try:
        vswitchd = daemon.version()
    except process.ProcessError as error:
        raise errors.PathfinderError(
            "ovs-vswitchd does not answer on this host, so nothing can be said about its flows "
            f"(is openvswitch-switch running?): {' '.join(error.stderr.split())[:200]}"
        ) from error
    ovsdb = None
    with contextlib.suppress(process.ProcessError):
        ovsdb = _VERSION.search(process.run(["ovs-appctl", "-t", "ovsdb-server", "version"]))
    return Versions(
        vswitchd=vswitchd or database.only(about["ovs_version"], ""),
        ovsdb=ovsdb[1] if ovsdb else "",
        schema_version=database.only(about["db_version"], ""),
        kernel=os.uname().release,
        charm=charm,
    )


def _bridge(row: Mapping[str, Any]) -> Bridge:
    return Bridge(
        name=row["name"],
        fail_mode=database.only(row["fail_mode"], ""),
        protocols=tuple(sorted(database.members(row["protocols"]))),
        datapath_type=row["datapath_type"],
        datapath_version=row["datapath_version"],
        mcast_snooping=row["mcast_snooping_enable"],
        stp=row["stp_enable"],
        rstp=row["rstp_enable"],
        other_config=row["other_config"],
        external_ids=row["external_ids"],
    )


def _with_groups(bridge: Bridge) -> Bridge:
    """Ask a bridge for its groups and meters; it may speak no OpenFlow that has them."""
    found: dict[str, tuple[str, ...]] = {"groups": (), "meters": ()}
    unread: list[str] = []
    for what, starts in (("groups", "group_id="), ("meters", "meter=")):
        asked = "dump-groups" if what == "groups" else "dump-meters"
        try:
            found[what] = _records(process.run(ofctl.command(bridge.name, [asked]), timeout=10), starts)
        except process.ProcessError as error:
            if not _NEEDS_NEWER.search(error.stderr):
                unread.append(f"The {what} of {bridge.name} could not be read: {dump.said(error)}.")
    return bridge.model_copy(update={**found, "unread": tuple(unread)})


def _records(text: str, starts: str) -> tuple[str, ...]:
    """Join the lines of each record: a meter prints its bands below it."""
    records: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith(starts):
            records.append(line.strip())
        elif records and line.strip():
            records[-1] += f" {line.strip()}"
    return tuple(records)


def _ports(rows: Mapping[str, list[Mapping[str, Any]]]) -> tuple[Port, ...]:
    port_of = {uuid: port for port in rows["Port"] for uuid in database.members(port["interfaces"])}
    bridge_of = {uuid: bridge["name"] for bridge in rows["Bridge"] for uuid in database.members(bridge["ports"])}
    found: list[Port] = []
    for row in sorted(rows["Interface"], key=lambda row: str(row["name"])):
        port = port_of.get(row["_uuid"])
        if port is None:
            continue
        found.append(
            Port(
                bridge=bridge_of.get(port["_uuid"], ""),
                name=row["name"],
                port="" if port["name"] == row["name"] else port["name"],
                type=row["type"],
                ofport=database.only(row["ofport"], None),
                tag=database.only(port["tag"], None),
                trunks=database.members(port["trunks"]),
                vlan_mode=database.only(port["vlan_mode"], ""),
                mtu=database.only(row["mtu"], None),
                options=row["options"],
                external_ids=row["external_ids"],
                other_config=port["other_config"],
                error=database.only(row["error"], ""),
            )
        )
    return tuple(found)
