"""Each fault breaks the path where its truth says, as seen by tcpdump, and the diagnosis finds it there.

Each is shown once, in a setting of its own; `python -m tests.lab.matrix` shows all faults in all settings.
"""

import subprocess

import pytest

from ovs_pathfinder import path
from tests import conftest
from tests.lab import faults, hosts, matrix, node, observation, topology

pytestmark = pytest.mark.lab

COUNT = 6
REQUESTS_SEEN: dict[path.Hop, int] = {
    "source-port": 0,
    "source-br-int": 1,
    "source-br-tun": 1,
    "source-br-phys": 1,
    "source-underlay": 1,
    "underlay": 2,
    "destination-br-phys": 3,
    "destination-br-tun": 3,
    "destination-br-int": 3,
    "destination-port": 3,
    "guest": 4,
}
"""How many of the points, from the source on, see requests that are lost at a hop."""
REPLIES_UNSEEN: dict[path.Hop, int] = {
    "source-port": 0,
    "source-br-int": 1,
    "source-br-tun": 1,
    "source-br-phys": 1,
    "underlay": 2,
    "destination-br-phys": 3,
    "destination-br-tun": 3,
    "destination-br-int": 3,
}
"""How many of the points, from the source on, see nothing of replies that are lost at a hop."""
SETTINGS = matrix.one_each()
SOME_LOST = ("loss-intermittent", "rate-limited", "underlay-loss")
"""Codes of degraded paths that lose some of any packets."""


def fix_neighbours(lab: hosts.Lab) -> None:
    """Let both ends know each other's MAC for good, so that packets are sent whatever is lost."""
    ends = (
        (lab.source, topology.SOURCE.device, topology.GUEST),
        (lab.guest, "eth0", topology.SOURCE),
    )
    for where, device, other in ends:
        for address in (other.address6, other.address4):
            argv = ["neigh", "replace", address, "lladdr", other.mac, "dev", device, "nud", "permanent"]
            where.run("ip", *argv, check=False)  # a fault may have taken the device down


def watch_ping(lab: hosts.Lab) -> tuple[int, observation.Seen]:
    with observation.watch(lab) as seen:
        replies = lab.ping(COUNT)
    return replies, seen


def points_that_see(counts: dict[path.Point, int]) -> list[path.Point]:
    return [point for point in path.POINTS if counts.get(point)]


def expected(name: str, seen: observation.Seen) -> tuple[list[path.Point], list[path.Point]]:
    """Return which of the points that were watched see requests, and which see replies, of a path that is broken."""
    truth = faults.load(name).TRUTH
    assert truth.hop
    requests_at, replies_at = path.POINTS, path.POINTS[:0]
    if truth.direction == "forward":
        requests_at = path.POINTS[: REQUESTS_SEEN[truth.reaches or truth.hop]]
    else:
        replies_at = path.POINTS[REPLIES_UNSEEN[truth.reaches or truth.hop] :]
    if name == "guest-down":
        requests_at = requests_at[:-1]  # the kernel sends nothing to a tap without a carrier
    return [one for one in requests_at if one in seen.requests], [one for one in replies_at if one in seen.requests]


def check_packets(lab: hosts.Lab, name: str) -> None:
    """See by the tools of the lab's own whether packets are lost where the truth says, and only there."""
    truth = faults.load(name).TRUTH
    if "icmp" in truth.unless:
        assert lab.ping(COUNT) == COUNT
        return
    if truth.code != "neighbour-entry-wrong":
        fix_neighbours(lab)
    replies, seen = watch_ping(lab)
    if truth.verdict == "broken":
        assert replies == 0
    elif truth.code in SOME_LOST:
        assert 0 < (replies or lab.ping(COUNT)) < COUNT  # the probe may have used a rate limit up
    else:
        assert replies == COUNT
    if truth.verdict == "broken" and truth.code != "neighbour-entry-wrong":
        assert (points_that_see(seen.requests), points_that_see(seen.replies)) == expected(name, seen), seen


@pytest.mark.parametrize("name", SETTINGS, ids=[f"{name}-{setting}" for name, setting in SETTINGS.items()])
def test_fault_loses_packets_where_it_says_and_is_found_there(start_lab: conftest.StartLab, name: str):
    case = matrix.Case(name, SETTINGS[name])
    lab = start_lab(cloud=False, **case.setting.shape)

    _, found = matrix.probe(lab, case)
    check_packets(lab, name)

    result = matrix.judge(case, found)
    assert result.is_right, f"{result}\n{found.model_dump_json(indent=1)}"


def test_nothing_is_lost_by_the_fault_none(lab: hosts.Lab):
    faults.load("none").inject(lab)

    replies, seen = watch_ping(lab)

    assert replies == COUNT
    assert seen.requests == seen.replies == dict.fromkeys(path.POINTS, COUNT)


def test_underlay_that_loses_some_loses_about_half(start_lab: conftest.StartLab):
    lab = start_lab(tunnel="vxlan")

    faults.load("underlay-loses-some").inject(lab)
    with observation.watch(lab) as seen:
        replies = lab.ping(20)

    assert 7 <= replies <= 13
    assert seen.requests["source-underlay"] == 20
    assert seen.requests["destination-underlay"] == replies


def large_ping(lab: hosts.Lab) -> int:
    """Send packets of the network's MTU; return the exit status of ping, 1 where none was answered."""
    size = lab.shape.mtu - 48
    argv = ["ping", "-n", "-q", "-c", "2", "-i", "0.1", "-W", "0.5", "-M", "do", "-s", str(size), lab.address]
    return lab.source.run(*argv, check=False).returncode


def test_underlay_with_a_small_mtu_loses_packets_of_the_network_s_mtu(lab: hosts.Lab):
    assert large_ping(lab) == 0

    faults.load("mtu-too-small").inject(lab)

    assert large_ping(lab) == 1


def heartbeats(where: node.Host, device: str, count: int) -> "subprocess.Popen[str]":
    argv = ["tcpdump", "-n", "-Z", "root", "-c", str(count), "-i", device, f"udp port {topology.HEARTBEAT_PORT}"]
    return where.start(f"heartbeats-{device}", *argv)


@pytest.mark.parametrize("name", ["none", "heartbeat-blocked", "heartbeat-blocked-at-destination"])
def test_heartbeats_that_are_blocked_leave_the_amphora_and_do_not_arrive(start_lab: conftest.StartLab, name: str):
    lab = start_lab(cloud=False)

    faults.load(name).inject(lab)
    arrived = heartbeats(lab.source, topology.SOURCE.device, 1)
    sent = heartbeats(lab.destination, topology.GUEST.device, 2)

    assert sent.wait(timeout=20) == 0
    if name == "none":
        assert arrived.wait(timeout=5) == 0
    else:
        assert arrived.poll() is None  # though the first one was sent seconds ago


def trace(lab: hosts.Lab) -> str:
    """Return what ofproto/trace says of an echo request from the source."""
    macs = f"dl_src={topology.SOURCE.mac},dl_dst={topology.GUEST.mac}"
    addresses = f"ipv6_src={topology.SOURCE.address6},ipv6_dst={topology.GUEST.address6}"
    flow = f"in_port={topology.SOURCE.device},icmp6,icmpv6_type=128,{macs},{addresses}"
    return lab.source.appctl("ofproto/trace", "br-int", flow)


def test_disobedient_switch_still_forwards_in_theory(lab: hosts.Lab):
    faults.load("switch-disobeys").inject(lab)

    assert lab.ping(2) == 0
    assert "tnl_push" in trace(lab).rsplit("Datapath actions:", 1)[1]


def test_disobedient_switch_obeys_normal_flows_and_disobeys_again_without_them(lab: hosts.Lab):
    faults.load("switch-disobeys").inject(lab)
    assert lab.ping(5) == 0

    for port in (lab.source.ofport("patch-tun"), lab.source.ofport(topology.SOURCE.device)):
        lab.source.ofctl("add-flow", "br-int", f"table=0,priority=96,icmp6,in_port={port},actions=NORMAL")
    lab.ping(1)
    assert lab.ping(5) == 5

    lab.source.ofctl("del-flows", "br-int", "icmp6,table=0")
    lab.ping(2)
    assert lab.ping(5) == 0


def test_disobedient_switch_obeys_without_port_security(lab: hosts.Lab):
    faults.load("switch-disobeys").inject(lab)

    lab.port("source").update(port_security_enabled=False, security_groups=[])
    lab.apply("br-int")

    lab.ping(1)
    assert lab.ping(5) == 5


def test_disobedience_survives_being_watched(lab: hosts.Lab):
    faults.load("switch-disobeys").inject(lab)

    replies: list[int] = []
    for _ in range(6):
        with observation.watch(lab):
            replies.append(lab.ping(10, interval=0.02))

    assert replies == [0] * 6


def test_disobedience_lasts(lab: hosts.Lab):
    faults.load("switch-disobeys").inject(lab)

    assert [lab.ping(30, ip=ip, interval=0.1) for ip in (6, 4)] == [0, 0]


def test_every_fault_applies_in_a_setting():
    assert all(matrix.settings_of(name) for name in faults.names())


def test_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="no fault 'gremlins'"):
        faults.load("gremlins")
