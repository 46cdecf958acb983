"""An Open vSwitch for one host: its daemons, and the bridges and ports that Neutron's agent would make."""

import json
import os
import pathlib
import signal
import subprocess
from collections.abc import Sequence

from . import agent, node, processes, topology

BOND = "bond0"
"""The bond of br-phy, where the underlay is reached by several devices."""
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


def start_database(host: node.Host) -> None:
    """Create an empty database and start its server; `wait_for_database` waits for it."""
    for name in ("run", "db", "log"):
        (host.directory / name).mkdir()
    database = host.directory / "db" / "conf.db"
    subprocess.run(["ovsdb-tool", "create", str(database), _SCHEMA], check=True, timeout=10)
    serve_database(host)


def serve_database(host: node.Host) -> None:
    """Start the server of the database that is there; `wait_for_database` waits for it."""
    database = host.directory / "db" / "conf.db"
    logging = ["-vconsole:off", "-vfile:info", f"--log-file={host.directory}/log/ovsdb-server.log"]
    socket, pidfile = f"punix:{host.directory}/run/db.sock", f"{host.directory}/run/ovsdb-server.pid"
    host.start("ovsdb-server", "ovsdb-server", str(database), f"--remote={socket}", f"--pidfile={pidfile}", *logging)


def wait_for_database(host: node.Host) -> None:
    """Wait until the database answers."""
    socket = pathlib.Path(host.directory / "run" / "db.sock")
    processes.wait_until(socket.is_socket, f"ovsdb-server of {host.namespace}")


def stop(host: node.Host, daemon: str, number: signal.Signals = signal.SIGKILL) -> None:
    """End ovs-vswitchd or ovsdb-server by a signal, and wait for its end."""
    run = host.directory / "run"
    identity = processes.Identity.of(int((run / f"{daemon}.pid").read_text()))
    if identity is None:
        raise RuntimeError(f"{daemon} of {host.namespace} does not run")
    os.kill(identity.pid, number)
    processes.wait_until(lambda: not identity.alive, f"the end of {daemon} of {host.namespace}")
    if daemon == "ovsdb-server":
        (run / "db.sock").unlink(missing_ok=True)  # `wait_for_database` waits for its successor's


def start_switch(host: node.Host) -> None:
    """Start ovs-vswitchd, which takes the configuration from the database; `settle` waits for it."""
    run = host.directory / "run"
    logging = ["-vconsole:off", "-vfile:info", f"--log-file={host.directory}/log/ovs-vswitchd.log"]
    host.start("ovs-vswitchd", "ovs-vswitchd", f"unix:{run}/db.sock", f"--pidfile={run}/ovs-vswitchd.pid", *logging)


def settle(host: node.Host) -> None:
    """Wait until ovs-vswitchd has done what the database says."""
    host.vsctl("set", "Open_vSwitch", ".", "system_type=debian", "system_version=12")


def wait_for_bond(host: node.Host, uplinks: Sequence[str]) -> None:
    """Wait until the bond has come to terms with the other host's."""

    def is_up() -> bool:
        text = host.appctl("bond/show", BOND)
        return "lacp_status: negotiated" in text and text.count(": enabled") == len(uplinks)

    processes.wait_until(is_up, f"the bond of {host.namespace}")


def describe(host: node.Host, shape: topology.Shape, remotes: Sequence[str]) -> None:
    """Write a host's bridges and ports into its database, before ovs-vswitchd runs.

    OpenFlow ports are those a real agent's bridges get: 1 for the patch, then ports in the order of plugging.
    """
    lines = [*base(host.site, shape.uplinks), *_bridge("br-int", shape), *_bridge("br-tun", shape)]
    lines += _patch("br-int", "patch-tun", "patch-int") + _patch("br-tun", "patch-int", "patch-tun")
    for number, interface in enumerate(shape.plugged(host.site), start=2):
        lines += _join_trunk(interface) if interface.parent else plug(interface, shape.mtu)
        lines += _wired(interface, number, shape)
    for number, remote in enumerate(remotes, start=2):
        lines += tunnel(host.site, shape, remote, number)
    if not shape.is_tunnelled:
        lines += _patch("br-int", agent.INTEGRATION_PATCH, agent.PHYSICAL_PATCH, agent.PHYSICAL_OFPORT)
        lines += _patch(topology.PHYSICAL_BRIDGE, agent.PHYSICAL_PATCH, agent.INTEGRATION_PATCH, agent.PHYSICAL_OFPORT)
    configure(host, lines, "--no-wait")


def configure(host: node.Host, lines: Sequence[Sequence[str]], *options: str) -> None:
    """Run lines of ovs-vsctl, in one transaction."""
    argv = list(options)
    for line in lines:
        argv += ["--", *line]
    host.vsctl(*argv)


def tunnel(site: topology.Site, shape: topology.Shape, remote: str, number: int) -> list[list[str]]:
    """Return the ovs-vsctl commands that make a tunnel port."""
    name = topology.tunnel_port(shape.tunnel, remote)
    options = ["df_default=true", "egress_pkt_mark=0", "in_key=flow", "out_key=flow"]
    options += [f"local_ip={site.tunnel_address}", f"remote_ip={remote}"]
    settings = [f"options:{each}" for each in options]
    return [
        ["add-port", "br-tun", name],
        ["set", "Interface", name, f"type={shape.tunnel}", f"ofport_request={number}", *settings],
    ]


def base(site: topology.Site, uplinks: Sequence[str] = ("eth1",)) -> list[list[str]]:
    """Return the ovs-vsctl commands that describe a host and make the bridge of its underlay."""
    joined = ["add-port", "br-phy", *uplinks]
    if len(uplinks) > 1:
        joined = [
            "add-bond",
            "br-phy",
            BOND,
            *uplinks,
            "bond_mode=balance-tcp",
            "lacp=active",
            "other_config:lacp-time=fast",
        ]
    ids = [f"external_ids:system-id={site.system_id}", f"external_ids:hostname={site.hostname}"]
    return [
        ["init"],
        ["set", "Open_vSwitch", ".", *ids],
        ["add-br", "br-phy"],
        ["set", "Bridge", "br-phy", "datapath_type=netdev", f"other_config:hwaddr={site.underlay_mac}"],
        joined,
    ]


def _bridge(name: str, shape: topology.Shape) -> list[list[str]]:
    settings = ["datapath_type=netdev", "fail_mode=secure", f"protocols={shape.protocols}"]
    return [["add-br", name], ["set", "Bridge", name, *settings, "other_config:mac-table-size=50000"]]


def _patch(bridge: str, name: str, peer: str, number: int = agent.PATCH) -> list[list[str]]:
    return [
        ["add-port", bridge, name],
        ["set", "Interface", name, "type=patch", f"options:peer={peer}", f"ofport_request={number}"],
    ]


def plug(interface: topology.Interface, mtu: int) -> list[list[str]]:
    """Return the ovs-vsctl commands that plug a port, as Nova or the charm does."""
    name = interface.device
    ids = {"attached-mac": interface.mac, "iface-id": interface.port, "iface-status": "active"}
    internal: list[str] = []
    if interface.key == topology.SOURCE.key:
        ids["skip_cleanup"] = "true"
        internal = ["type=internal", f"mtu_request={mtu}"]
    else:
        ids["vm-uuid"] = interface.server
    external = [f'external_ids:{key}="{value}"' for key, value in ids.items()]
    return [["add-port", "br-int", name], ["set", "Interface", name, *internal, *external]]


def _join_trunk(subport: topology.Interface) -> list[list[str]]:
    """Return the ovs-vsctl commands that make a trunk's bridge, as Nova and the agent's trunk driver do together."""
    bridge, parent = topology.TRUNK_BRIDGE, subport.parent
    assert parent is not None
    metadata = {"bridge_name": bridge, "trunk_id": topology.TRUNK, "subport_ids": f'["{subport.port}"]'}
    ids = {"attached-mac": parent.mac, "iface-id": parent.port, "iface-status": "active", "vm-uuid": parent.server}
    external = [f"external_ids:{key}={json.dumps(value)}" for key, value in {**ids, **metadata}.items()]
    lines = [
        ["add-br", bridge],
        ["set", "Bridge", bridge, "datapath_type=netdev"],
        ["add-port", bridge, parent.device],
        ["set", "Interface", parent.device, *external],
    ]
    for prefix, port in (("tp", parent), ("sp", subport)):
        inner, outer = f"{prefix}i-{port.port}"[:15], f"{prefix}t-{port.port}"[:15]
        known = [f'external_ids:attached-mac="{port.mac}"', f'external_ids:iface-id="{port.port}"']
        for where, name, peer in (("br-int", inner, outer), (bridge, outer, inner)):
            lines.append(["add-port", where, name])
            lines.append(["set", "Interface", name, "type=patch", f"options:peer={peer}", *known])
    trunk = f"tpi-{parent.port}"[:15]
    lines.append(["set", "Port", f"spt-{subport.port}"[:15], f"tag={topology.TRUNK_VLAN}"])
    lines.append(["set", "Interface", trunk, f"ofport_request={agent.PARENT_OFPORT}"])
    lines.append(["set", "Port", trunk, f"tag={topology.PARENT_LOCAL_VLAN}"])
    return lines


def _wired(interface: topology.Interface, number: int, shape: topology.Shape) -> list[list[str]]:
    """Return the ovs-vsctl commands that tag a port, as the agent does then."""
    known = {
        "net_uuid": topology.NETWORK,
        "network_type": shape.tunnel,
        "physical_network": "None" if shape.is_tunnelled else topology.PHYSICAL,
        "segmentation_id": str(shape.segment),
        "tag": str(topology.VLAN),
    }
    settings = [f"other_config:{key}={value}" for key, value in known.items()]
    return [
        ["set", "Interface", interface.device, f"ofport_request={number}"],
        ["set", "Port", interface.device, f"tag={topology.VLAN}", *settings],
    ]
