"""A wire between two devices that loses every second tunnel packet of each conversation, in one direction.

Run as `python _lossy_wire.py LOSSY PERFECT`: what comes in at LOSSY is subject to loss, what comes in at
PERFECT is not. Frames are read and written whole, on packet sockets. Each conversation (addresses and type of the
inner frame, and its length) is counted for itself, so that what is sent besides does not change which packets are
lost. The first one passes.
"""

import collections
import pathlib
import selectors
import socket
import subprocess
import sys

from .. import hosts

_EVERYTHING = 3
_IPV4 = b"\x08\x00"
_GRE, _UDP = 47, 17
_GRE_HAS_KEY = 0x20
_VXLAN_PORT = (4789).to_bytes(2, "big")
_ETHERNET = 14


def between_hosts(lab: hosts.Lab, *, lossy: str, perfect: str) -> None:
    """Put such a wire, a process, into the place of the underlay's bridge."""
    for key in lab.hosts:
        lab.fabric.configure(f"link set u-{key} nomaster", f"link set u-{key} promisc on up")
    root = pathlib.Path(__file__).parents[3]
    argv = ["env", f"PYTHONPATH={root}:{root / 'lib'}", sys.executable, "-m", __name__, f"u-{lossy}", f"u-{perfect}"]
    hosts.wait_for_line(lab.fabric.start("lossy-wire", *argv, stdout=subprocess.PIPE), "ready")


def _open(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
    opened.bind((device, 0))
    return opened


def _conversation(frame: bytes) -> bytes:
    """Return the Ethernet header within a frame of a tunnel, and the length; nothing for other frames."""
    if frame[12:14] != _IPV4:
        return b""
    protocol, payload = frame[23], _ETHERNET + 4 * (frame[_ETHERNET] & 15)
    if protocol == _GRE:
        inner = payload + (8 if frame[payload] & _GRE_HAS_KEY else 4)
    elif protocol == _UDP and frame[payload + 2 : payload + 4] == _VXLAN_PORT:
        inner = payload + 16
    else:
        return b""
    return frame[inner : inner + _ETHERNET] + len(frame).to_bytes(2, "big")


def main() -> None:
    """Forward until killed."""
    lossy, perfect = (_open(device) for device in sys.argv[1:3])
    ready = selectors.DefaultSelector()
    ready.register(lossy, selectors.EVENT_READ, perfect)
    ready.register(perfect, selectors.EVENT_READ, lossy)
    print("ready", flush=True)
    seen = collections.Counter[bytes]()
    while True:
        for key, _ in ready.select():
            near, far = (lossy, perfect) if key.fileobj is lossy else (perfect, lossy)
            frame, address = near.recvfrom(65535)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            if near is lossy and (conversation := _conversation(frame)):
                seen[conversation] += 1
                if seen[conversation] % 2 == 0:
                    continue
            far.send(frame)


if __name__ == "__main__":
    main()
