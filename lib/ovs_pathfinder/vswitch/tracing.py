"""How a trace is asked for without harm: not where it may never end, and never again after one that did not come back.

ovs-vswitchd works a trace off in its main thread and cannot be stopped at it: to give up ovs-appctl helps nobody.
"""

import os
import pathlib
import time

from .. import errors, process
from . import conntrack_loop, daemon

_MARKS = pathlib.Path("/run/ovs-pathfinder")
"""Where it stays that a trace did not come back, by the process of ovs-vswitchd: until the host is rebooted at most."""
_MOST_GROWTH = 64 << 20
"""Bytes by which ovs-vswitchd may grow during a trace; those that end need a few hundred thousand."""
_LOOK = 0.1
"""Seconds between two looks at a trace that runs."""


class Untraced(errors.PathfinderError):
    """A trace was not begun, as it could harm this host."""

    def __init__(self, why: str, loop: conntrack_loop.Loop | None = None) -> None:
        self.loop = loop
        super().__init__(why)


def ask(command: process.Command, bridge: str, flow: str, timeout: float, actions: str = "") -> str:
    """Return what `ofproto/trace` prints.

    Args:
        command: The whole command.
        bridge: The bridge, or the datapath.
        flow: What is traced.
        timeout: Seconds.
        actions: What the packet begins with instead of the bridge's first table.

    Raises:
        Untraced: It might never end, or another one did not.
        ProcessError: vswitchd does not answer, or does not accept the flow.
    """
    if _is_lost():
        raise Untraced(
            "nothing is traced on this host until ovs-vswitchd is restarted: an earlier trace did not come back, and "
            "ovs-vswitchd may still be busy with it"
        )
    loop = conntrack_loop.find(bridge, flow, actions)
    if loop is not None:
        raise Untraced(
            f"nothing was traced, as this version of Open vSwitch would follow a circle for ever and take the host's "
            f"memory: {loop}",
            loop,
        )
    return _watched(command, timeout)


def _watched(command: process.Command, timeout: float) -> str:
    """Run a trace to its end; give it up where ovs-vswitchd grows or does not answer, and remember that."""
    number = daemon.pid()
    size, end = daemon.resident(number), time.monotonic() + timeout
    tool = process.Running(command)
    try:
        while (said := tool.ended_within(_LOOK)) is None:
            grown = daemon.resident(number) - size if size else 0
            if grown > _MOST_GROWTH or time.monotonic() > end:
                _remember()
                why = (
                    f"ovs-vswitchd grew by {grown >> 20} MiB" if grown > _MOST_GROWTH else f"no answer in {timeout:g} s"
                )
                raise process.ProcessError(command.words, None, "", f"{why}; no other trace is begun on this host")
    finally:
        tool.stop(0)
    if tool.status:
        raise process.ProcessError(command.words, tool.status, *said)
    return said[0]


def _mark() -> pathlib.Path:
    return _MARKS / f"lost-trace-{daemon.identity() or 'unknown'}"


def _is_lost() -> bool:
    """Say whether a trace did not come back from the ovs-vswitchd that runs."""
    mark = _mark()
    return mark.name in _lost_here or mark.exists()


def _remember() -> None:
    """Write down that a trace did not come back; what cannot be written is known to this process at least."""
    mark = _mark()
    _lost_here.add(mark.name)
    try:
        _MARKS.mkdir(mode=0o700, parents=True, exist_ok=True)
        for old in _MARKS.glob("lost-trace-*"):
            old.unlink(missing_ok=True)
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except OSError:
        return


_lost_here: set[str] = set()
