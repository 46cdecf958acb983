"""Marked echo requests (RFC 792, RFC 4443) that tell the other unit what this one does: it watches, it has finished.

Each host's kernel answers them, whatever the overlay does. They are sent by this process, not by ping, so that they
end with it: ping has file capabilities, and those take the death signal from a child (prctl(2)).
"""

import contextlib
import ipaddress
import itertools
import socket
import struct
import threading
from collections.abc import Iterable

from .. import path
from . import probe

INTERVAL = 0.2
"""Seconds between two signals."""
_FAREWELLS = 3


class Beacon:
    """Signals to every address of the other unit, from a thread of its own, until `done`."""

    def __init__(self, plan: path.Plan, nonce: str, addresses: Iterable[str]) -> None:
        self._plan = plan
        self._nonce = nonce
        self._targets = [_Target(address) for address in sorted({one for one in addresses if one})]
        self._purpose: probe.Purpose = "watching"
        self._sequence = itertools.count(1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)
        self._thread.start()

    def _repeat(self) -> None:
        while not self._over.is_set():
            self._signal(self._purpose)
            self._over.wait(INTERVAL)

    def say(self, purpose: probe.Purpose) -> None:
        """Say something else from now on, and at once."""
        self._purpose = purpose
        self._signal(purpose)

    def _signal(self, purpose: probe.Purpose) -> None:
        sequence = next(self._sequence)
        # The 16 bytes before the mark are those that ping gives to its timestamp.
        payload = bytes(16) + bytes.fromhex(probe.mark(self._plan, purpose, self._nonce))
        for target in self._targets:
            target.send(payload, sequence)

    def done(self) -> None:
        """Say a few times, as one may be lost, that this unit has finished, and fall silent."""
        self._over.set()
        self._thread.join(1.0)
        for _ in range(_FAREWELLS):
            self._signal("done")
        for target in self._targets:
            target.close()


class _Target:
    """One address, with a raw socket for its family."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._is_v6 = ipaddress.ip_address(address).version == 6
        family = socket.AF_INET6 if self._is_v6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_RAW, 58 if self._is_v6 else socket.IPPROTO_ICMP)

    def send(self, payload: bytes, sequence: int) -> None:
        """Send one echo request; an address without a route is one that the other unit cannot be met at."""
        with contextlib.suppress(OSError):
            self._socket.sendto(echo_request(payload, sequence, is_v6=self._is_v6), (self._address, 0))

    def close(self) -> None:
        self._socket.close()


def echo_request(payload: bytes, sequence: int, *, is_v6: bool) -> bytes:
    """Return an ICMP echo request; for ICMPv6 the kernel fills in the checksum (RFC 3542, 3.1)."""
    type_ = 128 if is_v6 else 8
    identifier = 0x6F70
    header = struct.pack("!BBHHH", type_, 0, 0, identifier, sequence & 0xFFFF)
    if is_v6:
        return header + payload
    return struct.pack("!BBHHH", type_, 0, checksum(header + payload), identifier, sequence & 0xFFFF) + payload


def checksum(data: bytes) -> int:
    """Return the Internet checksum of RFC 1071."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
