import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder.evidence import packet
from tests.unit import recorded

A4, B4 = ipaddress.ip_address("192.168.77.231").packed, ipaddress.ip_address("192.168.77.207").packed
A6, B6 = ipaddress.ip_address("fc00::1").packed, ipaddress.ip_address("fc00::2").packed
OUTER_A, OUTER_B = ipaddress.ip_address("172.20.0.139").packed, ipaddress.ip_address("172.20.0.209").packed


def ethernet(type_: int, body: bytes, vlan: int | None = None) -> bytes:
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return bytes.fromhex("fa163e0d9acffa163ea87ef6") + tag + struct.pack("!H", type_) + body


def ipv4(protocol: int, body: bytes, source: bytes = A4, destination: bytes = B4, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, fragment, 64, protocol, 0)
    return head + source + destination + body


def ipv6(protocol: int, body: bytes, source: bytes = A6, destination: bytes = B6) -> bytes:
    return struct.pack("!IHBB", 0x60000000, len(body), protocol, 64) + source + destination + body


ECHO4 = ethernet(0x0800, ipv4(1, struct.pack("!BBHHH", 8, 0, 0, 7, 9) + bytes(range(56))))
ECHO6 = ethernet(0x86DD, ipv6(58, struct.pack("!BBHHH", 128, 0, 0, 7, 9) + bytes(range(56))))
ARP = ethernet(0x0806, struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes(6) + A4 + bytes(6) + B4)
SOLICITATION = ethernet(0x86DD, ipv6(58, struct.pack("!BBHI", 135, 0, 0, 0) + B6 + bytes(8)))
TCP = ethernet(0x0800, ipv4(6, struct.pack("!HHIIBBHHH", 40000, 9443, 0, 0, 0x50, 0x02, 0, 0, 0)))
UDP = ethernet(0x86DD, ipv6(17, struct.pack("!HHHH", 40000, 5555, 24, 0) + bytes(16)))


def gre(frame: bytes, *, key: int | None = 0x2F1, checksum: bool = False, sequence: bool = False) -> bytes:
    flags = (0x8000 if checksum else 0) | (0x2000 if key is not None else 0) | (0x1000 if sequence else 0)
    fields = (bytes(4) if checksum else b"") + (struct.pack("!I", key) if key is not None else b"")
    return struct.pack("!HH", flags, 0x6558) + fields + (bytes(4) if sequence else b"") + frame


def udp(port: int, body: bytes) -> bytes:
    return struct.pack("!HHHH", 55555, port, 8 + len(body), 0) + body


def vxlan(frame: bytes, key: int = 0x2F1) -> bytes:
    return udp(4789, struct.pack("!II", 0x08000000, key << 8) + frame)


def geneve(frame: bytes, key: int = 0x2F1, options: int = 0) -> bytes:
    return udp(6081, struct.pack("!BBHI", options, 0, 0x6558, key << 8) + bytes(options * 4) + frame)


def over4(protocol: int, body: bytes) -> bytes:
    return ethernet(0x0800, ipv4(protocol, body, OUTER_A, OUTER_B))


def over6(protocol: int, body: bytes) -> bytes:
    return ethernet(0x86DD, ipv6(protocol, body))


TUNNELLED = {
    "gre": over4(47, gre(ECHO6)),
    "gre with checksum": over4(47, gre(ECHO6, checksum=True)),
    "gre with sequence": over4(47, gre(ECHO6, sequence=True)),
    "gre over IPv6": over6(47, gre(ECHO6)),
    "vxlan": over4(17, vxlan(ECHO6)),
    "vxlan over IPv6": over6(17, vxlan(ECHO6)),
    "geneve": over4(17, geneve(ECHO6)),
    "geneve with options": over4(17, geneve(ECHO6, options=3)),
}


@pytest.mark.parametrize("name", TUNNELLED)
def test_the_inner_packet_counts(name: str) -> None:
    found = packet.decode(TUNNELLED[name])

    assert found is not None
    assert (found.kind, found.source, found.destination, found.identity) == (
        "echo-request",
        "fc00::1",
        "fc00::2",
        "7/9",
    )
    assert found.tunnel is not None
    assert found.tunnel.key == 0x2F1
    assert found.source_mac == "fa:16:3e:a8:7e:f6"


def test_a_tunnel_without_a_key() -> None:
    found = packet.decode(over4(47, gre(ECHO4, key=None)))

    assert found is not None
    assert found.tunnel == packet.Tunnel(source="172.20.0.139", key=None)


PLAIN: dict[str, tuple[bytes, packet.Kind, str]] = {
    "echo": (ECHO4, "echo-request", "7/9"),
    "tagged": (ethernet(0x86DD, ECHO6[14:], vlan=1), "echo-request", "7/9"),
    "tcp": (TCP, "tcp", "40000>9443"),
    "udp": (UDP, "udp", "40000>5555"),
    "arp": (ARP, "solicitation", ""),
    "neighbour": (SOLICITATION, "solicitation", ""),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_frames(name: str) -> None:
    frame, kind, identity = PLAIN[name]
    found = packet.decode(frame)

    assert found is not None
    assert (found.kind, found.identity, found.tunnel) == (kind, identity, None)


def test_a_question_names_who_is_asked_for() -> None:
    arp, neighbour = packet.decode(ARP), packet.decode(SOLICITATION)

    assert arp is not None
    assert neighbour is not None
    assert (arp.destination, neighbour.destination) == ("192.168.77.207", "fc00::2")


def test_a_later_fragment_has_no_identity() -> None:
    assert packet.decode(ethernet(0x0800, ipv4(1, ECHO4[34:], fragment=185))) is None


@pytest.mark.parametrize("name", recorded.files("**/*.pcap"))
def test_recorded_captures(name: str) -> None:
    found = [packet.decode(frame) for frame in recorded.frames(name)]

    kinds = {one.kind for one in found if one is not None}
    assert "echo-request" in kinds
    tunnelled = {one.tunnel is not None for one in found if one is not None}
    assert tunnelled == ({True} if "underlay" in name else {False})
    if "underlay" in name:
        keys = {one.tunnel.key for one in found if one is not None and one.tunnel is not None}
        assert keys == ({1753} if "vxlan" in name else {753})


@given(st.binary(max_size=200))
def test_no_frame_makes_it_fail(frame: bytes) -> None:
    assert packet.decode(frame) is None or frame


def _valid() -> list[bytes]:
    return [*TUNNELLED.values(), *(one[0] for one in PLAIN.values())]


@pytest.mark.parametrize(
    "frame",
    list(_valid()),
    ids=[*TUNNELLED, *PLAIN],
)
def test_a_frame_that_was_cut_short_invents_nothing(frame: bytes) -> None:
    whole = packet.decode(frame)
    assert whole is not None

    for length in range(len(frame)):
        part = packet.decode(frame[:length])
        if part is not None:
            assert part.model_copy(update={"payload": whole.payload}) == whole
            assert whole.payload.startswith(part.payload)


def test_an_outer_tag_of_802_1ad_is_a_vlan() -> None:
    tagged = ECHO4[:12] + bytes([0x88, 0xA8, 0, 7, 0x81, 0, 0, 5]) + ECHO4[12:]

    assert packet.decode(tagged) == packet.decode(ECHO4)


def test_geneve_that_carries_ip_holds_no_frame() -> None:
    body = struct.pack("!BBHI", 0, 0, 0x0800, 0x2F100) + ECHO4[14:]

    assert packet.in_udp("geneve", body) is None
    assert packet.decode(over4(17, udp(6081, body))) is None
