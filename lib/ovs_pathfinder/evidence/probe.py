"""The probe's own packets: ping for ICMP, connections for TCP, datagrams for UDP, sent from the port's device."""

import contextlib
import errno
import re
import select
import socket
import time
from collections.abc import Callable
from typing import Literal

from .. import path, process, words
from . import record

ANSWER_WAIT = 1.0
"""Seconds that the last packet's answer is waited for."""
SYN_WAIT = 0.9
"""Seconds that a connection's first packet is waited for."""
Purpose = Literal["probe", "large", "wake", "watching", "done", "ready", "changed", "tried", "restored"]
"""What a marked packet is: one of the probe's, one of its large ones, one that only wakes the switch, or what a unit
says of itself: that it watches, that it has finished, and whose turn it is in a trial."""
_PURPOSES: dict[Purpose, str] = {
    "probe": "70",
    "large": "6c",
    "wake": "61",
    "watching": "77",
    "done": "64",
    "ready": "79",
    "changed": "63",
    "tried": "74",
    "restored": "72",
}
_SUMMARY = re.compile(r"(?P<sent>\d+) packets transmitted, (?P<received>\d+)(?: packets)? received")
_ANSWER = re.compile(r"bytes from .*icmp_seq=(?P<sequence>\d+)")


class Settings(path.Model):
    """How many packets, how far apart, how large."""

    count: int = 5
    interval: float = 0.2
    """Seconds between two packets."""
    size: int = 56
    """Bytes of payload of an ICMP packet."""
    patience: float = ANSWER_WAIT
    """Seconds that an answer is waited for."""

    @property
    def longest(self) -> float:
        """Seconds that sending and waiting take at the most."""
        return self.count * self.interval + self.patience + 0.2


def mark(plan: path.Plan, purpose: Purpose, nonce: str) -> str:
    """Return the 16 bytes, in hex, that tell this run's packets from all others: run, purpose, attempt."""
    return plan.token + _PURPOSES[purpose] + nonce + "6f7066"


def read_mark(plan: path.Plan, payload: bytes) -> tuple[Purpose, str] | None:
    """Find this run's mark in a payload and return its purpose and its attempt; None where it has none."""
    start = payload.find(bytes.fromhex(plan.token))
    if start < 0 or len(payload) < start + 13:
        return None
    code = payload[start + 8 : start + 9].hex()
    nonce = payload[start + 9 : start + 13].hex()
    return next(((purpose, nonce) for purpose, byte in _PURPOSES.items() if byte == code), None)


def send(
    plan: path.Plan,
    device: str,
    settings: Settings,
    nonce: str,
    enough: Callable[[], bool],
    purpose: Literal["probe", "large", "wake"] = "probe",
) -> record.Probe:
    """Send the plan's packets from `device` and wait for their answers.

    Args:
        plan: What to send, and to whom.
        device: The port's device on this host.
        settings: Count, interval and size.
        nonce: Four bytes in hex that name this attempt.
        enough: Tells whether every packet has been answered, as the captures see it.
        purpose: What the packets are marked as; those that only wake are not counted where they pass. Large ones must
            not be fragmented.
    """
    started = time.monotonic()
    if plan.protocol == "icmp":
        result = _ping(plan, device, settings, mark(plan, purpose, nonce), nonce, whole=purpose == "large")
    elif plan.protocol == "tcp":
        result = _connect(plan, device, settings)
    else:
        result = _datagrams(plan, device, settings, mark(plan, purpose, nonce), enough)
    return result.model_copy(update={"duration": round(time.monotonic() - started, 3)})


def _ping(
    plan: path.Plan, device: str, settings: Settings, marked: str, nonce: str, *, whole: bool = False
) -> record.Probe:
    options: list[process.Word] = [
        "-6" if plan.ip_version == 6 else "-4",
        "-n",
        ("-c", settings.count),
        ("-i", float(settings.interval)),
        ("-W", float(settings.patience)),
        ("-s", settings.size),
        *(("-M", "do") if whole else ()),
        ("-p", marked),
        ("-I", plan.source.address),
        ("-I", device),
    ]
    command = process.Command(["ping", *options], plan.destination.address)
    limit = settings.longest + 3
    out, err = process.Running(command).finish(limit)
    summary = _SUMMARY.search(out)
    answers = {int(found["sequence"]) for found in _ANSWER.finditer(out)}
    transmitted = max(int(summary["sent"]) if summary else 0, *answers, 0)  # a ping that was killed sums nothing up
    return record.Probe(
        command=words.pasted(*command.words),
        transmitted=transmitted,
        sent=tuple(f"{nonce}/{sequence}" for sequence in range(1, transmitted + 1)),
        answered=len(answers),
        output=(out + err).strip()[-4000:],
    )


class _Socket:
    """One socket of the probe, bound to the device and the plan's source address."""

    def __init__(self, plan: path.Plan, device: str, kind: socket.SocketKind) -> None:
        family = socket.AF_INET6 if plan.ip_version == 6 else socket.AF_INET
        self.socket = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        self.error = ""
        self.outcome = ""
        self.port = 0
        self.started = time.monotonic()
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            self.socket.bind((plan.source.address, 0))
            self.port = int(self.socket.getsockname()[1])
            status = self.socket.connect_ex((plan.destination.address, plan.port))
            if status not in (0, errno.EINPROGRESS):
                raise OSError(status, "cannot connect")
        except OSError as error:
            self.error = errno.errorcode.get(error.errno or 0, "") or str(error)

    @property
    def identity(self) -> str:
        return str(self.port)


def _paced(settings: Settings, make: Callable[[], _Socket]) -> list[_Socket]:
    begun = time.monotonic()
    sockets: list[_Socket] = []
    for number in range(settings.count):
        with contextlib.suppress(InterruptedError):
            time.sleep(max(0.0, begun + number * settings.interval - time.monotonic()))
        sockets.append(make())
    return sockets


def _connect(plan: path.Plan, device: str, settings: Settings) -> record.Probe:
    """Open connections and close them at once; each has a source port of its own, which names it.

    One without an answer is given up before the kernel sends its SYN again, after a second (RFC 6298): what a first
    packet suffers must not be made good by a second one.
    """
    begun = time.monotonic()
    patience = min(SYN_WAIT, settings.patience)
    sockets: list[_Socket] = []
    waiting: list[_Socket] = []
    while len(sockets) < settings.count or waiting:
        due = begun + len(sockets) * settings.interval if len(sockets) < settings.count else float("inf")
        given_up = waiting[0].started + patience if waiting else float("inf")
        _settle(waiting, min(due, given_up) - time.monotonic())
        now = time.monotonic()
        for one in [one for one in waiting if one.started + patience <= now]:
            one.socket.close()
            waiting.remove(one)
        if now >= due:
            sockets.append(_Socket(plan, device, socket.SOCK_STREAM))
            waiting += [sockets[-1]] if not sockets[-1].error else []
    return _summary(plan, device, sockets, answered=("connected", "refused"))


def _settle(waiting: list[_Socket], seconds: float) -> None:
    """Wait for answers, at most so long, and take those sockets that got one out of `waiting`."""
    _, ready, _ = select.select([], [one.socket for one in waiting], [], max(0.0, seconds))
    for one in [one for one in waiting if one.socket in ready]:
        status = one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        one.outcome = {0: "connected", errno.ECONNREFUSED: "refused"}.get(status, errno.errorcode.get(status, "?"))
        waiting.remove(one)


def _datagrams(
    plan: path.Plan, device: str, settings: Settings, marked: str, enough: Callable[[], bool]
) -> record.Probe:
    """Send marked datagrams; few services answer those, so silence says little (RFC 768 has no answer)."""
    payload = bytes.fromhex(marked)

    def make() -> _Socket:
        one = _Socket(plan, device, socket.SOCK_DGRAM)
        if not one.error:
            try:
                one.socket.send(payload)
            except OSError as error:
                one.error = errno.errorcode.get(error.errno or 0, "") or str(error)
        return one

    sockets = _paced(settings, make)
    deadline = time.monotonic() + settings.patience
    while not enough() and (left := deadline - time.monotonic()) > 0:
        waiting = [one for one in sockets if not one.error and not one.outcome]
        ready, _, _ = select.select([one.socket for one in waiting], [], [], min(left, 0.1))
        for one in [one for one in waiting if one.socket in ready]:
            one.outcome = _received(one.socket)
    return _summary(plan, device, sockets, answered=("answered", "refused"))


def _received(one: socket.socket) -> str:
    try:
        one.recv(2048)
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")
    return "answered"


def _summary(plan: path.Plan, device: str, sockets: list[_Socket], answered: tuple[str, ...]) -> record.Probe:
    lines = [
        f"{plan.protocol} from port {one.port} of {device} to {plan.destination.address} port {plan.port}: "
        f"{one.error or one.outcome or 'no answer'}"
        for one in sockets
    ]
    for one in sockets:
        one.socket.close()
    sent = [one for one in sockets if not one.error]
    flags = "-zuvw1" if plan.protocol == "udp" else "-zvw1"
    return record.Probe(
        command=words.pasted("nc", flags, plan.destination.address, str(plan.port)),
        transmitted=len(sent),
        sent=tuple(one.identity for one in sent),
        answered=sum(one.outcome in answered for one in sent),
        refused=sum(one.outcome == "refused" for one in sent),
        output="\n".join(lines)[-4000:],
    )
