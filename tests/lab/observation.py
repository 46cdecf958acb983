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


def _watched(lab: hosts.Lab) -> list[tuple[path.Point, node.Node, str, str]]:
    """Return where to watch each point: the namespace, the device, and the filter; each device of a bond."""
    between = " and ".join(f"host {each.tunnel_address}" for each in topology.SITES)
    if not lab.shape.is_tunnelled:
        between = "icmp or icmp6" if lab.shape.segment is None else f"vlan {lab.shape.segment}"
    guest = f"vlan {topology.TRUNK_VLAN} and (icmp or icmp6)" if lab.shape.trunk else "icmp or icmp6"
    tap = lab.shape.interfaces[1].tap
    is_here = lab.destination.run("ip", "link", "show", "dev", tap, check=False).returncode == 0
    where, device = (lab.destination, tap) if is_here else (lab.guest, "eth0")  # `namespaced` moves it there
    points: list[tuple[path.Point, node.Node, str, str]] = [
        ("source-port", lab.source, topology.SOURCE.device, "icmp or icmp6"),
        ("destination-port", where, device, guest),
    ]
    for uplink in () if lab.shape.same_host else lab.shape.uplinks:
        points.append(("source-underlay", lab.source, uplink, between))
        points.append(("destination-underlay", lab.destination, uplink, between))
    return points


@contextlib.contextmanager
def watch(lab: hosts.Lab) -> Generator[Seen]:
    """Watch all points while the body runs; the result is complete when it ends."""
    seen = Seen()
    running: list[tuple[path.Point, subprocess.Popen[str], pathlib.Path]] = []
    for point, host, device, expression in _watched(lab):
        argv = ["tcpdump", "-n", "-l", "--immediate-mode", "-Z", "root", "-i", device, expression]
        name = f"{point}-{device}"
        log = host.directory / f"{name}.log"  # of both outputs: "listening on" goes to stderr
        log.unlink(missing_ok=True)
        running.append((point, host.start(name, *argv), log))
    for point, _, log in running:
        processes.wait_until(lambda log=log: "listening on" in log.read_text(), f"tcpdump at {point}")
    yield seen
    for _, child, _ in running:
        child.send_signal(signal.SIGINT)
    for point, child, log in running:
        child.wait(timeout=5)
        text = log.read_text()
        seen.requests[point] = seen.requests.get(point, 0) + text.count(f"echo request, id {IDENTIFIER},")
        seen.replies[point] = seen.replies.get(point, 0) + text.count(f"echo reply, id {IDENTIFIER},")
