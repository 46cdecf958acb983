"""The running ovs-vswitchd: whether it answers, which version and process it is, how much memory it has."""

import contextlib
import os
import pathlib
import re

from .. import files, process

PATIENCE = 2
"""Seconds within which a daemon that is alive answers what costs it nothing."""
_RUN = "/var/run/openvswitch"
_BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id")
_PROC = pathlib.Path("/proc")
_VERSION = re.compile(r"\(Open vSwitch\) (\S+)")


def version() -> str:
    """Return the version that runs, as it says itself: the database may name another.

    Raises:
        ProcessError: It does not answer.
    """
    found = _VERSION.search(
        process.run(process.Command(["ovs-appctl", ("--timeout=", PATIENCE), "version"]), timeout=PATIENCE + 1)
    )
    return found[1] if found else ""


def trouble() -> str:
    """Ask for next to nothing; return why there is no answer, empty where there is one."""
    try:
        version()
    except process.ProcessError as error:
        is_late = error.status is None or error.status < 0  # its own --timeout ends ovs-appctl by a signal
        return f"no answer within {PATIENCE} s" if is_late else " ".join(error.stderr.split())[:200]
    return ""


def pid() -> int | None:
    """Return its process id, from its pid file; None where it has none that can be read."""
    file = pathlib.Path(os.environ.get("OVS_RUNDIR") or _RUN) / "ovs-vswitchd.pid"
    with contextlib.suppress(OSError, ValueError):
        return int(files.text(file))
    return None


def identity() -> str:
    """Name the process that runs, so that no other one, and none after a reboot, has the same name; empty if unknown.

    It is the process id, and the ticks from boot to its start (`starttime` in proc(5)).
    """
    number = pid()
    with contextlib.suppress(OSError, IndexError):
        # The name of the program, in brackets, may hold blanks.
        started = files.text(_PROC / str(number) / "stat").rpartition(")")[2].split()[19]
        return f"{files.text(_BOOT).strip()[:8]}-{number}-{started}"
    return ""


def resident(number: int | None) -> int:
    """Return how many bytes of memory a process holds (`VmRSS` in proc(5)); 0 where that cannot be read."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(files.text(_PROC / str(number) / "statm").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    return 0
