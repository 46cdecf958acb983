"""Capture files in the classic format of tcpdump, read packet by packet (pcap-savefile(5)).

Both byte orders, times in microseconds and nanoseconds. A file that was cut short keeps what is whole.
"""

import contextlib
import os
import pathlib
import struct
from collections.abc import Callable, Generator, Iterator
from typing import IO

from .. import errors, files, path

ETHERNET = 1
"""LINKTYPE_ETHERNET, the only one whose frames can be read here."""
LARGEST = 262_144
"""Bytes of one packet; tcpdump's own limit (MAXIMUM_SNAPLEN)."""
_HEADER = 24
_RECORD = 16
_FRACTIONS = {0xA1B2C3D4: 1e-6, 0xA1B23C4D: 1e-9}
_KUZNETSOV = "is a pcap file in the modified format of Kuznetsov; convert it with `editcap -F pcap FILE NEW`"
_FOREIGN = {
    b"\x0a\x0d\x0d\x0a": "is a pcapng file; convert it with `tcpdump -r FILE -w NEW` or `editcap -F pcap FILE NEW`",
    b"\x1f\x8b": "is compressed by gzip; unpack it with gunzip",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd; unpack it with unzstd",
    b"\xfd7zXZ": "is compressed by xz; unpack it with unxz",
    b"\xa1\xb2\xcd\x34": _KUZNETSOV,
    b"\x34\xcd\xb2\xa1": _KUZNETSOV,
}
_LINK_TYPES = {
    0: "BSD loopback",
    12: "raw IP",
    101: "raw IP",
    105: "802.11",
    113: "Linux cooked (of `-i any`)",
    228: "raw IPv4",
    229: "raw IPv6",
    276: "Linux cooked v2 (of `-i any`)",
}


class Packet(path.Model):
    """One packet of a file."""

    time: float
    """Seconds since the epoch."""
    length: int
    """Bytes that it had on the wire."""
    data: bytes
    """What was kept of it, from its destination MAC on."""

    @property
    def is_cut(self) -> bool:
        """Whether bytes at its end were not kept."""
        return len(self.data) < self.length

    @property
    def padded(self) -> bytes:
        """The packet in its length on the wire, with zeros for what was not kept.

        A switch does not read the IP header of a packet that is shorter than this header says.
        """
        return self.data.ljust(min(self.length, LARGEST), b"\0")


class Savefile(path.Model):
    """A file that was read."""

    link_type: int
    snap_length: int
    """Bytes that were kept of each packet at the most."""
    packets: tuple[Packet, ...]
    cut: str = ""
    """Where and how the file ends before its end, in one sentence; empty for a whole one."""


class Reader(Iterator[Packet]):
    """A file that is being read; `cut` is known once all packets have been."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        """Read the header of the file.

        Raises:
            PathfinderError: It is no classic pcap file, or not of Ethernet.
        """
        self._file = file
        self._name = name
        self._read = 0
        self.cut = ""
        header = file.read(_HEADER)
        self._order, self._fraction = _format(header, name)
        if len(header) < _HEADER:
            raise errors.PathfinderError(
                f"{name} ends within its header, after {len(header)} bytes, so it holds no packet; capture again"
            )
        major, _, _, _, self.snap_length, link = struct.unpack_from(f"{self._order}HHiIII", header, 4)
        if major != 2:
            raise errors.PathfinderError(
                f"{name} is a pcap file of version {major}, and only 2 is known; write it anew with `tcpdump -r FILE "
                "-w NEW`"
            )
        self.link_type = link & 0xFFFF  # above are the bits of a frame check sequence
        if self.link_type != ETHERNET:
            kind = _LINK_TYPES.get(self.link_type, "unknown here")
            raise errors.PathfinderError(
                f"{name} has the link type {self.link_type} ({kind}), and only Ethernet (1) can be read; capture on "
                "one Ethernet device"
            )

    def __next__(self) -> Packet:
        record = b"" if self.cut else self._file.read(_RECORD)
        if not record:
            raise StopIteration
        if len(record) < _RECORD:
            return self._end("is cut short within the header of packet")
        seconds, fraction, kept, length = struct.unpack(f"{self._order}IIII", record)
        if kept > LARGEST:
            return self._end(f"is damaged: {kept} bytes are more than a packet can have, at packet")
        data = self._file.read(kept)
        if len(data) < kept:
            return self._end("is cut short within packet")
        self._read += 1
        return Packet(time=seconds + fraction * self._fraction, length=max(length, kept), data=data)

    def _end(self, how: str) -> Packet:
        kept = f"the {self._read} before it are whole" if self._read else "there is none before it"
        self.cut = f"{self._name} {how} {self._read + 1}; {kept}."
        raise StopIteration


def _format(header: bytes, name: str) -> tuple[str, float]:
    """Return the byte order and the seconds of one unit of a time's fraction."""
    for order in ("<", ">"):
        if len(header) >= 4 and (fraction := _FRACTIONS.get(struct.unpack_from(f"{order}I", header)[0])):
            return order, fraction
    for start, what in _FOREIGN.items():
        if header.startswith(start):
            raise errors.PathfinderError(f"{name} {what}")
    if not header:
        raise errors.PathfinderError(f"{name} is empty, so it holds no packet; capture again")
    raise errors.PathfinderError(
        f"{name} is no capture file (it begins with {header[:4].hex(' ')}); give one that tcpdump -w has written"
    )


@contextlib.contextmanager
def reading(where: str | os.PathLike[str]) -> Generator[Reader]:
    """Open a file and read it packet by packet, however large it is.

    Raises:
        PathfinderError: It cannot be opened, or it is no classic pcap file of Ethernet.
    """
    with contextlib.ExitStack() as opened:
        try:
            file = opened.enter_context(files.open_kept(where))
            reader = Reader(file, str(where))
        except OSError as error:
            why = error.strerror or error
            raise errors.PathfinderError(f"{where} cannot be read: {why}; check the path") from error
        yield reader


def shortened(record: bytes, data: bytes, order: str) -> bytes:
    """Return a packet's record with no more data than this.

    Args:
        record: The 16 bytes before its data.
        data: What is kept of the data.
        order: Of the file's bytes, as `struct` calls it.
    """
    return record[:8] + struct.pack(f"{order}I", len(data)) + record[12:_RECORD] + data


def shorten(where: pathlib.Path, end: Callable[[bytes], int]) -> None:
    """Cut each packet of a file where `end` says, in place; one of another kind than Ethernet stays as it is.

    A packet becomes no longer, so what is written never overtakes what is still to be read. Of a last packet that the
    file does not hold whole, no data is kept, and its record says that there was one.

    Raises:
        PathfinderError: The file cannot be written.
    """
    try:
        with where.open("r+b") as file:
            _shorten(file, end)
    except OSError as error:
        raise errors.PathfinderError(f"the data in {where} could not be cut off ({error}); remove the file") from error


def _shorten(file: IO[bytes], end: Callable[[bytes], int]) -> None:
    header = file.read(_HEADER)
    order = next((one for one in "<>" if _is_ethernet(header, one)), "")
    if not order:
        return
    kept = _HEADER
    while record := file.read(_RECORD):
        length = struct.unpack_from(f"{order}I", record, 8)[0] if len(record) == _RECORD else 0
        data = file.read(length) if 0 < length <= LARGEST else b""
        following = file.tell()
        is_whole = len(record) == _RECORD and len(data) == length
        file.seek(kept)
        file.write(shortened(record, data[: end(data)], order) if is_whole else record)
        kept = file.tell()
        if not is_whole:
            break
        file.seek(following)
    file.truncate(kept)


def _is_ethernet(header: bytes, order: str) -> bool:
    if len(header) < _HEADER:
        return False
    return struct.unpack_from(f"{order}I", header)[0] in _FRACTIONS and (
        struct.unpack_from(f"{order}I", header, 20)[0] & 0xFFFF == ETHERNET
    )


def read(where: str | os.PathLike[str], most: int = 100_000) -> Savefile:
    """Read a file whole.

    Args:
        where: The file.
        most: Packets after which the rest is left out, and `cut` says so.

    Raises:
        PathfinderError: It cannot be opened, or it is no classic pcap file of Ethernet.
    """
    packets: list[Packet] = []
    with reading(where) as reader:
        for packet in reader:
            if len(packets) == most:
                reader.cut = f"{where} has more than {most} packets, and only the first {most} were read."
                break
            packets.append(packet)
        return Savefile(
            link_type=reader.link_type, snap_length=reader.snap_length, packets=tuple(packets), cut=reader.cut
        )
