"""A guest's VLAN device, where not every kernel has one (CONFIG_VLAN_8021Q): a tap, and its frames tagged on a device.

Run as `python tagger.py DEVICE TAP VLAN`, where the tap exists; it ends with the lab.
"""

import contextlib
import fcntl
import os
import selectors
import socket
import struct
import sys

_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_AUXDATA, _PACKET_MR_PROMISC = 263, 1, 8, 1
_VLAN_VALID = 0x10
_AUXDATA = struct.Struct("=IIIHHHH")
"""Of packet(7): status, length, captured, offsets of two headers, the tag, its protocol."""
_ALL, _TPID, _LARGEST = 0x0003, b"\x81\x00", 65535


def _open_device(device: str) -> socket.socket:
    """Open a device for all frames, whoever they are for: the guest's VLAN device has a MAC address of its own."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    opened.bind((device, _ALL))
    opened.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    promiscuous = struct.pack("=iHH8x", socket.if_nametoindex(device), _PACKET_MR_PROMISC, 0)
    opened.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, promiscuous)
    return opened


def _open_tap(name: str) -> int:
    opened = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(opened, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
    return opened


def _receive(device: socket.socket, vlan: int) -> bytes:
    """Return a frame of the VLAN without its tag; nothing for others, and for what was sent by this program."""
    frame, about, _, sender = device.recvmsg(_LARGEST, socket.CMSG_SPACE(_AUXDATA.size))
    if sender[2] == socket.PACKET_OUTGOING:  # pyright: ignore[reportUnknownMemberType] - of AF_PACKET, it is a tuple
        return b""
    for level, kind, data in about:
        status, *_, tag, _ = _AUXDATA.unpack(data[: _AUXDATA.size])
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA) and status & _VLAN_VALID:
            return frame if tag & 0x0FFF == vlan else b""
    is_tagged = frame[12:14] == _TPID and int.from_bytes(frame[14:16], "big") & 0x0FFF == vlan
    return frame[:12] + frame[16:] if is_tagged else b""


def main() -> None:
    """Carry frames until killed."""
    device, tap, vlan = _open_device(sys.argv[1]), _open_tap(sys.argv[2]), int(sys.argv[3])
    tag = _TPID + vlan.to_bytes(2, "big")
    ready = selectors.DefaultSelector()
    ready.register(device, selectors.EVENT_READ)
    ready.register(tap, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            with contextlib.suppress(OSError):  # one of the two is down
                if key.fileobj is device:
                    frame = _receive(device, vlan)
                    if frame:
                        os.write(tap, frame)
                else:
                    frame = os.read(tap, _LARGEST)
                    device.send(frame[:12] + tag + frame[12:])


if __name__ == "__main__":
    main()
