"""tcpdump on one device, into a file, bounded in time, packets and bytes (tcpdump(1))."""

import pathlib
import re
import threading
import time
from collections.abc import Callable
from typing import Literal

from .. import errors, path, process, words

_START = 5.0
"""Seconds that tcpdump may take to begin."""
_POLL = 0.05
_COUNT = re.compile(
    r"^(?P<count>\d+) packets? (?P<what>captured|received by filter|dropped by kernel|dropped by interface)"
)
_GONE = re.compile(r"interface disappeared|No such device|interface went down|Network is down", re.IGNORECASE)

End = Literal["time", "packets", "device"]


class Limits(path.Model):
    """What bounds a capture."""

    seconds: float
    packets: int
    snap_length: int
    """Bytes that are kept of each packet."""

    @property
    def bytes(self) -> int:
        """The largest file that can come of it: a header, and one before each packet."""
        return 24 + self.packets * (16 + self.snap_length)


class Recorded(path.Model):
    """How a capture went, as tcpdump says."""

    command: str
    end: End
    """What ended it: the time was over, enough packets had come, or the device went away."""
    seconds: float
    captured: int | None = None
    """Packets written; None where tcpdump did not say, as the next two."""
    received: int | None = None
    """Packets that passed the filter."""
    dropped: int | None = None
    """Packets for which there was no room in the kernel's buffer."""
    said: str = ""
    """What else it printed."""


def record(device: str, expression: str, file: pathlib.Path, limits: Limits, listening: Callable[[], None]) -> Recorded:
    """Capture until a limit is reached or the device goes away.

    Args:
        device: The device.
        expression: What the kernel filters by; empty for all.
        file: An existing file, which is written anew.
        limits: What bounds it.
        listening: Is called once packets are captured.

    Raises:
        PathfinderError: It could not begin.
    """
    command = _command(device, expression, file, limits)
    tcpdump = process.Running(command)
    listener = _Listener(tcpdump)
    try:
        if not listener.wait():
            tcpdump.stop()
            listener.join()
            raise errors.PathfinderError(_why_not(device, listener.text))
        begun = time.monotonic()
        listening()
        while not tcpdump.ended and time.monotonic() - begun < limits.seconds:
            time.sleep(_POLL)
        by_itself = tcpdump.ended
        seconds = time.monotonic() - begun
    finally:
        tcpdump.stop(timeout=3.0)
        listener.join()
        tcpdump.stdout.close()
        tcpdump.stderr.close()
    counts = read_counts(listener.text)
    said = " ".join(
        line for line in listener.text.splitlines() if not _COUNT.match(line) and "listening on" not in line
    )
    end: End = "time"
    if by_itself:
        end = "device" if _GONE.search(said) or counts.get("captured", 0) < limits.packets else "packets"
    return Recorded(
        command=words.pasted(*command.words),
        end=end,
        seconds=round(seconds, 3),
        captured=counts.get("captured"),
        received=counts.get("received by filter"),
        dropped=counts.get("dropped by kernel"),
        said=said.removeprefix("tcpdump: ").strip()[:1000],
    )


def _command(device: str, expression: str, file: pathlib.Path, limits: Limits) -> process.Command:
    # As root, tcpdump would change to a user of its own, which takes the death signal from it (prctl(2)) and the right
    # to write into the folder. The ring of the kernel has a place of the full length for each packet.
    buffer = 8192 if limits.snap_length < 1000 else 32768
    options: list[process.Word] = [("-i", device), "-Z", "root", "-n", "-p", "-U", "--immediate-mode"]
    bounds: list[process.Word] = [("-s", limits.snap_length), ("-B", buffer), ("-c", limits.packets), ("-w", str(file))]
    return process.Command(["tcpdump", *options, *bounds], *([expression] if expression else []))


class _Listener:
    """What tcpdump prints on stderr, read as it comes."""

    def __init__(self, tcpdump: process.Running) -> None:
        self._tcpdump = tcpdump
        self._lines: list[str] = []
        self._began = False
        self._known = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        for line in self._tcpdump.stderr:
            self._lines.append(line.decode(errors="replace").rstrip())
            if "listening on" in self._lines[-1]:
                self._began = True
                self._known.set()
        self._known.set()

    def wait(self) -> bool:
        """Wait until it listens; return whether it does."""
        self._known.wait(_START)
        return self._began

    def join(self) -> None:
        self._thread.join(2.0)

    @property
    def text(self) -> str:
        return "\n".join(self._lines)


def read_counts(text: str) -> dict[str, int]:
    """Read what tcpdump counts at its end."""
    found = (_COUNT.match(line.strip()) for line in text.splitlines())
    return {one["what"]: int(one["count"]) for one in found if one is not None}


def _why_not(device: str, text: str) -> str:
    said = " ".join(text.split()).removeprefix("tcpdump: ")[:300] or f"it did not begin within {_START:g} s"
    if "No such device" in said or "doesn't exist" in said:
        return f"there is no device {device} on this host; see `ip link`, and name another one"
    if "not up" in said or "Network is down" in said:
        return f"the device {device} is down, so it has no packets; bring it up, or capture elsewhere"
    return f"tcpdump cannot capture on {device}: {said}"
