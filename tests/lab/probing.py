"""The library on both hosts of a lab at once, without Juju: for tests of evidence and diagnosis.

`python -m tests.lab.probing UNIT` reads a plan and settings as JSON on stdin and prints the unit's evidence; it is
what runs in a host's namespaces.
"""

import json
import subprocess
import sys
from typing import Any

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose, verdict
from ovs_pathfinder.evidence import practice, probe, record, wire
from tests.lab import hosts, topology

UNITS = {"octavia": ("ovs-pathfinder/0", "octavia/2"), "compute": ("ovs-pathfinder/1", "nova-compute/0")}
RUN = "20260314t120000-0a1b2c"


def plan_of(lab: hosts.Lab, protocol: path.Protocol = "icmp", port: int | None = None) -> path.Plan:
    """Describe a lab's path as the cloud would."""
    source, destination = (_endpoint(lab, number) for number in (0, 1))
    return path.Plan(
        run=RUN,
        created="2026-03-14T12:00:00+00:00",
        source=source,
        destination=destination,
        network=path.Network(
            id=topology.NETWORK,
            name="lb-mgmt-net",
            type=lab.shape.tunnel,
            segmentation_id=lab.shape.segment,
            physical_network="" if lab.shape.is_tunnelled else topology.PHYSICAL,
            mtu=topology.MTU[lab.shape.tunnel],
        ),
        protocol=protocol,
        port=port,
    )


def _endpoint(lab: hosts.Lab, number: int) -> path.Endpoint:
    interface = lab.shape.interfaces[number]
    raw: dict[str, Any] = next(one for one in lab.description["ports"] if one["id"] == interface.port)
    site = next(one.site for one in lab.hosts.values() if one.site.hostname == raw["binding:host_id"])
    unit, principal = UNITS[site.key]
    names = {group["id"]: group["name"] for group in lab.description["security_groups"]}
    agents = {agent["host"]: agent["alive"] for agent in lab.description["agents"]}
    return path.Endpoint(
        port=path.Port(
            id=raw["id"],
            name=raw["name"],
            mac=raw["mac_address"],
            addresses=tuple(fixed["ip_address"] for fixed in raw["fixed_ips"]),
            device_owner=raw["device_owner"],
            host=raw["binding:host_id"],
            vif_type=raw["binding:vif_type"],
            status=raw["status"],
            admin_state_up=raw["admin_state_up"],
            port_security_enabled=raw["port_security_enabled"],
            security_groups=tuple(path.SecurityGroup(id=one, name=names[one]) for one in raw["security_groups"]),
            trunk=path.Trunk(id=topology.TRUNK, parent=interface.parent.port, vlan=topology.TRUNK_VLAN)
            if interface.parent
            else None,
        ),
        address=interface.address(lab.shape.ip),
        label=raw["name"] or raw["id"],
        unit=unit,
        principal=principal,
        tunnel_address=site.tunnel_address,
        physical_bridge="" if lab.shape.is_tunnelled else topology.PHYSICAL_BRIDGE,
        management_address=site.management_address,
        agent_alive=agents.get(raw["binding:host_id"]),
    )


def gather(
    lab: hosts.Lab, plan: path.Plan, settings: probe.Settings | None = None, wait: float = 10.0
) -> list[record.Evidence]:
    """Probe the path on both hosts at once, each in its own namespaces."""
    given = json.dumps(
        {
            "plan": plan.model_dump(mode="json"),
            "settings": (settings or probe.Settings()).model_dump(),
            "wait": wait,
        }
    )
    units = {plan.source.unit, plan.destination.unit}
    running = [_start(lab, key, unit) for key, (unit, _) in UNITS.items() if unit in units]
    for one in running:
        assert one.stdin is not None
        one.stdin.write(given)
        one.stdin.close()
        one.stdin = None
    found = [one.communicate(timeout=90) for one in running]
    for one, (_, err) in zip(running, found, strict=True):
        if one.returncode != 0:
            raise AssertionError(f"probing failed: {err}")
    return [wire.from_data(json.loads(out)) for out, _ in found]


def _start(lab: hosts.Lab, key: str, unit: str) -> "subprocess.Popen[str]":
    host = lab.hosts[key]
    environment = [f"{name}={value}" for name, value in host.env.items()]
    command = [*host.enter, "env", *environment, sys.executable, "-m", "tests.lab.probing", unit]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=hosts.CHECKOUT,
        env={"PYTHONPATH": "lib:src:.", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip


def diagnosis(lab: hosts.Lab, plan: path.Plan, settings: probe.Settings | None = None) -> verdict.Diagnosis:
    """Probe the path and say what is the matter with it."""
    return diagnose.diagnose(plan, gather(lab, plan, settings))


def main() -> None:
    """Gather evidence for one unit."""
    given = json.load(sys.stdin)
    plan = path.Plan.model_validate_json(json.dumps(given["plan"]))
    settings = probe.Settings.model_validate(given["settings"])
    print(wire.to_json(practice.gather(plan, sys.argv[1], settings, wait=given["wait"])))


if __name__ == "__main__":
    main()
