"""A busy client beside the probe: it connects to a service again and again, `python _chatter.py ADDRESS PORT`."""

import contextlib
import socket
import sys
import time

_PAUSE = 0.1


def main() -> None:
    """Connect, say something, read the answer; until killed."""
    address, port = sys.argv[1:]
    while True:
        with contextlib.suppress(OSError), socket.create_connection((address, int(port)), timeout=1) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            connection.recv(4096)
        time.sleep(_PAUSE)


if __name__ == "__main__":
    main()
