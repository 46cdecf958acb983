"""Recorded outputs, and what is in a capture file."""

import pathlib
import struct
from collections.abc import Iterator

FOLDER = pathlib.Path(__file__).parent.parent / "recorded"
CLOUDS = ("healthy-gre-l2pop", "healthy-vxlan-no-l2pop", "healthy-gre-3computes-v4")


def text(name: str) -> str:
    return (FOLDER / name).read_text()


def files(pattern: str) -> list[str]:
    return sorted(str(one.relative_to(FOLDER)) for one in FOLDER.glob(pattern))


def frames(name: str) -> Iterator[bytes]:
    """Yield the frames of a capture in the format of pcap-savefile(5)."""
    data = (FOLDER / name).read_bytes()
    yield from frames_of(data)


def frames_of(data: bytes) -> Iterator[bytes]:
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    position = 24
    while position < len(data):
        (length,) = struct.unpack_from(f"{order}I", data, position + 8)
        yield data[position + 16 : position + 16 + length]
        position += 16 + length


def savefile(packets: list[bytes]) -> bytes:
    """Write frames in the format of pcap-savefile(5)."""
    records = (struct.pack("<IIII", 0, 0, len(one), len(one)) + one for one in packets)
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + b"".join(records)
