"""A cloud of two hosts on one machine: the lab's hosts and guests, with a real control plane and real agents."""

import dataclasses
import os
import pathlib
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from tests.lab import hosts, node, processes, switch, topology, wiring

from . import _image, api, control, settings

_AGENT_NAME = "neutron-openvswitch-agent"
_AGENT = "neutron.cmd.eventlet.plugins.ovs_neutron_agent"
_RULE = ("security_group_id", "direction", "ethertype", "protocol", "port_range_min", "port_range_max")
_LIMIT = 180.0
"""Seconds that a step may take on a busy machine."""


class Cloud(hosts.Lab):
    """A running cloud; make one with `Cloud.start(guests=2)`, and leave it by `with` or `stop`."""

    def __init__(self, shape: topology.Shape, name: str, directory: pathlib.Path) -> None:
        super().__init__(shape, name, directory)
        self._began = time.monotonic()
        self.api = api.Api(self.control.namespace)
        self.interfaces = {each.key: each for each in shape.interfaces}
        """The ports, with the ids that Neutron gave them."""
        self.groups: dict[str, str] = {}
        """The security groups' ids, by the ends that they belong to: source, guest."""
        self._agents: dict[str, subprocess.Popen[str]] = {}

    def port(self, key: str) -> dict[str, Any]:
        """Return the Neutron port of an interface as the API shows it: source, guest or guest2."""
        return self.api.get("network", f"/v2.0/ports/{self.interfaces[key].port}")["port"]

    def start_agent(self, key: str) -> None:
        """Start Neutron's agent on a host."""
        host = self.hosts[key]
        database = host.directory / "run" / "db.sock"
        sections = settings.agent(host.directory / "agent", database, host.site, self.shape.tunnel)
        configuration = settings.write(host.directory / "agent.conf", sections)
        self._agents[key] = control.start(host, _AGENT_NAME, _AGENT, configuration)

    def stop_agent(self, key: str) -> None:
        """Kill the agent of a host, with all that it has started."""
        agent = self._agents.pop(key)
        agent.kill()
        agent.wait(timeout=10)

    def restart_agent(self, key: str) -> None:
        """Start the agent of a host anew, and wait until it has done all that it does then.

        Its flows get a new cookie, and at last it deletes all that have another one.
        """
        before = self.cookies(key)
        if key in self._agents:
            self.stop_agent(key)
        self.start_agent(key)
        self.wait_for_agent(key, before)

    def wait_for_agent(self, key: str, before: set[str]) -> None:
        """Wait until the agent of a host has replaced flows whose cookies were `before`."""
        processes.wait_until(
            lambda: not before & self.cookies(key), f"the agent of {key} to clean up", limit=_LIMIT, interval=0.1
        )

    def agent_log(self, key: str) -> str:
        """Return what the agent of a host has printed."""
        return (self.hosts[key].directory / f"{_AGENT_NAME}.log").read_text()

    def signal_agent(self, key: str, number: signal.Signals) -> None:
        """Send a signal to the agent of a host, without what it has started."""
        pid = self._agents[key].pid
        (child,) = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(child), number)

    def answers(self) -> bool:
        """Say whether the amphora answers a ping, which no switch has seen before."""
        return self.ping(1, identifier=secrets.randbelow(65535) + 1) == 1

    def answers4(self) -> bool:
        """Say the same of its IPv4 address."""
        return self.ping(1, ip=4, identifier=secrets.randbelow(65535) + 1) == 1

    def change_port(self, key: str, changes: Mapping[str, Any]) -> None:
        """Change a port through the API."""
        self.api.put("network", f"/v2.0/ports/{self.interfaces[key].port}", {"port": changes})

    def add_node(self, key: str) -> node.Node:
        """Make one more namespace, which ends with the cloud."""
        made = self._node(key)
        node.configure([f"netns add {made.namespace}"])
        made.run("sysctl", "-qw", "net.ipv6.conf.default.accept_ra=0")
        return made

    def add_rule(self, rule: Mapping[str, Any]) -> None:
        """Add a rule to a security group; what the API adds to a rule is left out."""
        self._post("security_group_rule", {name: rule[name] for name in _RULE if name in rule})

    def cookies(self, key: str) -> set[str]:
        """Return the cookies of all flows of a host."""
        dumps = [self.hosts[key].ofctl("dump-flows", bridge) for bridge in ("br-int", "br-tun")]
        return set(re.findall(r"cookie=(0x[0-9a-f]+)", "".join(dumps)))

    def tell(self, what: str) -> None:
        """Say what has been reached."""
        print(f"[{time.monotonic() - self._began:5.1f} s] {what}", flush=True)

    def _build(self, *, cloud: bool) -> None:
        wiring.connect(self.fabric, self.control, self.hosts, self.guests)
        plane = control.Control(self.control, self.shape.tunnel, self.tell)
        plane.start()
        for host in self.hosts.values():
            self._start_switch(host)
        self.tell("switches")
        plane.serve()
        plane.wait_for("network")
        for key in self.hosts:
            self.start_agent(key)
        self._make_network()
        for service in ("placement", "image", "compute"):
            plane.wait_for(service)
        self._start_compute()
        self._boot()
        plane.add_amphorae(self.port("guest")["project_id"], [self.interfaces[key] for key in self.guests])
        self._plug()
        plane.wait_for("load-balancer")
        processes.wait_until(self._active, "all ports ACTIVE", limit=_LIMIT, interval=0.2)
        self.tell("ports are active")
        self.cloud_url = api.endpoint("identity")

    def _start_switch(self, host: node.Host) -> None:
        switch.start_database(host)
        switch.wait_for_database(host)
        switch.configure(host, switch.base(host.site), "--no-wait")
        switch.start_switch(host)
        switch.settle(host)
        wiring.address_underlay(host)

    def _start_compute(self) -> None:
        """Start Nova on the host of the amphorae; its driver boots nothing."""
        host = self.destination
        sections = settings.nova(host.directory / "nova", None, host.site.hostname)
        control.start(host, "nova-compute", "nova.cmd.compute", settings.write(host.directory / "nova.conf", sections))

    def _make_network(self) -> None:
        network = self._post(
            "network",
            {
                "name": "lb-mgmt-net",
                "provider:network_type": self.shape.tunnel,
                "provider:segmentation_id": topology.SEGMENT,
            },
        )["id"]
        six = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
        self._post("subnet", {"network_id": network, "ip_version": 6, "cidr": topology.PREFIX6, **six})
        four = {"gateway_ip": None, "enable_dhcp": False}
        subnet = self._post("subnet", {"network_id": network, "ip_version": 4, "cidr": topology.PREFIX4, **four})
        self.groups = {
            "source": self._make_group("lb-health-mgr-sec-grp", [("udp", topology.HEARTBEAT_PORT)]),
            "guest": self._make_group("lb-mgmt-sec-grp", [("tcp", 22), ("tcp", topology.API_PORT)]),
        }
        self.tell("network")
        processes.wait_until(self._agents_report, "both agents report", limit=_LIMIT, interval=0.1)
        self.tell("agents report")
        for key, interface in self.interfaces.items():
            body: dict[str, Any] = {
                "network_id": network,
                "mac_address": interface.mac,
                "fixed_ips": [{"subnet_id": subnet["id"], "ip_address": interface.address4}],
                "security_groups": [self.groups["source" if key == "source" else "guest"]],
                "name": f"octavia-lb-vrrp-mgmt-{interface.amphora}",
            }
            if key == "source":
                body["name"] = "octavia-health-manager-octavia-2-listen-port"
                body |= {"device_owner": "Octavia:health-mgr", "binding:host_id": topology.OCTAVIA.hostname}
            self.interfaces[key] = dataclasses.replace(interface, port=self._post("port", body)["id"])
        self.tell("ports")

    def _make_group(self, name: str, services: list[tuple[str, int]]) -> str:
        """Make a security group that lets ICMP in, and some ports."""
        group = self._post("security_group", {"name": name})["id"]
        for ethertype, icmp in (("IPv6", "ipv6-icmp"), ("IPv4", "icmp")):
            for protocol, port in ((icmp, None), *services):
                ports = {"port_range_min": port, "port_range_max": port}
                rule = {"security_group_id": group, "direction": "ingress", "ethertype": ethertype}
                self.add_rule({**rule, "protocol": protocol, **ports})
        return group

    def _boot(self) -> None:
        """Boot a server on each guest's port, as soon as there is a host for it."""
        flavor = {"id": "amphora", "name": "amphora", "ram": 64, "vcpus": 1, "disk": 1}
        self.api.post("compute", "/flavors", {"flavor": flavor})
        processes.wait_until(self._hypervisors, "a compute host", limit=_LIMIT, interval=0.2)
        self.tell("compute host")
        for key in self.guests:
            interface = self.interfaces[key]
            body = {
                "name": f"amphora-{interface.amphora}",
                "flavorRef": "amphora",
                "imageRef": _image.IMAGE,
                "networks": [{"port": interface.port}],
            }
            server = self.api.post("compute", "/servers", {"server": body})["server"]["id"]
            device = f"tap{interface.port[:11]}"
            self.interfaces[key] = dataclasses.replace(interface, server=server, device=device)
        for key in self.guests:
            processes.wait_until(
                lambda key=key: self._server_runs(key), f"the server of {key}", limit=_LIMIT, interval=0.2
            )
        self.tell("servers")

    def _server_runs(self, key: str) -> bool:
        server = self.api.get("compute", f"/servers/{self.interfaces[key].server}")["server"]
        if server["status"] == "ERROR":
            raise RuntimeError(f"no server for {key}: {server.get('fault')}")
        return server["status"] == "ACTIVE"

    def _plug(self) -> None:
        """Plug the source, as the charm of Octavia does, and the guests, as Nova does."""
        source, mtu = self.interfaces["source"], self.shape.mtu
        for host in self.hosts.values():
            processes.wait_until(lambda host=host: _has_bridge(host), f"br-int of {host.namespace}", limit=_LIMIT)
        switch.configure(self.source, switch.plug(source, mtu))
        wiring.address_source(self.source, mtu)
        for key, guest in self.guests.items():
            interface = self.interfaces[key]
            wiring.attach(interface, guest, self.destination, mtu)
            switch.configure(self.destination, switch.plug(interface, mtu))
        ends = [*self._start_guests(), self._start_end(self.source, "health-manager")]
        for each in ends:
            hosts.wait_for_line(each, "ready")
        self.tell("plugged")

    def _agents_report(self) -> bool:
        for key, agent in self._agents.items():
            if agent.poll() is not None:
                raise RuntimeError(f"the agent of {key} has ended: {self.agent_log(key)[-2000:]}")
        agents = self.api.get("network", "/v2.0/agents")["agents"]
        return {site.hostname for site in topology.SITES} <= {one["host"] for one in agents if one["alive"]}

    def _hypervisors(self) -> bool:
        return bool(self.api.get("compute", "/os-hypervisors")["hypervisors"])

    def _active(self) -> bool:
        return all(self.port(key)["status"] == "ACTIVE" for key in self.interfaces)

    def _post(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        plural = f"{kind.replace('_', '-')}s"
        return self.api.post("network", f"/v2.0/{plural}", {kind: body})[kind]


def _has_bridge(host: node.Host) -> bool:
    return not host.run("ovs-vsctl", "--timeout=5", "get", "Interface", "patch-tun", "ofport", check=False).returncode
