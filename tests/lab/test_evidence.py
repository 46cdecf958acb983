"""What a probe finds out besides its own packets, on real hosts: large packets, neighbours, the log, mirrors."""

import time
from typing import Literal

import pytest

from ovs_pathfinder.evidence import record
from ovs_pathfinder.vswitch import datapath
from tests import conftest
from tests.lab import faults, hosts, probing, topology

pytestmark = pytest.mark.lab


def gathered(lab: hosts.Lab) -> tuple[record.Evidence, record.Evidence]:
    """Probe, and return what the source's and the destination's unit found out."""
    found = {role: one for one in probing.gather(lab, probing.plan_of(lab)) for role in one.roles}
    return found["source"], found["destination"]


@pytest.mark.parametrize(("tunnel", "ip"), [("gre", 6), ("vxlan", 4)])
def test_healthy_path_carries_packets_of_the_networks_mtu(
    start_lab: conftest.StartLab, tunnel: topology.NetworkType, ip: Literal[4, 6]
) -> None:
    source, destination = gathered(start_lab(cloud=False, tunnel=tunnel, ip=ip))

    assert source.large is not None
    assert (source.large.transmitted, source.large.answered) == (3, 3)
    seen = [*source.observations, *destination.observations]
    assert [(len(one.large_forward), len(one.large_reply)) for one in seen] == [(3, 3)] * 4
    assert [(len(one.forward), len(one.reply)) for one in seen] == [(5, 5)] * 4
    assert source.link_local == destination.link_local == ""
    assert (source.patches, source.mirrors, source.tunnel_error) == ((), (), "")
    assert source.ovs_version.startswith("3.")


@pytest.mark.parametrize("ip", [4, 6])
@pytest.mark.parametrize(
    ("fault", "answers", "advertised"),
    [("guest-address-missing", True, False), ("guest-filters-icmp", True, True), ("guest-silent", False, False)],
)
def test_guest_that_answers_nothing_is_asked_for_its_addresses(
    start_lab: conftest.StartLab, ip: Literal[4, 6], fault: str, answers: bool, advertised: bool
) -> None:
    lab = start_lab(cloud=False, ip=ip)
    faults.load(fault).inject(lab)

    source, destination = gathered(lab)

    assert (source.link_local in ("answered", "REACHABLE")) == answers
    seen = destination.observation("destination-port")
    assert seen is not None
    assert seen.neighbours.solicited >= 1, "it was asked for anew"
    assert bool(seen.neighbours.advertised) == advertised


def test_guest_that_fell_silent_is_not_taken_for_one_that_lost_its_address(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    lab.warm_up()
    link_local = topology.GUEST.link_local
    lab.source.run("ping", "-6", "-c", "2", "-I", topology.SOURCE.device, link_local)
    state = lab.source.run("ip", "neigh", "show", "to", link_local, "dev", topology.SOURCE.device).stdout
    assert "REACHABLE" in state, "the kernel will go on taking it for that"
    time.sleep(2)
    faults.load("guest-silent").inject(lab)

    source, _ = gathered(lab)

    assert source.link_local not in ("answered", "REACHABLE")


def test_only_the_owners_address_is_asked_for(lab: hosts.Lab) -> None:
    source, destination = gathered(lab)

    for one in (source, destination):
        assert all(seen.neighbours.solicited <= 1 for seen in one.observations), "the kernel's own question at most"


def test_key_of_a_flow_that_drops_is_traced_as_the_datapath_has_it(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    faults.load("switch-disobeys").inject(lab)

    source, destination = gathered(lab)

    live = source.trace("forward", "live")
    assert live is not None
    assert (live.outcome, live.reason) == ("forwarded", "")
    dropping = [one.raw for one in source.megaflows if one.direction == "forward" and one.drops]
    assert live.flow == datapath.parse(dropping[0]).flows[0].readable, "before or after conntrack, as it happens"
    assert destination.trace("forward", "live") is None
