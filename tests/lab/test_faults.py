"""Each fault breaks the path where it says, on a warm and on a cold path, and the path was fine before."""

import pytest

from ovs_pathfinder import path
from tests import conftest
from tests.lab import faults, hosts, observation, topology

pytestmark = pytest.mark.lab

COUNT = 6
LAST_POINT: dict[path.Hop, int] = {
    "source-br-int": 1,
    "source-br-tun": 1,
    "underlay": 2,
    "destination-br-tun": 3,
    "destination-br-int": 3,
    "guest": 4,
}
"""How many of the points, from the source on, see requests that are lost at a hop."""


def fix_neighbours(lab: hosts.Lab) -> None:
    """Let both ends know each other's MAC for good, so that packets are sent whatever is lost."""
    ends = (
        (lab.source, topology.SOURCE.device, topology.GUEST),
        (lab.guest, "eth0", topology.SOURCE),
    )
    for node, device, other in ends:
        for address in (other.address6, other.address4):
            argv = ["neigh", "replace", address, "lladdr", other.mac, "dev", device, "nud", "permanent"]
            node.run("ip", *argv, check=False)  # a fault may have taken the device down


def points_that_see(counts: dict[path.Point, int]) -> list[path.Point]:
    return [point for point in path.POINTS if counts[point]]


def expected(truth: faults.Truth) -> tuple[list[path.Point], list[path.Point]]:
    """Return the points that see requests, and those that see replies."""
    assert truth.hop
    if truth.direction == "forward":
        return list(path.POINTS[: LAST_POINT[truth.hop]]), []
    first = {"source-br-int": 1, "destination-br-tun": 3, "destination-br-int": 3}[truth.hop]
    return list(path.POINTS), list(path.POINTS[first:])


BROKEN = [name for name in faults.names() if faults.load(name).TRUTH.verdict == "broken"]


@pytest.mark.parametrize("name", BROKEN)
def test_broken_path_stops_where_the_truth_says(lab: hosts.Lab, name: str):
    fault = faults.load(name)
    assert lab.ping(2) == 2

    fault.inject(lab)
    fix_neighbours(lab)
    with observation.watch(lab) as seen:
        replies = lab.ping(COUNT)

    requests_at, replies_at = expected(fault.TRUTH)
    if name == "guest-down":
        requests_at.remove("destination-port")  # the kernel sends nothing to a tap without a carrier
    assert replies == 0
    assert points_that_see(seen.requests) == requests_at, seen
    assert points_that_see(seen.replies) == replies_at, seen


@pytest.mark.parametrize("name", BROKEN)
def test_broken_path_is_broken_when_cold_and_in_either_family(start_lab: conftest.StartLab, name: str):
    lab = start_lab(ip=4, cloud=False)

    faults.load(name).inject(lab)

    for ip in (6, 4):
        lab.forget_neighbours()
        assert lab.ping(2, ip=ip) == 0


def test_nothing_is_broken_by_the_fault_none(lab: hosts.Lab):
    faults.load("none").inject(lab)

    with observation.watch(lab) as seen:
        assert lab.ping(COUNT) == COUNT

    assert seen.requests == seen.replies == dict.fromkeys(path.POINTS, COUNT)


@pytest.mark.parametrize("tunnel", ["gre", "vxlan"])
def test_underlay_that_loses_some_loses_about_half(start_lab: conftest.StartLab, tunnel: str):
    lab = start_lab(tunnel=tunnel)

    faults.load("underlay-loses-some").inject(lab)
    with observation.watch(lab) as seen:
        replies = lab.ping(20)

    assert 7 <= replies <= 13
    assert seen.requests["source-underlay"] == 20
    assert seen.requests["destination-underlay"] == replies


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


def test_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="no fault 'gremlins'"):
        faults.load("gremlins")
