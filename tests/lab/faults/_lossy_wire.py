"""The program behind `underlay-loses-some`: a wire between two devices that loses every second tunnel packet.

Run as `python _lossy_wire.py LOSSY PERFECT`: what comes in at LOSSY is subject to loss, what comes in at
PERFECT is not. Frames are read and written whole, on packet sockets.
"""

import selectors
import socket
import sys

_EVERYTHING = 3
_IPV4 = b"\x08\x00"
_GRE, _UDP = 47, 17
_VXLAN_PORT = (4789).to_bytes(2, "big")


def _open(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
    opened.bind((device, 0))
    return opened


def _tunnelled(frame: bytes) -> bool:
    if frame[12:14] != _IPV4:
        return False
    protocol, payload = frame[23], 14 + 4 * (frame[14] & 15)
    return protocol == _GRE or (protocol == _UDP and frame[payload + 2 : payload + 4] == _VXLAN_PORT)


def main() -> None:
    """Forward until killed."""
    lossy, perfect = (_open(device) for device in sys.argv[1:3])
    ready = selectors.DefaultSelector()
    ready.register(lossy, selectors.EVENT_READ, perfect)
    ready.register(perfect, selectors.EVENT_READ, lossy)
    print("ready", flush=True)
    seen = 0
    while True:
        for key, _ in ready.select():
            near, far = (lossy, perfect) if key.fileobj is lossy else (perfect, lossy)
            frame, address = near.recvfrom(65535)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            if near is lossy and _tunnelled(frame):
                seen += 1
                if seen % 2:
                    continue
            far.send(frame)


if __name__ == "__main__":
    main()
