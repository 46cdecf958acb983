"""The charm deployed in a lab: its actions, run as an operator's tools run them, and what they leave on the hosts."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Generator, Mapping
from typing import Any

import jubilant
import pytest
import yaml

from ovs_pathfinder.temporary import journal
from tests.lab import demo, description, faults, hosts, node, processes, topology

LEADER, OTHER = "ovs-pathfinder/0", "ovs-pathfinder/1"
METACHARACTERS = "octavia/2; touch /tmp/opf-pwned $(id) `id` | & > < ' \" \\ *"
PWNED = pathlib.Path("/tmp/opf-pwned")  # noqa: S108
"""What METACHARACTERS would make, if a shell saw them."""
INJECTION: dict[str, Any] = {
    "bridge": "br-int",
    "flows": f"table=0,priority=4096,in_port=o-hm0,icmp6,icmpv6_type=128,ipv6_src={topology.SOURCE.address6},"
    f"ipv6_dst={topology.GUEST.address6},actions=NORMAL",
}
"""Parameters of inject-flows that are taken with a run."""
_COOKIE = re.compile(r"cookie=0x6f7066[0-9a-f]{10}")


class Cloud:
    """A lab with the charm deployed on it."""

    def __init__(self, lab: hosts.Lab, model_file: pathlib.Path) -> None:
        self.lab = lab
        self.model = model_file
        command = model_file.with_suffix(".juju")
        command.write_text(f'#!/bin/sh\nLAB_JUJU_MODEL={shlex.quote(str(model_file))} exec {demo.JUJU} "$@"\n')
        command.chmod(0o755)
        self.juju = jubilant.Juju(cli_binary=str(command))

    @classmethod
    def start(cls, lab: hosts.Lab, like: "Cloud | None" = None) -> "Cloud":
        """Deploy the charm in a lab.

        Args:
            lab: the lab.
            like: one of the same units, whose deployment is taken over instead of running all its hooks again.

        """
        if like is not None:
            shutil.copytree(like.lab.directory / "juju", lab.directory / "juju", symlinks=True)
        found = cls(lab, lab.write_model(lab.directory / "model.yaml"))
        found.juju.status()
        return found

    def variant(self, name: str, env: Mapping[str, Mapping[str, str]] | None = None, **overrides: Any) -> "Cloud":
        """Return the same deployment as another model file describes it.

        Args:
            name: the model file's.
            env: what is different in the environment of units.
            overrides: top-level keys.

        """
        units = self.units
        for unit, changes in (env or {}).items():
            units[unit]["env"] = {**units[unit]["env"], **changes}
        return Cloud(
            self.lab, self.lab.write_model(self.lab.directory / f"{name}.yaml", **{"units": units, **overrides})
        )

    def other(self, name: str, **overrides: Any) -> pathlib.Path:
        """Write a model of the same lab with a deployment of its own."""
        state = str(self.lab.directory / name)
        return self.lab.write_model(self.lab.directory / f"{name}.yaml", state=state, **overrides)

    @property
    def units(self) -> dict[str, Any]:
        """The units as the model file has them; a copy."""
        return yaml.safe_load(self.model.read_text())["units"]

    def host(self, unit: str = LEADER) -> node.Host:
        """Return the host of a unit."""
        return self.lab.hosts["octavia" if unit == LEADER else "compute"]

    def run(self, unit: str, action: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run an action and return its results."""
        return self.juju.run(unit, action, dict(params or {})).results

    def together(self, action: str, params: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        """Run an action on both units at once; return the results of each."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            tasks = {unit: pool.submit(self.run, unit, action, params) for unit in (LEADER, OTHER)}
            return {unit: task.result() for unit, task in tasks.items()}

    def refuse(self, unit: str, action: str, params: Mapping[str, Any] | None = None) -> str:
        """Run an action that must fail, and return its message: one sentence, no traceback."""
        with pytest.raises(jubilant.TaskError) as failure:
            self.run(unit, action, params)
        message = failure.value.task.message
        assert "Traceback" not in message
        assert "\n" not in message
        assert len(message) < 600
        assert "error of its own" not in message
        return message

    def plan(self, **params: Any) -> dict[str, Any]:
        """Plan a path from Octavia to the amphora."""
        return self.run(LEADER, "plan-path", {"source": "octavia/2", "destination": self.lab.address, **params})

    def probe(self, run: str, **params: Any) -> dict[str, dict[str, Any]]:
        """Probe on both units."""
        return self.together("probe-path", {"run": run, **params})

    def report(self, run: str, **params: Any) -> dict[str, Any]:
        """Report on the leader."""
        return self.run(LEADER, "path-report", {"run": run, "format": "json", **params})

    def call(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a `juju` command, whatever becomes of it."""
        return juju(self.model, *arguments)

    def status(self, unit: str = LEADER) -> tuple[str, str]:
        """Return a unit's workload status and its message, as `juju status` shows them."""
        known = self.juju.status()
        found = next(
            one for app in known.apps.values() for each in app.units.values() for name, one in each.subordinates.items()
            if name == unit
        )  # fmt: skip
        return found.workload_status.current, found.workload_status.message

    def log(self) -> str:
        """Return the model's log."""
        return (self.lab.directory / "juju" / "debug.log").read_text()


def juju(model_file: pathlib.Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a `juju` command for a model file, whatever becomes of it."""
    command = [str(demo.JUJU), *arguments]
    return subprocess.run(
        command, env={**os.environ, "LAB_JUJU_MODEL": str(model_file)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def answer(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """Return the only unit's answer of `juju run --format json`."""
    assert done.stdout, done.stderr
    (found,) = json.loads(done.stdout).values()
    return found


# --- what is on a host ---


def tables(lab: hosts.Lab) -> dict[tuple[str, str], list[str]]:
    """Return all flows of both hosts, with cookies and time limits, without counters."""
    return {
        (key, bridge): sorted(host.ofctl("--no-stats", "--no-names", "dump-flows", bridge).splitlines())
        for key, host in lab.hosts.items()
        for bridge in ("br-int", "br-tun")
    }


def open_entries(host: node.Host) -> list[pathlib.Path]:
    """Return the files of a host's journal that are not closed."""
    return sorted((host.directory / "state" / "open").glob("*.json"))


def running(host: node.Host) -> dict[processes.Identity, str]:
    """Return the processes in a host's namespace, with their command lines."""
    wanted = host.run("readlink", "/proc/self/ns/net").stdout.strip()
    found: dict[processes.Identity, str] = {}
    for pid in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if str((pid / "ns" / "net").readlink()) != wanted:
                continue
            words = (pid / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            identity = processes.Identity.of(int(pid.name))
            if identity:
                found[identity] = words
    return found


def tools(host: node.Host) -> list[processes.Identity]:
    """Return what probes and trials start."""
    return [
        one for one, line in running(host).items() if "tcpdump" in line or line.startswith(("ping", "/usr/bin/ping"))
    ]


def charms(host: node.Host) -> list[processes.Identity]:
    """Return the processes of the charm, the oldest first."""
    found = [one for one, line in running(host).items() if "src/charm.py" in line]
    return sorted(found, key=lambda one: one.started)


def ours(host: node.Host) -> list[str]:
    """Return the flows of ours on br-int."""
    dump = host.ofctl("--no-stats", "--no-names", "dump-flows", "br-int").splitlines()
    return [line for line in dump if _COOKIE.search(line)]


def closed(host: node.Host) -> journal.Entry:
    """Return what was closed last in a host's journal."""
    return journal.Journal(host.env["OVS_PATHFINDER_STATE"]).closed()[0]


@contextlib.contextmanager
def unchanged(lab: hosts.Lab) -> Generator[None]:
    """See that after the body both hosts are as before: all flows, empty journals, no further process."""
    before = tables(lab)
    usual = {key: set(running(host)) for key, host in lab.hosts.items()}
    yield
    for key, host in lab.hosts.items():
        processes.wait_until(
            lambda host=host, key=key: not set(running(host)) - usual[key], f"the end of all on {key}", limit=10
        )
        assert open_entries(host) == []
    assert tables(lab) == before


# --- faults that can be taken back ---


@contextlib.contextmanager
def suffering(lab: hosts.Lab, fault: str) -> Generator[None]:
    """Inject a fault for a while; one of those that MENDING knows."""
    faults.load(fault).inject(lab)
    try:
        yield
    finally:
        MENDING[fault](lab)
        # neighbours that were asked for in vain are asked for again after a while
        processes.wait_until(lambda: lab.ping(1) == 1, "the path to work again", limit=20)


@contextlib.contextmanager
def dropping(host: node.Host, match: str) -> Generator[None]:
    """Let somebody's flow of their own drop packets on br-int for a while."""
    flow = f"cookie=0xbad,table=0,priority=200,{match}"
    host.ofctl("add-flow", "br-int", f"{flow},actions=drop")
    try:
        yield
    finally:
        host.ofctl("--strict", "del-flows", "br-int", flow.replace("cookie=0xbad", "cookie=0xbad/-1"))


@contextlib.contextmanager
def broken(cloud: Cloud) -> Generator[None]:
    """Let somebody's flow drop the probe's requests on the source's br-int for a while."""
    host = cloud.host()
    with dropping(host, f"in_port={host.ofport(topology.SOURCE.device)},icmp6,icmpv6_type=128"):
        yield


def _restore_rules(lab: hosts.Lab) -> None:
    lab.description = description.build(lab.shape)
    lab.write_description()
    lab.apply("br-int")


def _join_underlay(lab: hosts.Lab) -> None:
    for key in lab.hosts:
        lab.fabric.run("bridge", "link", "set", "dev", f"u-{key}", "isolated", "off")


def _obey(lab: hosts.Lab) -> None:
    for place in (lab.directory / "processes").glob("disobedience-*"):
        processes.Identity.parse(place.read_text()).kill()
        place.unlink()
    lab.source.vsctl("remove", "Open_vSwitch", ".", "other_config", "max-idle")
    lab.source.appctl("dpctl/del-flows")


def _leave(lab: hosts.Lab) -> None:
    """Do nothing: nothing is broken."""


MENDING: dict[str, Callable[[hosts.Lab], None]] = {
    "none": _leave,
    "egress-rule-missing": _restore_rules,
    "ingress-rule-missing": _restore_rules,
    "switch-disobeys": _obey,
    "underlay-loss": _join_underlay,
}
"""How faults are taken back."""
