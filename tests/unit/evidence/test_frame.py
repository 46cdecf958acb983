"""Frames as flows, held against what Open vSwitch itself takes from the same frames."""

import ipaddress
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder import errors
from ovs_pathfinder.evidence import frame, packet
from tests.unit import recorded
from tests.unit.evidence import test_packet
from tests.unit.vswitch import private

SOURCE, DESTINATION = "fa163ea87ef6", "fa163e0d9acf"
ENDS = bytes.fromhex(DESTINATION + SOURCE)
V4 = ("192.168.77.231", "192.168.77.207")
V6 = ("fc00::5", "fc00::9")


def ipv4(protocol: int, data: bytes, *, place: int = 0, tos: int = 0) -> bytes:
    ends = b"".join(ipaddress.IPv4Address(one).packed for one in V4)
    header = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(data), 7, place, 64, protocol, 0)
    return ENDS + b"\x08\x00" + header + ends + data


def ipv6(protocol: int, data: bytes, *, first: int = 0x60000000) -> bytes:
    ends = b"".join(ipaddress.IPv6Address(one).packed for one in V6)
    return ENDS + b"\x86\xdd" + struct.pack("!IHBB", first, len(data), protocol, 255) + ends + data


def tcp(flags: int) -> bytes:
    return struct.pack("!HHIIHHHH", 41000, 9443, 1, 0, 0x5000 | flags, 100, 0, 0)


UDP = struct.pack("!HHHH", 5555, 53, 8, 0)
ARP = ENDS + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes.fromhex(SOURCE)
ADVERTISEMENT = b"\x88\x00\x00\x00\x60\x00\x00\x00" + ipaddress.IPv6Address(V6[0]).packed
MADE = {
    "udp": ipv4(17, UDP),
    "traffic class": ipv4(17, UDP, tos=0xB9),
    "syn": ipv4(6, tcp(2)),
    "odd flags": ipv6(6, tcp(0xFC2)),
    "icmp": ipv4(1, b"\x08\x00\xf7\xff\x00\x00\x00\x00"),
    "sctp": ipv4(132, struct.pack("!HHII", 7, 8, 0, 0)),
    "first fragment": ipv4(17, UDP, place=0x2000),
    "later fragment": ipv4(17, b"\x01" * 8, place=0x0010),
    "label": ipv6(17, UDP, first=0x6B9ABCDE),
    "hop-by-hop": ipv6(0, b"\x11\x00\x01\x04\x00\x00\x00\x00" + UDP),
    "destination options": ipv6(60, b"\x06\x01" + bytes(14) + tcp(2)),
    "IPv6 fragment": ipv6(44, b"\x11\x00\x00\x01\x00\x00\x00\x07" + UDP),
    "IPv6 later fragment": ipv6(44, b"\x11\x00\x00\x19\x00\x00\x00\x07" + UDP),
    "advertisement": ipv6(58, ADVERTISEMENT + b"\x02\x01" + bytes.fromhex(SOURCE)),
    "another ICMPv6": ipv6(58, b"\x01\x04\x00\x00\x00\x00\x00\x00"),
    "ospf": ipv6(89, b"\x03\x01" + bytes(14)),
    "arp": ARP + ipaddress.IPv4Address(V4[0]).packed + bytes(6) + ipaddress.IPv4Address(V4[1]).packed,
    "vlan": ENDS + b"\x81\x00\x60\x05" + ipv4(17, UDP)[12:],
    "another type": ENDS + b"\x88\xcc" + bytes(46),
    "a length": ENDS + b"\x00\x26\x42\x42\x03" + bytes(43),
}


@pytest.fixture(scope="module")
def switch() -> Iterator[None]:
    """Run a switch that only looks at packets."""
    if reason := private.missing():
        pytest.skip(reason)
    with private.running():
        private.configure(
            "add-br br0 -- set Bridge br0 datapath_type=dummy -- add-port br0 p1 "
            "-- set Interface p1 type=dummy ofport_request=1"
        )
        yield


def seen(entry: str, *packet: str) -> str:
    """Return how the switch prints a packet, or a flow."""
    return private.call("ovs-appctl", "ofproto/trace", "br0", entry, *packet).splitlines()[0]


@pytest.mark.parametrize("name", MADE)
def test_a_frame_is_the_flow_that_the_switch_takes_it_for(switch: None, name: str) -> None:
    data = MADE[name]

    fields = frame.describe(data).fields

    whole = data.ljust(64, b"\0") if name != "vlan" else data
    assert seen(f"in_port=1,{','.join(fields)}") == seen("in_port=1", whole.hex())


def test_every_recorded_frame_is_the_flow_that_the_switch_takes_it_for(switch: None) -> None:
    described = ((frame.describe(data), data) for name in recorded.files("**/*.pcap") for data in recorded.frames(name))
    flat = {one.fields: data for one, data in described if one.tunnel is None}

    wrong = [
        fields
        for fields, data in flat.items()
        if seen(f"in_port=1,{','.join(fields)}") != seen("in_port=1", data.hex())
    ]

    assert len(flat) > 30
    assert wrong == []


def test_of_a_frame_in_a_tunnel_the_inner_one_is_described() -> None:
    frames = [frame.describe(one) for one in recorded.frames("healthy-gre-l2pop/octavia.underlay.pcap")]
    inner = [one for one in frames if one.tunnel is not None]

    assert inner
    assert {(one.tunnel_kind, one.tunnel and one.tunnel.key) for one in inner} == {("gre", 753)}
    ends = {(one.tunnel and one.tunnel.source, one.tunnel_destination) for one in inner}
    assert ends <= {("172.20.0.139", "172.20.0.209"), ("172.20.0.209", "172.20.0.139")}
    assert all(one.source_mac.startswith("fa:16:3e") for one in inner)


@pytest.mark.parametrize(("kind", "port"), [("vxlan", 4789), ("geneve", 6081), ("vxlan", 8472)])
def test_tunnels_over_udp_are_looked_into(kind: str, port: int) -> None:
    header = b"\x08\x00\x00\x00\x00\x02\xf1\x00" if kind == "vxlan" else b"\x00\x00\x65\x58\x00\x02\xf1\x00"
    outer = ipv4(17, struct.pack("!HHHH", 50000, port, 0, 0) + header + MADE["syn"])

    found = frame.describe(outer, {**packet.TUNNEL_PORTS, kind: port})

    assert (found.tunnel_kind, found.tunnel and found.tunnel.key) == (kind, 0x2F1)
    assert (found.words, found.tunnel_destination) == ("tcp 41000 > 9443 SYN", V4[1])


@pytest.mark.parametrize(
    ("data", "phase", "can_be_tracked"),
    [
        (ipv4(6, tcp(0x02)), "first", True),
        (ipv4(6, tcp(0x12)), "answer", True),
        (ipv4(6, tcp(0x10)), "later", True),
        (ipv4(17, UDP), "first", True),
        (ipv4(1, b"\x08\x00" + bytes(6)), "first", True),
        (ipv4(1, b"\x00\x00" + bytes(6)), "answer", True),
        (ipv6(58, b"\x81\x00" + bytes(6)), "answer", True),
        (MADE["advertisement"], "first", False),
        (MADE["arp"], "first", False),
    ],
)
def test_what_conntrack_makes_of_a_frame_is_known(data: bytes, phase: str, can_be_tracked: bool) -> None:
    found = frame.describe(data)

    assert (found.phase, found.can_be_tracked) == (phase, can_be_tracked)


@pytest.mark.parametrize("name", MADE)
def test_a_frame_that_was_cut_short_is_refused_or_described_as_the_whole_one(name: str) -> None:
    whole = frame.describe(MADE[name])

    described = [cut for length in range(len(MADE[name])) if (cut := describe_or_none(MADE[name][:length])) is not None]

    assert {(one.source_mac, one.destination_mac, one.source) for one in described} <= {
        (whole.source_mac, whole.destination_mac, whole.source)
    }


def describe_or_none(data: bytes) -> frame.Described | None:
    try:
        return frame.describe(data)
    except errors.PathfinderError:
        return None


def test_a_frame_without_headers_is_refused() -> None:
    with pytest.raises(errors.PathfinderError, match="after 13 bytes; capture with a larger snap length"):
        frame.describe(MADE["udp"][:13])


@given(st.binary(max_size=160), st.sampled_from([b"", *(bytes(one[12:20]) for one in MADE.values())]))
def test_no_bytes_make_it_fail_otherwise(data: bytes, start: bytes) -> None:
    found = describe_or_none(ENDS + start + data)

    assert found is None or all(" " not in field for field in found.fields)


def test_geneve_that_carries_ip_is_udp() -> None:
    body = struct.pack("!BBHI", 0, 0, 0x0800, 0x2F100) + test_packet.ECHO4[14:]

    found = frame.describe(test_packet.over4(17, test_packet.udp(6081, body)))

    assert (found.tunnel, found.words) == (None, "udp 55555 > 6081")
