"""The one place where processes are started: absolute paths, argument lists, time limits, no shell.

Every child is started through `setpriv --pdeathsig` (util-linux), because Juju cancels an action with SIGKILL of
the one Python process: a capture must not outlive it.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

from . import errors

SEARCH_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED_ON = ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR")
_PACKAGES = {
    "ovs-vsctl": "openvswitch-switch",
    "ovs-ofctl": "openvswitch-switch",
    "ovs-appctl": "openvswitch-switch",
    "tcpdump": "tcpdump",
    "ping": "iputils-ping",
    "ip": "iproute2",
}


class ProcessError(errors.PathfinderError):
    """A tool failed, with its command, its exit status and what it printed on stderr."""

    def __init__(self, command: Sequence[str], status: int | None, stdout: str, stderr: str) -> None:
        self.command = tuple(command)
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        said = " ".join(stderr.split()) or " ".join(stdout.split()) or "no message"
        how = "took too long" if status is None else f"failed with exit status {status}"
        super().__init__(f"`{' '.join(command)}` {how}: {said[:500]}")


def find(tool: str) -> str:
    """Return the absolute path of a tool, or say which package has it."""
    found = shutil.which(tool, path=SEARCH_PATH)
    if found is None:
        package = _PACKAGES.get(tool, tool)
        raise errors.PathfinderError(
            f"{tool} is not installed on this host; install the package {package} and run this again"
        )
    return found


def environment() -> Mapping[str, str]:
    """Return what tools see of the environment: a fixed PATH and locale, and where Open vSwitch runs."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {"PATH": SEARCH_PATH, "LC_ALL": "C", **kept}


def _argv(command: Sequence[str]) -> list[str]:
    return [find("setpriv"), "--pdeathsig", "KILL", "--", find(command[0]), *command[1:]]


def run(command: Sequence[str], *, timeout: float = 5.0, input: str | None = None) -> str:
    """Run a tool to its end and return its stdout.

    Args:
        command: The tool's bare name and its arguments.
        timeout: Seconds after which the tool is killed.
        input: Text for its stdin; none by default.

    Raises:
        ProcessError: The tool exited with another status than 0, or took too long.
        PathfinderError: The tool is not installed.
    """
    try:
        done = subprocess.run(  # noqa: S603
            _argv(command),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=environment(),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessError(command, None, "", f"no answer within {timeout:g} s") from error
    if done.returncode != 0:
        raise ProcessError(command, done.returncode, done.stdout, done.stderr)
    return done.stdout


class Running:
    """A tool that goes on until it ends by itself or is stopped.

    It ends with this process too, unless it has file capabilities, as ping has: give such a tool an end of its own.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.command = tuple(command)
        self._popen = subprocess.Popen(  # noqa: S603
            _argv(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )

    @property
    def stdout(self) -> IO[bytes]:
        """The tool's stdout, unread."""
        assert self._popen.stdout is not None  # noqa: S101
        return self._popen.stdout

    @property
    def stderr(self) -> IO[bytes]:
        """The tool's stderr, unread."""
        assert self._popen.stderr is not None  # noqa: S101
        return self._popen.stderr

    @property
    def ended(self) -> bool:
        """Whether the tool has ended."""
        return self._popen.poll() is not None

    def stop(self, timeout: float = 1.0) -> None:
        """End the tool as Ctrl-C would, and kill it where that does not help within `timeout` seconds."""
        if not self.ended:
            self._popen.send_signal(signal.SIGINT)
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def finish(self, timeout: float) -> tuple[str, str]:
        """Wait at most `timeout` seconds for the tool's end; return what it printed on stdout and stderr."""
        try:
            out, err = self._popen.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            out, err = self._popen.communicate()
        return out.decode(errors="replace"), err.decode(errors="replace")
