"""The program that runs at either end of the path: it listens on TCP, swallows UDP, and may send heartbeats.

Run as `python endpoint.py --tcp PORT --udp PORT [--heartbeat ADDRESS PORT SECONDS]`; prints `ready` when it
listens.
"""

import argparse
import contextlib
import selectors
import socket
import time

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def _open(kind: socket.SocketKind, port: int) -> socket.socket:
    """Bind a socket that serves both address families."""
    opened = socket.socket(socket.AF_INET6, kind)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(("::", port))
    opened.setblocking(False)
    return opened


def _serve(listener: socket.socket) -> None:
    """Answer one connection; whoever probes wants the handshake alone."""
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        connection.settimeout(0.2)
        connection.recv(4096)
        connection.sendall(_ANSWER)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tcp", type=int, required=True)
    parser.add_argument("--udp", type=int, required=True)
    parser.add_argument("--heartbeat", nargs=3, metavar=("ADDRESS", "PORT", "SECONDS"))
    options = parser.parse_args()
    listener, datagrams = _open(socket.SOCK_STREAM, options.tcp), _open(socket.SOCK_DGRAM, options.udp)
    listener.listen()
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    ready.register(datagrams, selectors.EVENT_READ)
    print("ready", flush=True)
    pause = float(options.heartbeat[2]) if options.heartbeat else None
    beat = time.monotonic()
    while True:
        left = None if pause is None else max(0.0, beat - time.monotonic())
        for key, _ in ready.select(left):
            if key.fileobj is listener:
                _serve(listener)
            else:
                datagrams.recv(65535)
        if pause is not None and time.monotonic() >= beat:
            address = options.heartbeat[0]
            mapped = address if ":" in address else f"::ffff:{address}"
            with contextlib.suppress(OSError):  # no route yet, or a fault of the lab
                datagrams.sendto(b"heartbeat", (mapped, int(options.heartbeat[1])))
            beat = time.monotonic() + pause


if __name__ == "__main__":
    main()
