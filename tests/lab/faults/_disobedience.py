"""The program behind `switch-disobeys`: it turns a port's datapath flows into conntrack into drops, for ever.

Run as `python _disobedience.py prime ADDRESS…` in the namespace of the path's source, then as `python
_disobedience.py disobey DEVICE RUNDIR` in that of the switch. The first sends the kinds of packets that a probe may
send, so that their flows and those of their answers exist. The second rewrites what comes in by the device, prints
`ready` once all has been quiet for a while, and goes on for flows that appear later, as after a change of the tables.

Flows that resume after conntrack drop too. Every revalidation (another port, a change of a table, a tcpdump
that starts) deletes the flow of ICMPv6 echoes, since its translation looks at the target of neighbour
discovery, which a datapath flow of echoes cannot say; so the next echo goes up and takes the ordinary way, as
far as those.
"""

import contextlib
import json
import pathlib
import re
import socket
import sys
import time
from typing import cast

_DATAPATH = "netdev@ovs-netdev"
_PERIOD = 0.02
_QUIET = 0.5
_TUPLE = re.compile(r"ct_tuple[46]\([^)]*\),")
"""The original tuple, all wildcards: the dump writes its ports in a way that the parser does not read."""
_SOURCE_PORTS = (600, *(1 << bit for bit in range(10, 16)))
"""One for each prefix that the classifier tells from the ports of DHCP, which table 71 matches."""


def _call(rundir: pathlib.Path, method: str, *arguments: str) -> str:
    """Ask ovs-vswitchd over its control socket, as ovs-appctl does but without a process of its own."""
    pid = (rundir / "ovs-vswitchd.pid").read_text().strip()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(rundir / f"ovs-vswitchd.{pid}.ctl"))
        connection.sendall(json.dumps({"id": 0, "method": method, "params": arguments}).encode())
        text = ""
        while True:
            text += connection.recv(1 << 16).decode()
            with contextlib.suppress(json.JSONDecodeError):
                answer = json.loads(text)
                if answer.get("error"):  # such as a flow that has just gone
                    print(answer["error"], file=sys.stderr, flush=True)
                return cast("str", answer.get("result", ""))


def _rewrite(rundir: pathlib.Path, device: str) -> int:
    """Let the flows of `device` into conntrack, and those after it, drop instead; return how many there were."""
    found = 0
    for line in _call(rundir, "dpctl/dump-flows", "-m", _DATAPATH).splitlines():
        key, _, rest = line.partition(", packets:")
        if f"in_port({device})" not in key or "actions:drop" in rest:
            continue
        if "recirc_id(0)" not in key or "actions:ct(zone" in rest:
            _call(rundir, "dpctl/mod-flow", _DATAPATH, _TUPLE.sub("", key), "drop")
            print(f"{time.time():.3f} {line}", file=sys.stderr, flush=True)
            found += 1
    return found


def _echo(address: str) -> None:
    """Send one echo request; the kernel fills in the checksum of ICMPv6, that of ICMPv4 is known."""
    six = ":" in address
    family, protocol = (socket.AF_INET6, 58) if six else (socket.AF_INET, 1)
    packet = bytes([128, 0, 0, 0, 0, 0, 0, 0]) if six else bytes([8, 0, 0xF7, 0xFF, 0, 0, 0, 0])
    with socket.socket(family, socket.SOCK_RAW, protocol) as raw, contextlib.suppress(OSError):
        raw.sendto(packet, (address, 0))


def _prime(address: str) -> None:
    """Send what makes a datapath flow for each kind of packet that a probe may send."""
    _echo(address)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in _SOURCE_PORTS:
        with socket.socket(family, socket.SOCK_DGRAM) as datagram:
            datagram.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):  # the port is taken, and another of its prefix will do
                datagram.bind(("", port))
            datagram.sendto(b"prime", (address, 5555))
    with contextlib.suppress(OSError), socket.create_connection((address, 9443), timeout=1):
        pass


def _disobey(device: str, rundir: pathlib.Path) -> None:
    busy: float | None = time.monotonic()
    while True:
        with contextlib.suppress(OSError):  # the switch restarts
            if _rewrite(rundir, device) and busy:
                busy = time.monotonic()
            if busy and time.monotonic() - busy > _QUIET:
                print("ready", flush=True)
                busy = None
        time.sleep(_PERIOD)


def main() -> None:
    """Prime, or rewrite until killed."""
    what, *arguments = sys.argv[1:]
    if what == "disobey":
        device, rundir = arguments
        _disobey(device, pathlib.Path(rundir))
    for address in arguments:
        _prime(address)


if __name__ == "__main__":
    main()
