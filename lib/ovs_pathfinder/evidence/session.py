"""A session: one unit's part in sending the probe several times, with another unit's part at the path's other end.

The two take turns by saying and hearing words (`beacon`), and each counts what passes its own host. OWAMP (RFC 4656)
calls them session-sender and session-receiver.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Generator, Mapping
from typing import Literal

from .. import errors, path, process
from ..vswitch import database
from . import local, practice, probe, record, watch

WAKE = 0.3
"""Seconds that the answer of the packet which wakes the switch is waited for."""
_LAG = 0.2
"""Seconds that a capture may lag behind the tool that sent."""
Log = Callable[[str], None]


class Session:
    """One unit's part: it watches this host, sends where it is the source's, and hears the other unit."""

    def __init__(self, plan: path.Plan, unit: str, settings: probe.Settings, log: Log) -> None:
        self.plan = plan
        self.settings = settings
        database.refuse_restoring()
        self.here = local.Local(plan, unit)
        if self.here.vswitchd:
            raise errors.PathfinderError(
                f"ovs-vswitchd does not answer on this host ({self.here.vswitchd}), so nothing can be tried; nothing "
                "was changed"
            )
        self.log = log
        self.spent = 0.0
        """Seconds that the latest round took."""
        self.forgets = False
        """Whether this host is to ask for the destination's MAC address each time anew."""
        far = self.here.far
        self.addresses = (far.tunnel_address, far.management_address) if far and far.unit else ()
        self.nonce = secrets.token_hex(4)
        self.watching = watch.Watch(plan, self.nonce, self.addresses, self.here.tunnel_ports)

    @property
    def sends(self) -> bool:
        """Whether this unit is the source's."""
        return "source" in self.here.roles

    @property
    def is_cold(self) -> bool:
        """Whether this host asked for the destination's MAC address and, without it, sent no packet of the probe."""
        seen = [one for one in self.watching.observations() if one.is_watched]
        return any(one.neighbours.solicited for one in seen) and not any(one.forward for one in seen)

    @property
    def only_asks(self) -> bool:
        """Whether one of the two ends asked for the other's MAC address, and nothing came of it."""
        seen = [one for one in self.watching.observations() if one.is_watched]
        asked_back = any(one.neighbours.solicited_back for one in seen) and not any(one.reply for one in seen)
        return self.is_cold or asked_back

    @contextlib.contextmanager
    def open(self) -> Generator[None]:
        """Watch, for as long as the context lasts."""
        try:
            practice.watch_all(self.here, self.watching)
            if self.here.switch.hw_offload:
                self.watching.hide_all("hw-offload is on, so that a NIC may forward packets past every capture")
            self.watching.wait_ready()
            yield
        finally:
            self.watching.stop()

    def round(self, name: str, turn: Callable[[], object] | None = None) -> record.Attempt:
        """Send the packets and count them, or, on the other unit, count them while its turn lasts."""
        begun = time.monotonic()
        if self.sends:
            self.answers()
        start = self._counts()
        sent, answered = 0, 0
        if turn is not None:
            turn()
        else:
            found = self._send(self.settings)
            sent, answered = found.transmitted, found.answered
            if not sent:
                raise errors.PathfinderError(f"nothing could be sent, so nothing can be tried: {_last_line(found)}")
            self.watching.wait_for(lambda: self._has_seen(found, start), _LAG)
            self.log(f"{name}: {answered} of {sent} packets were answered")
        self.spent = time.monotonic() - begun
        end = self._counts()
        seen = {key: end[key] - start.get(key, 0) for key in end}
        return record.Attempt(
            sent=sent,
            answered=answered,
            forward={point: count for (point, direction), count in seen.items() if direction == "forward"},
            reply={point: count for (point, direction), count in seen.items() if direction == "reply"},
        )

    def answers(self) -> bool:
        """Send one packet that is not counted, and return whether it was answered."""
        if self.forgets:
            self._forget()
        return self._send(self.settings.model_copy(update={"count": 1, "patience": WAKE}), "wake").answered > 0

    def hears(self, seconds: float, *purposes: probe.Purpose) -> bool:
        """Wait until the other unit says one of some words, and return whether it did in time."""
        return self.watching.wait_for(lambda: any(self.watching.heard(one) for one in purposes), seconds)

    def _send(self, settings: probe.Settings, purpose: Literal["probe", "wake"] = "probe") -> record.Probe:
        device = self.here.devices["source"]
        if not device.present or self.plan.source.address not in device.addresses:
            raise errors.PathfinderError(
                "nothing can be sent, as "
                + (device.out_of_sight or f"{self.plan.source.address} is not an address of {device.name} on this host")
            )
        already = self.watching.seen("source-port", "reply")
        return probe.send(
            self.plan,
            device.name,
            settings,
            secrets.token_hex(4),
            lambda: self.watching.seen("source-port", "reply") - already >= settings.count,
            purpose,
        )

    def _has_seen(self, found: record.Probe, start: Mapping[tuple[path.Point, path.Direction], int]) -> bool:
        """Whether the capture at the source's port has come as far as the tool that sent."""
        wanted: dict[path.Direction, int] = {"forward": found.transmitted, "reply": found.answered}
        return all(
            self.watching.seen("source-port", each) - start.get(("source-port", each), 0) >= count
            for each, count in wanted.items()
        )

    def _counts(self) -> dict[tuple[path.Point, path.Direction], int]:
        directions: tuple[path.Direction, ...] = ("forward", "reply")
        points: list[path.Point] = [one.point for one in self.watching.observations() if one.is_watched]
        return {(point, each): self.watching.seen(point, each) for point in points for each in directions}

    def _forget(self) -> None:
        """Take out of the neighbour table what only the trial put there."""
        entry = (self.plan.destination.address, "dev", self.here.devices["source"].name)
        with contextlib.suppress(process.ProcessError):  # the kernel has forgotten it, too
            process.run(process.Command(["ip", "neigh", "del"], *entry))


def _last_line(found: record.Probe) -> str:
    return " ".join((found.output.splitlines() or ["the probe did not say why"])[-1].split())[:200]
