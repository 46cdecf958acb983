"""The path MTU: how large may an echo request be that is answered and must not be fragmented (RFC 1191, RFC 8201)?"""

from collections.abc import Callable
from typing import Literal

from .. import path

SMALLEST = 16
"""Bytes of payload that ping needs for its timestamp."""
_LARGEST = 65_507
_MAX_SIZES = 16
"""Sizes that a search tries at the most: 2 ** 14 is more than any device's MTU that is asked for."""
_ICMP_HEADER = 8
_IP_HEADER = {4: 20, 6: 40}


class Reply(path.Model):
    """What came back for packets of one size."""

    passed: bool
    mtu: int | None = None
    """Bytes of an IP packet, the least that an error named; None where none did."""
    pings: int
    """Packets that were sent."""


class PathMtu(path.Model):
    """What the largest packet is that is answered in one piece; the answer is as large as the question."""

    largest: int | None = None
    """Bytes of payload; None where none was answered."""
    mtu: int | None = None
    """Bytes of an IP packet with that payload."""
    expected: int
    """Bytes that it should be: the network's MTU by Neutron, or else the device's."""
    expected_of: Literal["network", "device"]
    reported: int | None = None
    """The smallest MTU that an error named."""
    pings: int
    """Packets that were sent for it."""
    text: str
    """One sentence."""


def find(ask: Callable[[int], Reply], *, ip_version: Literal[4, 6], device: int, network: int = 0) -> PathMtu:
    """Look for the largest packet that is answered, and hold it against what the MTU should be.

    Args:
        ask: Sends packets with so many bytes of payload, which must not be fragmented.
        ip_version: Of the packets.
        device: The MTU of the device that they leave by.
        network: The network's MTU by Neutron; 0 where it is not known.
    """
    header = _IP_HEADER[ip_version] + _ICMP_HEADER
    pings = 0

    def counted(size: int) -> Reply:
        nonlocal pings
        reply = ask(size)
        pings += reply.pings
        return reply

    largest, reported = search(counted, SMALLEST, min(_LARGEST, max(device, network) - header), header)
    found = PathMtu(
        largest=largest,
        mtu=largest + header if largest is not None else None,
        expected=network or device,
        expected_of="network" if network else "device",
        reported=reported,
        pings=pings,
        text="",
    )
    return found.model_copy(update={"text": _in_words(found)})


def search(ask: Callable[[int], Reply], low: int, high: int, header: int) -> tuple[int | None, int | None]:
    """Find the largest size that passes, by halving, and first where an error says that the limit is.

    Args:
        ask: Tries a size.
        low: The smallest size that is tried.
        high: The largest.
        header: Bytes that a packet has before its payload.

    Returns:
        The size, None where none passed; and the smallest MTU that was named.
    """
    best: int | None = None
    reported: int | None = None
    guess = high
    for _ in range(_MAX_SIZES):
        if low > high:
            break
        reply = ask(guess)
        if reply.passed:
            best, low = guess, guess + 1
        else:
            high = guess - 1
        reported = min(filter(None, (reported, reply.mtu)), default=None)
        hinted = reply.mtu - header if reply.mtu else 0
        guess = hinted if not reply.passed and low <= hinted <= high else (low + high) // 2
        if reply.passed and reported is not None and best == reported - header:
            break  # the limit that was named holds
    return best, reported


def _in_words(found: PathMtu) -> str:
    whose = "the network's MTU" if found.expected_of == "network" else "the device's MTU"
    if found.mtu is None or found.largest is None:
        return "No packet that must not be fragmented was answered."
    much = f"The largest packet that passes has {found.mtu} bytes ({found.largest} of payload)"
    if found.mtu >= found.expected:
        return f"{much}, which is {whose}." if found.mtu == found.expected else f"{much}, more than {whose}."
    said = f", and an error named {found.reported}" if found.reported else ", and larger ones are lost without a word"
    return f"{much}, less than {whose} of {found.expected}{said}."
