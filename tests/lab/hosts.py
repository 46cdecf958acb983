"""Two hosts of a cloud in network namespaces: real switches, a real tunnel, the flows of Neutron's agent."""

import hashlib
import importlib.util
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any

from typing_extensions import Self

from . import agent, description, model, node, ownership, processes, switch, topology, wiring

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_HEARTBEAT_SECONDS = "3"


def _end_in_order() -> None:
    """Let SIGTERM and a terminal that is closed pass `__exit__`, too; make and sudo may send one after the other."""
    if threading.current_thread() is not threading.main_thread():
        return
    ours = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]

    def end(*_: object) -> None:
        for one in ours:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in ours:
        signal.signal(one, end)


class Lab:
    """A running lab; make one with `start` and leave it by `with` or `stop`."""

    def __init__(self, shape: topology.Shape, name: str, directory: pathlib.Path):
        self.shape = shape
        self.name = name
        self.directory = directory
        self.description = description.build(shape)
        self._group = processes.Group(directory / "processes")
        self.fabric, self.control = self._node("fabric"), self._node("ctl")
        self.hosts = {
            site.key: node.Host(f"opf-{name}-{site.key}", directory / site.key, self._group, site)
            for site in topology.SITES
        }
        self.guests = {each.key: self._node(each.key) for each in shape.interfaces[1:]}
        self._cloud: subprocess.Popen[str] | None = None
        self.cloud_url = ""
        """The address of the cloud's stand-in; empty without one."""

    @classmethod
    def start(cls, *, cloud: bool = True, **options: Any) -> Self:
        """Start a lab, after sweeping away those of dead owners.

        Args:
            cloud: start the cloud's stand-in too, where there is one.
            options: the fields of `topology.Shape`: tunnel, ip, l2population, same_host, guests, heartbeats.

        """
        ownership.sweep()
        _end_in_order()
        name = secrets.token_hex(3)
        lab = cls(topology.Shape(**options), name, ownership.claim(name))
        try:
            lab._build(cloud=cloud)
        except BaseException:
            lab.stop()
            raise
        return lab

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the lab's processes and remove its namespaces and files."""
        self._group.stop()
        ownership.remove(self.name, self.directory)

    @property
    def source(self) -> node.Host:
        """The host of the path's source."""
        return self.hosts["octavia"]

    @property
    def destination(self) -> node.Host:
        """The host of the path's destination."""
        return self.hosts[self.shape.site(topology.GUEST).key]

    @property
    def guest(self) -> node.Node:
        """The amphora at the path's end."""
        return self.guests["guest"]

    @property
    def address(self) -> str:
        """The address that is probed."""
        return topology.GUEST.address(self.shape.ip)

    @property
    def tunnel_table(self) -> int:
        """The table of br-tun that receives from the tunnel."""
        return agent.TUNNEL_TABLES[self.shape.tunnel]

    def tunnel_port(self, key: str) -> str:
        """Return the name of a host's tunnel port."""
        (remote,) = self.remotes(self.hosts[key].site)
        return topology.tunnel_port(self.shape.tunnel, remote)

    def port(self, key: str) -> dict[str, Any]:
        """Return the Neutron port of an interface: source, guest, guest2 or parent."""
        known = (*self.shape.interfaces, topology.PARENT)
        wanted = next(each.port for each in known if each.key == key)
        return next(each for each in self.description["ports"] if each["id"] == wanted)

    def ping(
        self,
        count: int = 3,
        *,
        ip: topology.IpVersion | None = None,
        interval: float = 0.05,
        identifier: int = 4242,
    ) -> int:
        """Ping the guest from the source; return how many replies came."""
        address = topology.GUEST.address(ip or self.shape.ip)
        argv = ["ping", "-n", "-q", "-c", str(count), "-i", str(interval), "-W", "0.5"]
        argv += ["-e", str(identifier), address]
        output = self.source.run(*argv, timeout=count * interval + 10, check=False).stdout
        received = re.search(r"(\d+) received", output)
        return int(received[1]) if received else 0  # it ends at once where there is no route

    def warm_up(self, limit: float = 8.0) -> None:
        """Wait until the path answers in both families, and let the switches learn what they will learn.

        The guest asks too, for the source's MAC: only what passes NORMAL, such as a solicitation, is learned.

        Raises:
            RuntimeError: it does not, within `limit` seconds each.

        """
        for site, other in (topology.SITES, topology.SITES[::-1]):
            # the switch learns the tunnel's neighbour from ARP that it sees, and loses packets until then
            self.hosts[site.key].run("ping", "-n", "-q", "-c", "1", "-w", "2", other.tunnel_address)
        self._ping_once(self.source, topology.GUEST, limit)
        for guest in self.guests.values():
            guest.run("ip", "neigh", "flush", "dev", "eth0")
            self._ping_once(guest, topology.SOURCE, limit)

    def forget_neighbours(self) -> None:
        """Empty the neighbour tables of both ends, so that the next packet needs a resolution first."""
        self.source.run("ip", "neigh", "flush", "dev", topology.SOURCE.device)
        for guest in self.guests.values():
            guest.run("ip", "neigh", "flush", "dev", "eth0")

    def write_description(self) -> pathlib.Path:
        """Write the cloud's description for its stand-in, whole or not at all."""
        path = self.directory / "cloud.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(self.description, indent=1))
        temporary.replace(path)
        return path

    def write_model(self, path: str | os.PathLike[str], **overrides: Any) -> pathlib.Path:
        """Write the model file of this lab's units."""
        where = pathlib.Path(path)
        model.write(where, model.build(self.hosts, self.directory / "juju", **overrides))
        return where

    def remotes(self, site: topology.Site) -> list[str]:
        """Return the addresses a host has tunnels to; l2population makes them where the network has ports."""
        others = [each for each in topology.SITES if each is not site and self.shape.is_tunnelled]
        if self.shape.l2population:
            others = [each for each in others if self.shape.plugged(each) and self.shape.plugged(site)]
        return [each.tunnel_address for each in others]

    def flows(self, site: topology.Site) -> dict[str, str]:
        """Compute a host's flow tables from the description."""
        plugged = self.shape.plugged(site)
        wired = [
            agent.Wired(self.port(each.key), number, topology.VLAN, each.link_local)
            for number, each in enumerate(plugged, start=2)
        ]
        if any(each.parent for each in plugged):
            parent, link_local = self.port(topology.PARENT.key), topology.PARENT.link_local
            wired.append(agent.Wired(parent, agent.PARENT_OFPORT, topology.PARENT_LOCAL_VLAN, link_local))
        others = [each for each in topology.SITES if each is not site]
        macs = tuple(self.port(each.key)["mac_address"] for other in others for each in self.shape.plugged(other))
        remotes = [agent.Remote(number, macs) for number, _ in enumerate(self.remotes(site), start=2)]
        if not self.shape.is_tunnelled:
            return self._flows_of_physical(site, wired)
        return {
            "br-int": agent.br_int(
                wired,
                self.description["security_group_rules"],
                self.cookie(site, "br-int"),
                description.members(self.description),
            ),
            "br-tun": agent.br_tun(
                self.shape.tunnel,
                topology.SEGMENT,
                topology.VLAN if plugged else None,
                remotes,
                self.cookie(site, "br-tun"),
                l2population=self.shape.l2population,
            ),
        }

    def _flows_of_physical(self, site: topology.Site, wired: list[agent.Wired]) -> dict[str, str]:
        """Compute the flow tables where the network is on a physical one."""
        vlan = topology.VLAN if wired else None
        rules, members = self.description["security_group_rules"], description.members(self.description)
        integration = agent.br_int(wired, rules, self.cookie(site, "br-int"), members)
        bridge = topology.PHYSICAL_BRIDGE
        return {
            "br-int": integration + agent.from_physical(self.shape.segment, vlan, self.cookie(site, "br-int")),
            bridge: agent.br_phys(self.shape.segment, vlan, self.cookie(site, bridge)),
        }

    def cookie(self, site: topology.Site, bridge: str) -> int:
        """Return the cookie of a bridge's flows."""
        digest = hashlib.sha256(f"{self.name} {site.key} {bridge}".encode()).digest()
        return int.from_bytes(digest[:8], "big")

    def apply(self, *bridges: str) -> None:
        """Install what the description asks for, as the agents would; all bridges unless some are named."""
        for host in self.hosts.values():
            for bridge, text in self.flows(host.site).items():
                if not bridges or bridge in bridges:
                    host.ofctl("--bundle", "replace-flows", bridge, "-", text_in=text)

    def _ping_once(self, origin: node.Node, target: topology.Interface, limit: float) -> None:
        for address in (target.address6, target.address4):
            argv = ["ping", "-n", "-q", "-c", "1", "-i", "0.1", "-w", str(int(limit)), address]
            origin.run(*argv, timeout=limit + 5)

    def _node(self, key: str) -> node.Node:
        return node.Node(f"opf-{self.name}-{key}", self.directory / key, self._group)

    def _build(self, *, cloud: bool) -> None:
        self.write_description()
        wiring.connect(self.fabric, self.control, self.hosts, self.guests, self.shape.uplinks)
        for each in self.shape.interfaces[1:]:
            wiring.attach(each, self.guests[each.key], self.hosts[self.shape.site(each).key], self.shape.mtu)
        if cloud:
            self._start_cloud()
        for host in self.hosts.values():
            switch.start_database(host)
        for host in self.hosts.values():
            switch.wait_for_database(host)
            switch.describe(host, self.shape, self.remotes(host.site))
            switch.start_switch(host)
        ends = self._start_guests()
        for host in self.hosts.values():
            switch.settle(host)
            wiring.address_underlay(host)
        for host in self.hosts.values() if self.shape.bond else ():
            switch.wait_for_bond(host, self.shape.uplinks)
        wiring.address_source(self.source, self.shape.mtu)
        ends.append(self._start_end(self.source, "health-manager"))
        self.apply()
        for each in ends:
            wait_for_line(each, "ready")
        if self._cloud:
            self.cloud_url = wait_for_line(self._cloud, "listening on ").removeprefix("listening on ")

    def _start_guests(self) -> list["subprocess.Popen[str]"]:
        beats = [
            "--heartbeat",
            topology.SOURCE.address(self.shape.ip),
            str(topology.HEARTBEAT_PORT),
            _HEARTBEAT_SECONDS,
        ]
        return [
            self._start_end(each, "amphora", *(beats if self.shape.heartbeats else [])) for each in self.guests.values()
        ]

    def _start_end(self, where: node.Node, name: str, *more: str) -> "subprocess.Popen[str]":
        program = str(pathlib.Path(__file__).with_name("endpoint.py"))
        ports = ["--tcp", str(topology.API_PORT), "--udp", str(topology.HEARTBEAT_PORT)]
        return where.start(name, sys.executable, program, *ports, *more, stdout=subprocess.PIPE)

    def _start_cloud(self) -> None:
        if importlib.util.find_spec("tests.lab.cloud.__main__") is None:
            return
        listen = f"{topology.CONTROL_ADDRESS}:{topology.CLOUD_PORT}"
        argv = [sys.executable, "-m", "tests.lab.cloud", "--description", str(self.directory / "cloud.json")]
        self._cloud = self.control.start("cloud", *argv, "--listen", listen, stdout=subprocess.PIPE, cwd=CHECKOUT)


def missing() -> str | None:
    """Say why no lab can run here; None if one can."""
    if os.geteuid():
        return "a lab needs root"
    tools = ("ovs-vswitchd", "ovsdb-server", "ovs-vsctl", "ip", "ethtool", "setpriv", "ping", "tcpdump", "nft")
    absent = [each for each in tools if not shutil.which(each, path="/usr/sbin:/usr/bin:/sbin:/bin")]
    if absent:
        return f"a lab needs {', '.join(absent)}"
    namespace = f"opf-{secrets.token_hex(3)}-trial"
    try:
        node.configure([f"netns add {namespace}", f"netns del {namespace}"])
    except RuntimeError as error:
        return f"a lab needs network namespaces: {error}"
    return None


def wait_for_line(child: "subprocess.Popen[str]", start: str) -> str:
    """Read what a daemon prints until a line starts so; its end is the limit."""
    assert child.stdout is not None
    for line in child.stdout:
        if line.startswith(start):
            return line.strip()
    raise RuntimeError(f"{child.args}: ended without printing {start!r}")
