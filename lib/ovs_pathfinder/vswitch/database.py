"""What ovsdb-server knows: bridges, ports, interfaces (ovs-vsctl(8), ovs-vswitchd.conf.db(5))."""

import contextlib
import json
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from .. import errors, path, process

if TYPE_CHECKING:
    from typing_extensions import LiteralString

_COLUMNS = {
    "Open_vSwitch": "ovs_version,external_ids,other_config",
    "Bridge": "name,ports,datapath_type",
    "Port": "_uuid,name,interfaces,tag",
    "Interface": (
        "_uuid,name,type,ofport,options,external_ids,error,link_state,mac_in_use,mtu,statistics,status,bfd,bfd_status"
    ),
}


class Interface(path.Model):
    """One device of a bridge."""

    name: str
    bridge: str
    bond: str = ""
    """The port that it is one of several devices of; empty where the port is its own."""
    type: str = ""
    """Empty for a system device; `internal`, `patch`, `gre`, `vxlan`, `geneve` and so on."""
    ofport: int | None = None
    """The OpenFlow port number; -1 where the switch could not open the device."""
    tag: int | None = None
    """Neutron's local VLAN; 4095 is its dead VLAN."""
    options: Mapping[str, str] = {}
    external_ids: Mapping[str, str] = {}
    error: str = ""
    link_state: str = ""
    """`up` or `down`; empty where the switch does not say."""
    mac: str = ""
    """The device's own MAC address (`mac_in_use`), which Nova and libvirt make another than the guest's."""
    mtu: int | None = None
    statistics: Mapping[str, int] = {}
    """`rx_packets`, `tx_bytes` and so on; ovs-vswitchd writes them every five seconds."""
    status: Mapping[str, str] = {}
    """Of a tunnel: `tunnel_egress_iface` and its carrier."""
    bfd: Mapping[str, str] = {}
    """How bidirectional forwarding detection is configured; empty where it is not."""
    bfd_status: Mapping[str, str] = {}

    @property
    def is_open(self) -> bool:
        """Whether the switch has the device open: only its OpenFlow port says so, wherever the device itself is."""
        return (self.ofport or -1) > 0 and not self.error

    @property
    def bypasses_kernel(self) -> bool:
        """Whether its packets pass between the switch and a guest or a NIC without the kernel (DPDK, AF_XDP)."""
        return self.type.startswith(("dpdk", "afxdp"))


class Switch(path.Model):
    """The local Open vSwitch, as its database describes it."""

    version: str = ""
    hostname: str = ""
    """What Open vSwitch was told of the host's name (`external_ids:hostname`)."""
    datapath_type: str = "system"
    """Of br-int: `system` is the kernel's datapath, `netdev` the one in userspace."""
    hw_offload: bool = False
    """Whether NICs may forward packets by themselves (`other_config:hw-offload`)."""
    bridges: tuple[str, ...] = ()
    interfaces: tuple[Interface, ...] = ()

    def interface(self, name: str) -> Interface | None:
        """Return the interface of that name, if there is one."""
        return next((one for one in self.interfaces if one.name == name), None)

    def port_of(self, port_id: str) -> Interface | None:
        """Return the interface that carries a Neutron port (`external_ids:iface-id`): that of br-int, where one is.

        A port of a trunk has several; the agent wires the patch port of br-int, and the guest's device is behind it.
        """
        carrying = [one for one in self.interfaces if one.external_ids.get("iface-id") == port_id]
        found = [one for one in carrying if one.type != "patch" or one.bridge == "br-int"]
        return min(found, key=lambda one: one.bridge != "br-int", default=None)

    def tunnels(self, type_: str) -> tuple[Interface, ...]:
        """Return the tunnel interfaces of one type."""
        return tuple(one for one in self.interfaces if one.type == type_ and "remote_ip" in one.options)

    def tunnel_to(self, type_: str, remote: str) -> Interface | None:
        """Return the tunnel interface whose other end is `remote`, however the address is written."""
        return next((one for one in self.tunnels(type_) if path.same_address(one.options["remote_ip"], remote)), None)

    @property
    def tunnel_address(self) -> str:
        """The local end that the tunnels name, empty where there is no tunnel."""
        locals_ = [one.options.get("local_ip", "") for one in self.interfaces if "remote_ip" in one.options]
        return next((address for address in locals_ if address), "")

    def uplinks(self, bridge: str) -> tuple[Interface, ...]:
        """Return the open interfaces by which a bridge reaches the world outside its host."""
        kinds = ("", "system", "dpdk", "afxdp")
        return tuple(
            one for one in self.interfaces if one.bridge == bridge and one.type in kinds and (one.ofport or -1) > 0
        )

    def system_devices(self, bridge: str) -> tuple[str, ...]:
        """Return the names of the bridge's devices that are neither internal, patch nor tunnel."""
        return tuple(one.name for one in self.interfaces if one.bridge == bridge and one.type in ("", "system"))


def read() -> Switch:
    """Ask ovsdb-server for all of it, in one transaction.

    Raises:
        PathfinderError: Open vSwitch is not installed, or ovsdb-server does not answer.
    """
    return parse(_ask(_COLUMNS))


def tables(columns: Mapping[str, str]) -> dict[str, list[Mapping[str, Any]]]:
    """Return rows of tables, in one transaction: sets as tuples, maps as dictionaries, UUIDs as text.

    Args:
        columns: The names of the wanted columns, parted by commas, for each table.

    Raises:
        PathfinderError: Open vSwitch is not installed, ovsdb-server does not answer, or it has no such column.
    """
    return _tables(_ask(columns), columns)


@contextlib.contextmanager
def understood() -> Generator[None]:
    """Read what ovs-vsctl printed within this context.

    Raises:
        PathfinderError: It is damaged, or of other types than its columns have.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        first = str(error).splitlines()[:1] or [type(error).__name__]
        raise errors.PathfinderError(
            "what ovs-vsctl prints of this host's switch cannot be understood, so nothing can be said about it "
            f"({first[0][:200]}); look at it: ovs-vsctl --format=json list Interface"
        ) from error


def _tables(text: str, columns: Mapping[str, str]) -> dict[str, list[Mapping[str, Any]]]:
    with understood():
        documents = [json.loads(line) for line in text.splitlines() if line.strip()]
        found = {table: _rows(document) for table, document in zip(columns, documents, strict=True)}
        for table, rows in found.items():
            wanted = set(columns[table].split(","))
            if any(wanted - row.keys() for row in rows):
                raise ValueError(f"columns of the table {table} are missing")
        return found


def restores() -> bool:
    """Say whether flows of before a restart have yet to be restored: until then, ovs-vswitchd makes no datapath flows.

    `ovs-ctl restart` says so before it starts ovs-vswitchd (`other_config:flow-restore-wait`), and may leave it behind.

    Raises:
        PathfinderError: ovsdb-server does not answer.
    """
    get: list[LiteralString] = ["ovs-vsctl", "--timeout=5", "--no-wait", "--if-exists", "get", "Open_vSwitch", "."]
    try:
        return "true" in process.run([*get, "other_config:flow-restore-wait"], timeout=8)
    except process.ProcessError as error:
        raise errors.PathfinderError(
            "ovsdb-server does not say whether flows that are gone now are being restored: "
            f"{' '.join(error.stderr.split())[:200] or error}"
        ) from error


def refuse_restoring() -> None:
    """Refuse to change what ovs-vswitchd would not act on.

    Raises:
        PathfinderError: It waits for flows to be restored.
    """
    if restores():
        raise errors.PathfinderError(
            "Open vSwitch is being restarted, or a restart was cut off: other_config:flow-restore-wait is set, and "
            "until it is gone ovs-vswitchd acts on no flow that is added, so nothing is changed; where no restart is "
            "under way, remove it: ovs-vsctl remove Open_vSwitch . other_config flow-restore-wait"
        )


def _ask(columns: Mapping[str, str]) -> str:
    command = process.Command(["ovs-vsctl", "--timeout=5", "--format=json", "--no-wait"])
    for table, names in columns.items():
        command = command.then(["--", ("--columns=", names), "list"], table)
    try:
        return process.run(command, timeout=8)
    except process.ProcessError as error:
        raise errors.PathfinderError(
            "ovsdb-server does not answer on this host, so nothing can be said about its switch "
            f"(is openvswitch-switch running?): {' '.join(error.stderr.split())[:200]}"
        ) from error


def parse(text: str) -> Switch:
    """Read the JSON documents of `ovs-vsctl --format=json … list`, one for each table of `_COLUMNS`.

    Raises:
        PathfinderError: They are damaged.
    """
    with understood():
        return _switch(*(_rows(json.loads(line)) for line in text.splitlines() if line.strip()))


_Rows = list[Mapping[str, Any]]


def _switch(switch: _Rows, bridges: _Rows, ports: _Rows, interfaces: _Rows) -> Switch:
    about: Mapping[str, Any] = switch[0] if switch else {}
    port_of = {uuid: port for port in ports for uuid in members(port["interfaces"])}
    bridge_of = {uuid: bridge["name"] for bridge in bridges for uuid in members(bridge["ports"])}
    datapath = {bridge["name"]: bridge["datapath_type"] for bridge in bridges}
    return Switch(
        version=only(about.get("ovs_version"), ""),
        hostname=about.get("external_ids", {}).get("hostname", ""),
        datapath_type=datapath.get("br-int", "") or "system",
        hw_offload=about.get("other_config", {}).get("hw-offload") == "true",
        bridges=tuple(sorted(datapath)),
        interfaces=tuple(
            _interface(row, port_of.get(row["_uuid"], {}), bridge_of)
            for row in sorted(interfaces, key=lambda row: str(row["name"]))
        ),
    )


def _interface(row: Mapping[str, Any], port: Mapping[str, Any], bridge_of: Mapping[str, str]) -> Interface:
    return Interface(
        name=row["name"],
        bridge=bridge_of.get(port.get("_uuid", ""), ""),
        bond=port["name"] if len(members(port.get("interfaces", ()))) > 1 else "",
        type=row["type"],
        ofport=only(row["ofport"], None),
        tag=only(port.get("tag", ()), None),
        options=row["options"],
        external_ids=row["external_ids"],
        error=only(row["error"], ""),
        link_state=only(row.get("link_state", ()), ""),
        mac=only(row.get("mac_in_use", ()), ""),
        mtu=only(row.get("mtu", ()), None),
        statistics=row.get("statistics", {}),
        status=row.get("status", {}),
        bfd=row.get("bfd", {}),
        bfd_status=row.get("bfd_status", {}),
    )


def _rows(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    headings: Sequence[str] = document["headings"]
    return [dict(zip(headings, (_value(cell) for cell in row), strict=True)) for row in document["data"]]


def _value(cell: Any) -> Any:
    """Turn a value of the OVSDB wire format (RFC 7047, 5.1) into a plain one: sets to tuples, maps to dicts."""
    if not isinstance(cell, list):
        return cell
    kind, content = cast("tuple[str, Any]", cell)
    if kind == "map":
        return {str(key): str(_value(value)) for key, value in content}
    if kind == "set":
        return tuple(_value(item) for item in content)
    return content  # a uuid


def members(value: Any) -> tuple[Any, ...]:
    """Return the values of a column that OVSDB gives as a set, or as the one value where it is one."""
    return cast("tuple[Any, ...]", value) if isinstance(value, tuple) else (value,)


def only(value: Any, default: Any) -> Any:
    """Return the one value of an optional column, which OVSDB gives as a set of none or one."""
    values = members(value)
    return values[0] if values and value is not None else default
