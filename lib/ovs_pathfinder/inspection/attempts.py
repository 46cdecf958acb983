"""Connections and datagrams from one device, and what became of each (tcp(7), udp(7), ip(7))."""

import contextlib
import dataclasses
import errno
import select
import socket
import struct
import time
from typing import Literal

from .. import errors, path
from . import origin

_WAIT = 2.0
"""Seconds that a connection or an answer is waited for, as `nc -w2`."""
_INTERVAL = 0.2
"""Seconds between two attempts."""
_DATAGRAM = b"\n"
# linux/in.h, linux/in6.h, linux/errqueue.h: Python 3.10 does not name them.
_IP_RECVERR, _IPV6_RECVERR, _ICMP, _ICMP6 = 11, 25, 2, 3
_PORT_UNREACHABLE = {(_ICMP, 3, 3), (_ICMP6, 1, 4)}
_MESSAGES = {
    (_ICMP, 3, 0): "network unreachable",
    (_ICMP, 3, 1): "host unreachable",
    (_ICMP, 3, 2): "protocol unreachable",
    (_ICMP, 3, 3): "port unreachable",
    (_ICMP, 3, 4): "fragmentation needed",
    (_ICMP, 3, 9): "network administratively prohibited",
    (_ICMP, 3, 10): "host administratively prohibited",
    (_ICMP, 3, 13): "administratively prohibited",
    (_ICMP, 11, 0): "time to live exceeded",
    (_ICMP6, 1, 0): "no route to the destination",
    (_ICMP6, 1, 1): "administratively prohibited",
    (_ICMP6, 1, 3): "address unreachable",
    (_ICMP6, 1, 4): "port unreachable",
    (_ICMP6, 1, 5): "source address failed the policy",
    (_ICMP6, 1, 6): "route rejected",
    (_ICMP6, 2, 0): "packet too big",
    (_ICMP6, 3, 0): "hop limit exceeded",
}

Outcome = Literal["connected", "answered", "refused", "silent", "unreachable"]
Protocol = Literal["tcp", "udp"]


class Attempt(path.Model):
    """One connection, or one datagram."""

    number: int
    source_port: int = 0
    outcome: Outcome
    milliseconds: float | None = None
    """From the first packet to the answer; None where there was none."""
    error: str = ""
    """The name of the kernel's error: `ECONNREFUSED`, `EHOSTUNREACH` …; empty where there was none."""
    message: str = ""
    """What the ICMP message said that brought the error; empty where none came."""
    sender: str = ""
    """Who sent that message."""

    def __str__(self) -> str:
        took = f" after {self.milliseconds:g} ms" if self.milliseconds is not None else ""
        said = f": {self.message} from {self.sender}" if self.message else ""
        return f"{self.outcome}{took}{f' ({self.error})' if self.error else ''}{said}"


@dataclasses.dataclass
class _Open:
    """An attempt under way."""

    number: int
    socket: socket.socket
    started: float


def make(start: origin.Origin, destination: str, protocol: Protocol, port: int, count: int) -> list[Attempt]:
    """Make all attempts, one beginning a little after the other, and wait for each as long.

    Raises:
        PathfinderError: The device or its address cannot be used at all.
    """
    begun = time.monotonic()
    done: list[Attempt] = []
    waiting: list[_Open] = []
    made = 0
    while made < count or waiting:
        due = begun + made * _INTERVAL if made < count else float("inf")
        given_up = waiting[0].started + _WAIT if waiting else float("inf")
        watched = [one.socket for one in waiting]
        writable = watched if protocol == "tcp" else []
        ready = select.select(watched, writable, [], max(0.0, min(due, given_up) - time.monotonic()))
        now = time.monotonic()
        for one in list(waiting):
            if one.socket in ready[0] or one.socket in ready[1]:
                done.append(_settled(one, protocol, now))
            elif one.started + _WAIT <= now:
                done.append(_closed(one, "silent"))
            else:
                continue
            waiting.remove(one)
        if now >= due:
            made += 1
            one = _begin(start, destination, protocol, port, made)
            done += [one] if isinstance(one, Attempt) else []
            waiting += [one] if isinstance(one, _Open) else []
    return sorted(done, key=lambda one: one.number)


def _begin(start: origin.Origin, destination: str, protocol: Protocol, port: int, number: int) -> _Open | Attempt:
    """Begin an attempt; one that fails at once is over.

    Raises:
        PathfinderError: The device or its address cannot be used at all.
    """
    is_v6 = ":" in destination
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    made = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, kind | socket.SOCK_NONBLOCK)
    one = _Open(number, made, time.monotonic())
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, start.device.encode())
        made.setsockopt(*((socket.IPPROTO_IPV6, _IPV6_RECVERR) if is_v6 else (socket.IPPROTO_IP, _IP_RECVERR)), 1)
        made.bind((start.source, 0))
    except OSError as error:
        made.close()
        raise errors.PathfinderError(
            f"nothing can be sent from {start.source} on {start.device}: {error.strerror}; is the device up?"
        ) from error
    one.started = time.monotonic()
    status = made.connect_ex((destination, port))
    if status in (0, errno.EINPROGRESS) and protocol == "udp":
        try:
            made.send(_DATAGRAM)
        except OSError as error:
            status = error.errno or errno.EIO
    if status not in (0, errno.EINPROGRESS):
        return _failed(one, status, time.monotonic())
    return one


def _settled(one: _Open, protocol: str, now: float) -> Attempt:
    """Read what came of an attempt whose socket has something to say."""
    status = one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if status == 0 and protocol == "udp":
        try:
            one.socket.recv(2048)
        except OSError as error:
            status = error.errno or errno.EIO
    if status:
        return _failed(one, status, now)
    return _closed(one, "connected" if protocol == "tcp" else "answered", now)


def _failed(one: _Open, status: int, now: float) -> Attempt:
    message, sender = _message(one.socket)
    outcome: Outcome = "refused" if status == errno.ECONNREFUSED else "unreachable"
    about = {"error": errno.errorcode.get(status, str(status)), "message": message, "sender": sender}
    return _closed(one, outcome, now).model_copy(update=about)


def _closed(one: _Open, outcome: Outcome, now: float | None = None) -> Attempt:
    port = 0
    with contextlib.suppress(OSError):
        port = int(one.socket.getsockname()[1])
    one.socket.close()
    took = round((now - one.started) * 1000, 3) if now is not None else None
    return Attempt(number=one.number, source_port=port, outcome=outcome, milliseconds=took)


def _message(sock: socket.socket) -> tuple[str, str]:
    """Return what an ICMP message said and who sent it (`IP_RECVERR` of ip(7)); nothing where none came."""
    with contextlib.suppress(OSError):
        _, ancillary, _, _ = sock.recvmsg(512, 512, socket.MSG_ERRQUEUE)
        for level, kind, data in ancillary:
            if (level, kind) in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
                return read_error(data)
    return "", ""


def read_error(data: bytes) -> tuple[str, str]:
    """Read a `struct sock_extended_err` with the address of the offender behind it."""
    if len(data) < 16:
        return "", ""
    _, cause, type_, code = struct.unpack_from("=IBBB", data)
    if cause not in (_ICMP, _ICMP6):
        return "", ""
    text = _MESSAGES.get((cause, type_, code), f"ICMP type {type_} code {code}")
    return text, _offender(data[16:])


def _offender(raw: bytes) -> str:
    """Read a sockaddr_in or a sockaddr_in6."""
    if len(raw) < 8:
        return ""
    (family,) = struct.unpack_from("=H", raw)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[4:8])
    if family == socket.AF_INET6 and len(raw) >= 24:
        return socket.inet_ntop(socket.AF_INET6, raw[8:24])
    return ""
