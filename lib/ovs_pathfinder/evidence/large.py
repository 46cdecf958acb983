"""Packets as large as the network allows, sent beside the probe's: they must not be fragmented, nor need an answer.

A path may pass all small packets and lose the large ones. Those of the plan's own protocol tell of the way there: a
datagram, or a SYN that carries data (RFC 9293, 3.4, allows that; the kernel resets what answers it). Answers of TCP and
UDP are as large as the service makes them, so that large echo requests go along for the way back.
"""

import concurrent.futures
import ipaddress
import socket
import struct

from .. import path
from . import beacon, probe, record

COUNT = 3
"""Large packets of each kind."""
_IP_HEADER = {4: 20, 6: 40}
_HEADER = {"icmp": 8, "udp": 8, "tcp": 20}
_PATIENCE = 0.5
"""Seconds that the answer to a large echo request is waited for, where another protocol is probed."""
_NEVER_FRAGMENT = {4: (socket.IPPROTO_IP, 10, 2), 6: (socket.IPPROTO_IPV6, 23, 2)}
"""Level, option and value: IP_MTU_DISCOVER and IPV6_MTU_DISCOVER with IP_PMTUDISC_DO (ip(7), ipv6(7))."""
_SYN = 0x02


class Sent(path.Model):
    """What was sent."""

    large: record.Probe | None = None
    """Of the plan's protocol; None where the network's MTU is not known."""
    echoes: record.Probe | None = None
    """Echo requests; None where ICMP is the plan's protocol."""


def send(plan: path.Plan, device: str, nonce: str) -> Sent:
    """Send the large packets from the port's device."""
    sizes = {name: plan.network.mtu - _IP_HEADER[plan.ip_version] - header for name, header in _HEADER.items()}
    if sizes["icmp"] <= probe.Settings().size:
        return Sent()
    if plan.protocol == "icmp":
        return Sent(large=_ping(plan, device, nonce, sizes["icmp"], probe.ANSWER_WAIT))
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        echoes = pool.submit(_ping, plan, device, nonce, sizes["icmp"], _PATIENCE)
        payload = bytes.fromhex(probe.mark(plan, "large", nonce)).ljust(sizes[plan.protocol], b"\0")
        return Sent(large=_unanswered(plan, device, payload), echoes=echoes.result())


def _ping(plan: path.Plan, device: str, nonce: str, size: int, patience: float) -> record.Probe:
    settings = probe.Settings(count=COUNT, size=size, patience=patience)
    echo = plan.model_copy(update={"protocol": "icmp", "port": None})
    return probe.send(echo, device, settings, nonce, lambda: True, "large")


def _unanswered(plan: path.Plan, device: str, payload: bytes) -> record.Probe:
    """Send packets whose answers are not waited for."""
    tried = [_sent(plan, device, payload) for _ in range(COUNT)]
    sent = tuple(str(port) for port, _ in tried if port)
    what = "datagrams" if plan.protocol == "udp" else "SYN packets with data"
    command = f"{COUNT} {what} of {plan.network.mtu} bytes from {device} to {plan.destination.address} port {plan.port}"
    output = "\n".join(refusal for _, refusal in tried if refusal)
    return record.Probe(command=command, transmitted=len(sent), sent=sent, output=output)


def _sent(plan: path.Plan, device: str, payload: bytes) -> tuple[int, str]:
    """Send one packet; return its source port, or 0 and why this host refused it."""
    try:
        return (_datagram if plan.protocol == "udp" else _opening)(plan, device, payload), ""
    except OSError as error:
        return 0, error.strerror or str(error)


def _socket(plan: path.Plan, device: str, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if plan.ip_version == 6 else socket.AF_INET, kind, protocol)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        made.setsockopt(*_NEVER_FRAGMENT[plan.ip_version])
        made.bind((plan.source.address, 0))
    except OSError:
        made.close()
        raise
    return made


def _datagram(plan: path.Plan, device: str, payload: bytes) -> int:
    with _socket(plan, device, socket.SOCK_DGRAM) as made:
        made.sendto(payload, (plan.destination.address, plan.port or 0))
        return int(made.getsockname()[1])


def _opening(plan: path.Plan, device: str, payload: bytes) -> int:
    """Send a SYN with data from a port that an idle socket keeps, so that the kernel resets what answers it."""
    with (
        _socket(plan, device, socket.SOCK_STREAM) as idle,
        _socket(plan, device, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw,
    ):
        port = int(idle.getsockname()[1])
        raw.sendto(syn(plan, port, payload), (plan.destination.address, 0))
        return port


def syn(plan: path.Plan, port: int, payload: bytes) -> bytes:
    """Return a TCP segment that opens a connection from a port and carries data, with its checksum."""
    ends = b"".join(ipaddress.ip_address(one.address).packed for one in (plan.source, plan.destination))
    length = _HEADER["tcp"] + len(payload)
    pseudo = ends + struct.pack("!II", length, socket.IPPROTO_TCP)  # for IPv4 the same sum as its shorter form

    def segment(checksum: int) -> bytes:
        fields = (port, plan.port or 0, 0, 0, (_HEADER["tcp"] // 4) << 4, _SYN, 0xFFFF, checksum, 0)
        return struct.pack("!HHIIBBHHH", *fields) + payload

    return segment(beacon.checksum(pseudo + segment(0)))
