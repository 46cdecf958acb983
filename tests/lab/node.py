"""A network namespace of the lab, in which commands run and daemons live."""

import os
import pathlib
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from . import processes, topology

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def configure(lines: Sequence[str], namespace: str | None = None) -> None:
    """Run lines of `ip`, in one process."""
    where = ["-n", namespace] if namespace else []
    result = subprocess.run(
        ["ip", *where, "-batch", "-"],
        input="\n".join(lines) + "\n",
        text=True,
        capture_output=True,
        timeout=20,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"ip -batch in {namespace}: {result.stderr.strip()}\n" + "\n".join(lines))


class Node:
    """A namespace with the environment of its commands."""

    def __init__(self, namespace: str, directory: pathlib.Path, group: processes.Group):
        self.namespace = namespace
        self.directory = directory
        self._group = group
        self.directory.mkdir(parents=True, exist_ok=True)

    @property
    def enter(self) -> list[str]:
        """The command line that runs another one in this namespace."""
        return ["ip", "netns", "exec", self.namespace]

    @property
    def env(self) -> dict[str, str]:
        """What is special in the environment of its commands."""
        return {}

    def run(
        self, *argv: str, timeout: float = 10.0, check: bool = True, text_in: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command here and wait for it.

        Raises:
            RuntimeError: it failed and `check` is set; the message holds what it printed.
            subprocess.TimeoutExpired: it took longer than `timeout` seconds.

        """
        result = subprocess.run(
            [*self.enter, *argv],
            input=text_in,
            text=True,
            capture_output=True,
            timeout=timeout,
            env=self._environment(),
            check=False,
        )
        if check and result.returncode:
            raise RuntimeError(f"{argv} in {self.namespace}: {result.returncode}: {result.stderr}{result.stdout}")
        return result

    def start(self, name: str, *argv: str, **more: Any) -> "subprocess.Popen[str]":
        """Start a daemon here; it ends with the lab, and its output is in `<name>.log`."""
        log = self.directory / f"{name}.log"
        return self._group.start(name, argv, namespace=self.namespace, env=self._environment(), log=log, **more)

    def configure(self, *lines: str) -> None:
        """Run lines of `ip` here."""
        configure(lines, self.namespace)

    def _environment(self) -> dict[str, str]:
        keep: Mapping[str, str] = {name: os.environ[name] for name in ("HOME", "TERM") if name in os.environ}
        return {**keep, "PATH": _PATH, "LC_ALL": "C", **self.env}


class Host(Node):
    """A namespace with an Open vSwitch of its own."""

    def __init__(self, namespace: str, directory: pathlib.Path, group: processes.Group, site: topology.Site):
        super().__init__(namespace, directory, group)
        self.site = site

    @property
    def env(self) -> dict[str, str]:
        """Where the tools of Open vSwitch find this host's daemons, and where the journal of this host is."""
        return {
            "OVS_PATHFINDER_STATE": str(self.directory / "state"),
            "OVS_RUNDIR": str(self.directory / "run"),
            "OVS_DBDIR": str(self.directory / "db"),
            "OVS_LOGDIR": str(self.directory / "log"),
        }

    def vsctl(self, *argv: str) -> str:
        """Run ovs-vsctl and return what it printed."""
        return self.run("ovs-vsctl", "--timeout=5", *argv).stdout.strip()

    def ofctl(self, *argv: str, text_in: str | None = None) -> str:
        """Run ovs-ofctl in the highest version of OpenFlow up to 1.4 that the bridge speaks; return what it printed."""
        return self.run("ovs-ofctl", "-O", topology.AGENTS_PROTOCOLS, *argv, text_in=text_in).stdout

    def appctl(self, *argv: str) -> str:
        """Run ovs-appctl and return what it printed."""
        return self.run("ovs-appctl", "--timeout=5", *argv).stdout

    def ofport(self, device: str) -> int:
        """Return the OpenFlow port of a device."""
        return int(self.vsctl("get", "Interface", device, "ofport"))
