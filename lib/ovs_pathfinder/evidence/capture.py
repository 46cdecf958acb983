"""Packets at one observation point: tcpdump, filtered in the kernel, read as a stream (tcpdump(1), pcap-filter(7))."""

import contextlib
import ipaddress
import struct
import threading
from collections.abc import Callable, Mapping, Sequence

from .. import path, process
from . import headers, packet, pcap

SNAP_LENGTH = 224
"""Bytes: headers of Ethernet, IPv6, UDP, VXLAN, Ethernet, IPv6, ICMP, and the first of the payload's bytes."""
MAX_PACKETS = 20_000
KEPT_BYTES = 24_576
"""Of one capture, where its packets are kept."""
_NUMBERS = {"icmp": {4: 1, 6: 58}, "tcp": {4: 6, 6: 6}, "udp": {4: 17, 6: 17}}
_NAMES = {1: "icmp", 58: "icmp6", 6: "tcp", 17: "udp"}
_FRAGMENT = 44
_MARK = 24
"""Bytes from an echo request's begin to the mark of a signal: its header and the place of ping's timestamp."""
_SYN_OR_RST = 0x06
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}


def port_filter(plan: path.Plan) -> str:
    """Return the filter for the probe's packets and the neighbour discovery around them, without a tunnel.

    Of TCP only what opens or resets a connection: a busy service between the two ports is not the probe's business.
    """
    a, b = plan.source.address, plan.destination.address
    number = _NUMBERS[plan.protocol][plan.ip_version]
    byte = "tcp[13]" if plan.ip_version == 4 else "ip6[53]"  # tcp[] is for IPv4 alone
    flags = f" and {byte} & {_SYN_OR_RST:#x} != 0" if plan.protocol == "tcp" else ""
    wanted = _NAMES[number] if plan.port is None else f"({_NAMES[number]} port {plan.port}{flags})"
    if plan.ip_version == 4:
        # An ICMP error quotes a probe of TCP or UDP that was refused.
        return f"(host {a} and host {b} and ({wanted} or icmp)) or (arp and host {a} and host {b})"
    discovery = "(icmp6 and (ip6[40] == 135 or ip6[40] == 136))"
    either = f"({wanted} or icmp6 or ip6 proto {_FRAGMENT})"
    return f"(ip6 host {a} and ip6 host {b} and {either}) or ({discovery} and (host {a} or host {b}))"


def physical_filter(plan: path.Plan) -> str:
    """Return the filter for the same packets on a physical network, where a VLAN's have its tag."""
    return (
        f"({port_filter(plan)})"
        if plan.network.segmentation_id is None
        else trunk_filter(plan, plan.network.segmentation_id)
    )


def trunk_filter(plan: path.Plan, vlan: int) -> str:
    """Return the filter for the same packets where they have a VLAN tag: on a trunk."""
    return f"vlan {vlan} and ({port_filter(plan)})"


def tunnel_filter(
    plan: path.Plan, local: str, remote: str, tunnel_ports: Mapping[str, int] = packet.TUNNEL_PORTS
) -> str:
    """Return the filter for the same packets in tunnels between two ends, and for the other end's signals.

    A hypervisor's underlay is busy: the inner addresses are compared in the kernel, at the offsets that a tunnel
    header with a key has (GRE with and without a checksum, VXLAN, Geneve without options).
    """
    outer = 6 if ":" in remote else 4
    name, length = ("ip6", 40) if outer == 6 else ("ip", 20)
    if plan.network.type == "gre":
        carries, headers = f"{name} proto 47", (8, 12)
    else:
        carries, headers = f"udp dst port {tunnel_ports[plan.network.type]}", (16,)
    inner = " or ".join(_inner(plan, name, length + header) for header in headers)
    return f"host {local} and host {remote} and (({carries} and ({inner})) or ({signal_filter(plan, remote)}))"


def signal_filter(plan: path.Plan, remote: str) -> str:
    """Return the filter for the other unit's signals (`evidence.beacon`): this run's marked echo requests, no others.

    An ICMP error would quote somebody's packet.
    """
    name, start, request = ("ip6", 40, "icmp6 and ip6[40] == 128") if ":" in remote else ("icmp", 0, "icmp[0] == 8")
    token = bytes.fromhex(plan.token)
    marked = (
        f"{name}[{start + _MARK + at}:4] == {struct.unpack_from('!I', token, at)[0]:#x}"
        for at in range(0, len(token), 4)
    )
    return " and ".join([f"src host {remote}", request, *marked])


def _inner(plan: path.Plan, name: str, start: int) -> str:
    """Return the test of the frame that begins `start` bytes into the outer IP packet."""
    network = start + 14
    a = ipaddress.ip_address(plan.source.address).packed
    b = ipaddress.ip_address(plan.destination.address).packed

    def has(offset: int, address: bytes) -> str:
        words = range(0, len(address), 4)
        tests = (f"{name}[{offset + at}:4] == {struct.unpack_from('!I', address, at)[0]:#x}" for at in words)
        return "(" + " and ".join(tests) + ")"

    def between(first: int, second: int) -> str:
        return f"(({has(first, a)} and {has(second, b)}) or ({has(first, b)} and {has(second, a)}))"

    kind, first, second, header = (9, 12, 16, 20) if plan.ip_version == 4 else (6, 8, 24, 40)
    wanted = _inner_protocols(plan, f"{name}[{network + kind}]", name, network + header)
    ip = f"(({wanted}) and {between(network + first, network + second)})"
    type_ = f"{name}[{start + 12}:2] == {_ETHERTYPES[plan.ip_version]:#06x}"
    if plan.ip_version == 4:
        return f"({type_} and {ip}) or ({name}[{start + 12}:2] == 0x0806 and {between(network + 14, network + 24)})"
    message = f"{name}[{network + 40}]"
    discovery = f"({name}[{network + 6}] == 58 and {message} >= 135 and {message} <= 136)"
    return f"({type_} and ({ip} or ({discovery} and ({has(network + 8, a)} or {has(network + 8, b)}))))"


def _inner_protocols(plan: path.Plan, kind: str, name: str, transport: int) -> str:
    """Return the test of an inner packet's protocol, port and flags; ICMP is wanted always, for its errors."""
    number = _NUMBERS[plan.protocol][plan.ip_version]
    tests = [f"{kind} == {_NUMBERS['icmp'][plan.ip_version]}"]
    if plan.ip_version == 6:
        tests.append(f"{kind} == {_FRAGMENT}")
    if plan.port is not None:
        ports = f"({name}[{transport}:2] == {plan.port} or {name}[{transport + 2}:2] == {plan.port})"
        flags = f" and {name}[{transport + 13}] & {_SYN_OR_RST:#x} != 0" if plan.protocol == "tcp" else ""
        tests.append(f"({kind} == {number} and {ports}{flags})")
    return " or ".join(tests)


class Capture:
    """A running tcpdump on one device; decoded packets are handed to `sink` as they come."""

    def __init__(
        self,
        device: str,
        expression: str,
        sink: Callable[[packet.Packet], None],
        tunnel_ports: Mapping[str, int] = packet.TUNNEL_PORTS,
        *,
        keeps: bool = False,
    ) -> None:
        self.device = device
        self.error = ""
        self.kept = bytearray()
        """The headers of the first packets, as a capture file; empty where none are kept."""
        self.packets = 0
        """How many of them there are."""
        self.more = 0
        """How many packets there was no room for."""
        self._keeps = keeps
        self._sink = sink
        self._tunnel_ports = tunnel_ports
        self._stopping = False
        self._ready = threading.Event()
        # As root, tcpdump would change to a user of its own, which takes the death signal from it (prctl(2));
        # with -w it only copies frames and dissects nothing.
        options: list[process.Word] = [("-i", device), "-Z", "root", "-n", "-p", "-U", "--immediate-mode", "-w", "-"]
        limits: list[process.Word] = [("-s", SNAP_LENGTH), ("-c", MAX_PACKETS)]
        self._tcpdump = process.Running(process.Command(["tcpdump", *options, *limits], expression))
        self._readers = [threading.Thread(target=target, daemon=True) for target in (self._listen, self._read)]
        for reader in self._readers:
            reader.start()

    def _listen(self) -> None:
        for line in self._tcpdump.stderr:
            text = line.decode(errors="replace").strip()
            if "listening on" in text:
                self._ready.set()
            elif not self._ready.is_set() and text and "warning" not in text.lower():
                self.error = text.removeprefix("tcpdump: ")[:300]
        self._ready.set()

    def _read(self) -> None:
        stream = self._tcpdump.stdout
        header = stream.read(24)
        if len(header) < 24:
            return
        if self._keeps:
            self.kept += header
        order = "<" if header[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        while len(record := stream.read(16)) == 16:
            (length,) = struct.unpack_from(f"{order}I", record, 8)
            frame = stream.read(length)
            if self._keeps and len(frame) == length:
                self._keep(pcap.shortened(record, frame[: headers.end(frame, self._tunnel_ports)], order))
            decoded = packet.decode(frame, self._tunnel_ports)
            if decoded is not None:
                self._sink(decoded)
        if not self._stopping and not self.error:
            # Whatever it was that ended it, from here on this capture is blind.
            self.error = f"tcpdump ended before it was told to (it keeps {MAX_PACKETS} packets at the most)"

    def _keep(self, record: bytes) -> None:
        if not self.more and len(self.kept) + len(record) <= KEPT_BYTES:
            self.kept += record
            self.packets += 1
        else:
            self.more += 1

    def wait_ready(self, timeout: float = 3.0) -> None:
        """Wait until tcpdump listens, or `error` says why it cannot."""
        if not self._ready.wait(timeout) and not self.error:
            self.error = f"tcpdump did not start within {timeout:g} s"

    def stop(self) -> None:
        """End tcpdump and read what it had still to say."""
        self._stopping = True
        self._tcpdump.stop()
        for reader in self._readers:
            reader.join(1.0)
        for stream in (self._tcpdump.stdout, self._tcpdump.stderr):
            with contextlib.suppress(OSError):
                stream.close()


def stop_all(captures: Sequence[Capture]) -> None:
    """Stop captures side by side: tcpdump takes some tens of milliseconds to end."""
    threads = [threading.Thread(target=capture.stop) for capture in captures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
