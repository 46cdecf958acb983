"""Who saw which packets of a ping: tcpdump at the points of the path, and a table of what it decoded."""

import contextlib
import dataclasses
import pathlib
import signal
import subprocess
from collections.abc import Generator

from ovs_pathfinder import path

from . import hosts, node, processes, topology

IDENTIFIER = 4242


@dataclasses.dataclass
class Seen:
    """How many echo requests and replies of the ping each point saw."""

    requests: dict[path.Point, int] = dataclasses.field(default_factory=dict[path.Point, int])
    replies: dict[path.Point, int] = dataclasses.field(default_factory=dict[path.Point, int])


def _watched(lab: hosts.Lab) -> dict[path.Point, tuple[node.Host, str, str]]:
    """Return where to watch each point: the host, the device, and the filter."""
    between = " and ".join(f"host {each.tunnel_address}" for each in topology.SITES)
    if not lab.shape.is_tunnelled:
        between = "icmp or icmp6" if lab.shape.segment is None else f"vlan {lab.shape.segment}"
    guest = f"vlan {topology.TRUNK_VLAN} and (icmp or icmp6)" if lab.shape.trunk else "icmp or icmp6"
    points: dict[path.Point, tuple[node.Host, str, str]] = {
        "source-port": (lab.source, topology.SOURCE.device, "icmp or icmp6"),
        "destination-port": (lab.destination, lab.shape.interfaces[1].tap, guest),
    }
    if not lab.shape.same_host:
        points["source-underlay"] = (lab.source, "eth1", between)
        points["destination-underlay"] = (lab.destination, "eth1", between)
    return points


@contextlib.contextmanager
def watch(lab: hosts.Lab) -> Generator[Seen]:
    """Watch all points while the body runs; the result is complete when it ends."""
    seen = Seen()
    running: dict[path.Point, tuple[subprocess.Popen[str], pathlib.Path]] = {}
    for point, (host, device, expression) in _watched(lab).items():
        argv = ["tcpdump", "-n", "-l", "--immediate-mode", "-Z", "root", "-i", device, expression]
        log = host.directory / f"{point}.log"  # of both outputs: "listening on" goes to stderr
        log.unlink(missing_ok=True)
        running[point] = (host.start(point, *argv), log)
    for point, (_, log) in running.items():
        processes.wait_until(lambda log=log: "listening on" in log.read_text(), f"tcpdump at {point}")
    yield seen
    for child, _ in running.values():
        child.send_signal(signal.SIGINT)
    for point, (child, log) in running.items():
        child.wait(timeout=5)
        text = log.read_text()
        seen.requests[point] = text.count(f"echo request, id {IDENTIFIER},")
        seen.replies[point] = text.count(f"echo reply, id {IDENTIFIER},")
