"""Capture files are read whatever wrote them, and as far as they are whole."""

import pathlib
import struct

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.evidence import pcap
from tests.unit import recorded

FRAMES = [bytes(range(60)), bytes(14)]


def savefile(order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1, major: int = 2) -> bytes:
    data = struct.pack(f"{order}IHHiIII", magic, major, 4, 0, 0, 96, link)
    for number, frame in enumerate(FRAMES):
        data += struct.pack(f"{order}IIII", 1000 + number, 500, len(frame), 118) + frame
    return data


def written(folder: pathlib.Path, data: bytes) -> pathlib.Path:
    file = folder / "some.pcap"
    file.write_bytes(data)
    return file


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1e-6), (0xA1B23C4D, 1e-9)])
def test_both_byte_orders_and_both_clocks_are_read(tmp_path: pathlib.Path, order: str, magic: int, unit: float) -> None:
    found = pcap.read(written(tmp_path, savefile(order, magic)))

    assert [one.data for one in found.packets] == FRAMES
    assert found.packets[0].time == pytest.approx(1000 + 500 * unit, abs=1e-9)
    assert (found.link_type, found.snap_length, found.cut) == (1, 96, "")


def test_a_packet_that_was_cut_is_padded_to_its_length(tmp_path: pathlib.Path) -> None:
    first = pcap.read(written(tmp_path, savefile())).packets[0]

    assert first.is_cut
    assert (len(first.padded), first.padded[:60], first.padded[60:]) == (118, FRAMES[0], bytes(58))


@pytest.mark.parametrize(
    ("missing", "kept", "said"),
    [
        (1, 1, "is cut short within packet 2; the 1 before it are whole"),
        (14 + 3, 1, "is cut short within the header of packet 2"),
        (14 + 16 + 1, 0, "is cut short within packet 1; there is none before it"),
    ],
)
def test_what_is_whole_of_a_truncated_file_is_kept(tmp_path: pathlib.Path, missing: int, kept: int, said: str) -> None:
    found = pcap.read(written(tmp_path, savefile()[:-missing]))

    assert len(found.packets) == kept
    assert said in found.cut


def test_a_damaged_length_ends_the_file_there(tmp_path: pathlib.Path) -> None:
    data = savefile() + struct.pack("<IIII", 0, 0, 0x7FFFFFFF, 0)

    found = pcap.read(written(tmp_path, data))

    assert len(found.packets) == 2
    assert "2147483647 bytes are more than a packet can have" in found.cut


def test_no_more_packets_are_read_than_asked_for(tmp_path: pathlib.Path) -> None:
    found = pcap.read(written(tmp_path, savefile()), most=1)

    assert len(found.packets) == 1
    assert "only the first 1 were read" in found.cut


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (savefile()[:10], "ends within its header"),
        (b"hello, world, this is no capture", "is no capture file (it begins with 68 65 6c 6c)"),
        (b"\x0a\x0d\x0d\x0a" + bytes(24), "is a pcapng file; convert it"),
        (b"\x1f\x8b\x08\x00" + bytes(24), "compressed by gzip"),
        (savefile(magic=0xA1B2CD34), "modified format of Kuznetsov"),
        (savefile(link=113), "link type 113 (Linux cooked (of `-i any`)), and only Ethernet"),
        (savefile(link=999), "link type 999 (unknown here)"),
        (savefile(major=3), "version 3"),
    ],
)
def test_another_format_is_refused_by_name(tmp_path: pathlib.Path, data: bytes, said: str) -> None:
    with pytest.raises(errors.PathfinderError) as caught:
        pcap.read(written(tmp_path, data))

    assert said in str(caught.value)
    assert str(tmp_path / "some.pcap") in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.PathfinderError, match="No such file or directory; check the path"):
        pcap.read(tmp_path / "none.pcap")


@pytest.mark.parametrize("name", recorded.files("*/*.pcap"))
def test_files_of_tcpdump_are_read_whole(name: str) -> None:
    found = pcap.read(recorded.FOLDER / name)

    assert [one.data for one in found.packets] == list(recorded.frames(name))
    assert found.cut == ""
