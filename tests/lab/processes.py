"""Processes that the lab starts, each known by pid and start time, so that only these are ended."""

import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Identity:
    """A process: a pid may be used again, a pid with its start time (in clock ticks since boot) is not."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Return the identity of a living process, or None."""
        try:
            text = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @classmethod
    def parse(cls, text: str) -> "Identity":
        """Read what `str` wrote."""
        pid, started = text.split()
        return cls(int(pid), int(started))

    def __str__(self) -> str:
        return f"{self.pid} {self.started}"

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return self.of(self.pid) == self

    def kill(self) -> None:
        """End it, if it is still the same; the descriptor keeps the pid from being used again in between."""
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if self.alive:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)


class Group:
    """The daemons of one lab: recorded in a directory, ended together, and by the kernel if their owner dies.

    The kernel ends a daemon when the *thread* that started it ends: start a lab from one that outlives it.
    """

    def __init__(self, directory: pathlib.Path):
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)
        self._children: list[subprocess.Popen[str]] = []

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        namespace: str,
        env: Mapping[str, str],
        log: pathlib.Path,
        **more: Any,
    ) -> "subprocess.Popen[str]":
        """Start a daemon in a network namespace; its output goes to `log` unless `stdout` says otherwise."""
        command = ["ip", "netns", "exec", namespace, "setpriv", "--pdeathsig", "KILL", "--", *argv]
        with log.open("a") as output:
            more.setdefault("stdout", output)
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stderr=output,
                env=dict(env),
                text=True,
                start_new_session=True,
                **more,
            )
        self._children.append(child)
        identity = Identity.of(child.pid)
        if identity:
            (self._directory / f"{name}-{child.pid}").write_text(str(identity))
        return child

    def stop(self) -> None:
        """End all of them, the last one first, and wait."""
        for child in reversed(self._children):
            child.kill()
        for child in self._children:
            child.wait(timeout=5)
            if child.stdout:
                child.stdout.close()
        self._children.clear()


def end_recorded(directory: pathlib.Path) -> None:
    """End the processes that a dead owner recorded in `directory`."""
    for path in directory.glob("*"):
        with contextlib.suppress(ValueError):
            Identity.parse(path.read_text()).kill()


def wait_until(condition: Callable[[], object], what: str, limit: float = 5.0, interval: float = 0.01) -> None:
    """Wait until `condition` holds.

    Raises:
        TimeoutError: it did not hold within `limit` seconds.

    """
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {limit} s")
        time.sleep(interval)
