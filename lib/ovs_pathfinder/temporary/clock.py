"""Moments of this host that durations are counted from, by a clock that nobody sets, across processes."""

import pathlib
import time

from .. import files, path

_BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id")


class Moment(path.Model):
    """A moment since the host was booted (CLOCK_BOOTTIME in clock_gettime(2), which goes on while it is suspended)."""

    boot: str = ""
    """Which boot of the host; empty for a moment of which nothing is known."""
    at: float = 0.0
    """Seconds since then."""

    @property
    def ago(self) -> float | None:
        """Seconds since that moment; None where the host has been booted since."""
        return uptime() - self.at if self.boot == _boot() else None


def now() -> Moment:
    """Return this moment."""
    return Moment(boot=_boot(), at=uptime())


def uptime() -> float:
    """Return the seconds since the host was booted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _boot() -> str:
    return files.text(_BOOT).strip()
