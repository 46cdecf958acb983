"""Processes that make temporary changes on a host and are killed, or stopped, where a test says.

`python -m tests.lab._killed` loads the library once, reads requests as JSON lines on stdin, forks a process for each,
and prints what happens to them as JSON lines. The library has no hooks for this: in the forked process its functions
are wrapped, and each wrapper is a boundary before and after the call.
"""

import ctypes
import fcntl
import importlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pydantic

from ovs_pathfinder import cloud, process
from ovs_pathfinder.temporary import change, guard, journal, protocol, sweep

_SIGNALS = {"die": signal.SIGKILL, "stop": signal.SIGSTOP}
_PR_SET_PDEATHSIG = 1
_write = os.write  # which is wrapped later
_KIND: pydantic.TypeAdapter[journal.Kind] = pydantic.TypeAdapter(journal.Kind)


class Boundaries:
    """The calls of the product that are wrapped; the process is sent a signal at those that the plan names."""

    def __init__(self, plan: Mapping[str, str], tell: Callable[..., None]) -> None:
        self._reached = 0
        self._plan = plan
        self._tell = tell

    def reach(self, name: str) -> None:
        """Count a boundary, and die or stop here where the plan says so."""
        end = self._plan.get(str(self._reached), "")
        self._tell("at", number=self._reached, name=name)
        self._reached += 1
        if end:
            os.kill(os.getpid(), _SIGNALS[end])

    def wrap(self, place: Any, function: str, name: Callable[..., str] | str) -> None:
        """Make a function two boundaries: before and after each call that does not fail."""
        original = getattr(place, function)

        def wrapped(*given: Any, **named: Any) -> Any:
            called = name if isinstance(name, str) else name(*given)
            self.reach(f"before {called}")
            try:
                result = original(*given, **named)
            except Exception as error:
                self._tell("raised", name=called, error=str(error)[:1000])
                raise
            self.reach(f"after {called}")
            return result

        setattr(place, function, wrapped)

    def install(self, kind: type[change.Change]) -> None:
        """Wrap what the protocol and a kind of change do to the outside."""
        self.wrap(fcntl, "flock", "flock")
        self.wrap(os, "ftruncate", "emptying the lock's file")
        self.wrap(os, "pwrite", "writing the lock's file")
        self.wrap(os, "fdopen", "opening a new file")  # it is there then, and empty
        self.wrap(os, "fsync", "fsync")  # the first of a file's, then its folder's
        self.wrap(pathlib.Path, "replace", "renaming a new file")
        self.wrap(pathlib.Path, "unlink", "deleting a file")
        self.wrap(journal.Journal, "write", "the journal's write")
        self.wrap(journal.Journal, "close", "closing the entry")
        self.wrap(guard, "start", "the guard's start")
        self.wrap(process.Outliving, "_first_line", "the guard's ready")
        self.wrap(process.Outliving, "release", "the guard's release")
        self.wrap(process, "run", _running)
        # Between these two the tool runs and nobody waits for it yet.
        self.wrap(subprocess, "Popen", _starting)
        self.wrap(os, "write", "handing over a tool's input")
        for method in ("check", "make", "undo"):
            self.wrap(kind, method, method)
        if "requests" in sys.modules:
            self.wrap(sys.modules["requests"].Session, "send", _request)
            # Before this one the request has been sent, and the answer not been read.
            self.wrap(importlib.import_module("urllib3.connection").HTTPConnection, "getresponse", "the answer")


def _running(command: process.Command | Sequence[str], *_: object) -> str:
    return f"running {_tool(command.words if isinstance(command, process.Command) else command)}"


def _starting(command: Sequence[str], *_: object) -> str:
    return f"starting {_tool(command)}"


def _request(_: object, request: Any) -> str:
    address: str = request.url
    return f"{request.method} {'/'.join(address.split('/')[3:-1])}"


def _tool(command: Sequence[str]) -> str:
    """Name a tool and what it is to do, without what differs from change to change."""
    names = (pathlib.Path(word).name for word in command if not word.startswith(("-", "OpenFlow")))
    return " ".join([name for name in names if name not in ("setpriv", "KILL")][:2])


class _Owner:
    """One forked process, which does what a request says."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._book = journal.Journal(given["journal"])
        self._credentials = given["credentials"] and cloud.Credentials.model_validate(given["credentials"])

    def tell(self, event: str, **more: Any) -> None:
        """Say in one line what happens; a line that fits a pipe is never mixed with another's."""
        line = {"run": self._given["run"], "event": event, "moment": time.monotonic(), **more}
        _write(1, f"{json.dumps(line)}\n".encode())

    def work(self) -> None:
        """Do it, and say how it ended."""
        self.tell("started", pid=os.getpid())
        if self._given["do"] == "sweep":
            found = sweep.sweep(self._book, self._credentials, wait=self._given["seconds"])
            self.tell("done", found=[str(one) for one in found], outcomes=[one.outcome is not None for one in found])
            return
        self._slow_down(self._given["setpriv"])
        kind = _KIND.validate_python(self._given["change"])
        boundaries = Boundaries(self._given["plan"], self.tell)
        self._report_guard()
        boundaries.install(type(kind))
        result = self._leave(kind) if self._given["do"] == "leave" else self._change(kind, boundaries)
        boundaries.reach("the end")
        self.tell("done", **result)

    def _slow_down(self, setpriv: str) -> None:
        """Let the tools start by a setpriv that takes its time, as on a host without any to spare."""
        find = process.find
        if setpriv:
            process.find = lambda tool: setpriv if tool == "setpriv" else find(tool)

    def _report_guard(self) -> None:
        start = guard.start

        def reporting(*given: Any) -> process.Outliving:
            watching = start(*given)
            self.tell("guarded", pid=watching.pid)
            return watching

        guard.start = reporting

    def _change(self, kind: journal.Kind, boundaries: Boundaries) -> dict[str, Any]:
        with protocol.temporarily(
            self._book,
            kind,
            seconds=self._given["seconds"],
            action="kill-test",
            credentials=self._credentials,
        ) as made:
            boundaries.reach("in the retest")
            self.tell("made")
        return {"state": made.outcome and made.outcome.state, "left": made.left}

    def _leave(self, kind: journal.Kind) -> dict[str, Any]:
        entry = protocol.leave(
            self._book, kind, seconds=self._given["seconds"], action="kill-test", credentials=self._credentials
        )
        return {"entry": entry.id}


def _fork(given: Mapping[str, Any]) -> int:
    """Start a process for a request; return its pidfd."""
    pid = os.fork()
    if pid:
        return os.pidfd_open(pid)
    try:
        # One that is stopped must not outlive the test.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        owner = _Owner(given)
        try:
            owner.work()
        except Exception as error:
            owner.tell("failed", kind=type(error).__name__, error=str(error)[:1000])
    finally:
        os._exit(0)


def _report_end(run: int, descriptor: int) -> None:
    ended = os.waitid(os.P_PIDFD, descriptor, os.WEXITED)
    os.close(descriptor)
    killed = bool(ended and ended.si_code == os.CLD_KILLED)
    print(json.dumps({"run": run, "event": "ended", "moment": time.monotonic(), "killed": killed}), flush=True)


def main() -> None:
    """Fork a process for each line of stdin, until it ends."""
    for name in sys.argv[1:]:  # what is loaded here need not be loaded by each process
        importlib.import_module(name)
    print(json.dumps({"event": "ready"}), flush=True)
    running: dict[int, int] = {}
    rest = b""
    while True:
        for descriptor in select.select([0, *running], [], [])[0]:
            if descriptor:
                _report_end(running.pop(descriptor), descriptor)
                continue
            more = os.read(0, 65536)
            if not more:
                return
            *lines, rest = (rest + more).split(b"\n")
            for line in lines:
                given = json.loads(line)
                running[_fork(given)] = given["run"]


if __name__ == "__main__":
    main()
