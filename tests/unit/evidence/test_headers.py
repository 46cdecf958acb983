"""Where headers end: no byte of anybody's data is kept."""

import pathlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder.evidence import frame, headers, pcap
from tests.unit import recorded

SECRET = b"SECRET!!" * 6
UDP = struct.pack("!HHHH", 41000, 5555, 8 + len(SECRET), 0)
TCP = struct.pack("!HHIIBBHHH", 41000, 9443, 1, 2, 0x80, 0x18, 1024, 0, 0) + bytes(12)
ECHO = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
UNREACHABLE4 = struct.pack("!BBHI", 3, 3, 0, 0)
UNREACHABLE6 = struct.pack("!BBHI", 1, 4, 0, 0)
V4, V6 = ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")


def four(protocol: int, payload: bytes, options: bytes = b"") -> bytes:
    head = bytes([0x45 + len(options) // 4, 0]) + struct.pack(
        "!HHHBBH", 20 + len(options) + len(payload), 0, 0, 64, protocol, 0
    )
    return head + bytes([192, 0, 2, 1, 192, 0, 2, 2]) + options + payload


def six(protocol: int, payload: bytes) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + bytes(32) + payload


def ethernet(type_: int, body: bytes, tags: bytes = b"") -> bytes:
    return bytes(12) + tags + struct.pack("!H", type_) + body


INNER = ethernet(0x0800, four(17, UDP))
VXLAN = struct.pack("!HHHH", 1, 4789, 0, 0) + bytes([8, 0, 0, 0, 0, 0, 5, 0])
GENEVE = struct.pack("!HHHH", 1, 6081, 0, 0) + bytes([1, 0, 0x65, 0x58, 0, 0, 5, 0]) + bytes(4)
GENEVE_OF_IP = struct.pack("!HHHH", 1, 6081, 0, 0) + bytes([0, 0, 0x08, 0x00, 0, 0, 5, 0])
GRE = struct.pack("!HHI", 0x2000, 0x6558, 5)

HEADERS = {
    "UDP over IPv4": ethernet(0x0800, four(17, UDP)),
    "UDP over IPv4 with options": ethernet(0x0800, four(17, UDP, bytes(8))),
    "UDP over IPv6": ethernet(0x86DD, six(17, UDP)),
    "a hop-by-hop option": ethernet(0x86DD, six(0, bytes([17, 0]) + bytes(6) + UDP)),
    "TCP with options": ethernet(0x0800, four(6, TCP)),
    "echo": ethernet(0x0800, four(1, ECHO)),
    "a VLAN": ethernet(0x0800, four(17, UDP), bytes([0x81, 0, 0, 5])),
    "two VLANs": ethernet(0x0800, four(17, UDP), bytes([0x88, 0xA8, 0, 5, 0x81, 0, 0, 6])),
    "VXLAN": ethernet(0x0800, four(17, VXLAN + INNER)),
    "Geneve with an option": ethernet(0x86DD, six(17, GENEVE + INNER)),
    "Geneve of IP": ethernet(0x0800, four(17, GENEVE_OF_IP + four(17, UDP))),
    "GRE": ethernet(0x0800, four(47, GRE + INNER)),
    "a port that is unreachable": ethernet(0x0800, four(1, UNREACHABLE4 + four(17, UDP))),
    "the same over IPv6": ethernet(0x86DD, six(58, UNREACHABLE6 + six(6, TCP))),
    "a later fragment": ethernet(0x86DD, six(44, bytes([17, 0, 0, 8, 0, 0, 0, 1]))),
    "another protocol": ethernet(0x0800, four(89, b"")),
    "another type": ethernet(0x9999, b""),
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_are_kept_and_no_byte_behind_them(name: str) -> None:
    whole = HEADERS[name]

    assert headers.end(whole + SECRET) == len(whole)


@pytest.mark.parametrize("name", HEADERS)
def test_what_is_cut_within_its_headers_is_kept_as_it_is(name: str) -> None:
    whole = HEADERS[name]

    assert all(headers.end(whole[:length]) == length for length in range(len(whole)))


@given(st.binary(max_size=120))
def test_no_frame_makes_it_fail(data: bytes) -> None:
    assert 0 <= headers.end(data) <= len(data)


def test_a_recorded_file_is_cut_in_place(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "cut.pcap"
    file.write_bytes(recorded.savefile(list(recorded.frames("healthy-gre-l2pop/octavia.underlay.pcap"))))
    before = pcap.read(file).packets

    pcap.shorten(file, headers.end)

    after = pcap.read(file)
    assert not after.cut
    assert [(one.time, one.length) for one in after.packets] == [(one.time, one.length) for one in before]
    assert [one.data for one in after.packets] == [one.data[: headers.end(one.data)] for one in before]
    assert sum(len(one.data) for one in after.packets) < sum(len(one.data) for one in before)
    assert [frame.describe(one.data).fields for one in after.packets] == [
        frame.describe(one.data).fields for one in before
    ]


def test_of_a_packet_that_was_not_written_whole_no_data_stays(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "broken.pcap"
    whole = ethernet(0x0800, four(17, UDP)) + SECRET
    record = struct.pack("<IIII", 1, 0, len(whole), len(whole))
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 224, 1)
    file.write_bytes(head + record + whole + record + whole[:-1])

    pcap.shorten(file, headers.end)

    assert SECRET[:7] not in file.read_bytes()
    found = pcap.read(file)
    assert len(found.packets) == 1
    assert found.cut


def test_files_of_other_kinds_stay(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "cooked.pcap"
    content = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 224, 113) + b"something else"
    file.write_bytes(content)

    pcap.shorten(file, headers.end)

    assert file.read_bytes() == content
