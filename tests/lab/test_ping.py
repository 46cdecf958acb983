"""Pings leave by the right device, and say what is wrong where they are not answered."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import conftest
from tests.lab import asking, faults, hosts, probing, topology

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def quiet_lab(lab_support: None) -> Iterator[hosts.Lab]:
    """Start a healthy lab without heartbeats, which tests share that leave it as it was."""
    with hosts.Lab.start(cloud=False, heartbeats=False) as lab:
        lab.warm_up()
        yield lab


@pytest.mark.parametrize(("tunnel", "ip", "overhead"), [("gre", 6, 42), ("vxlan", 4, 50)])
def test_an_answer_tells_the_device_the_times_and_the_largest_packet(
    start_lab: conftest.StartLab, tunnel: topology.NetworkType, ip: topology.IpVersion, overhead: int
) -> None:
    lab = start_lab(cloud=False, tunnel=tunnel, ip=ip)
    header = 48 if ip == 6 else 28

    whole = asking.ask(lab, "octavia", "ping", destination=lab.address, count=3, interval=0.05, mtu_search=True)
    lab.fabric.configure("link set u-compute mtu 1400")
    plan = probing.plan_of(lab)
    narrow = asking.ask(lab, "octavia", "ping", plan, count=1, mtu_search=True)
    faults.load("underlay-loss").inject(lab)
    lost = asking.ask(lab, "octavia", "ping", plan, count=1)

    answer = whole.answer
    assert (answer["device"], answer["source"], answer["destination"]) == (
        topology.SOURCE.device,
        topology.SOURCE.address(ip),
        lab.address,
    )
    assert f"Neutron port {topology.SOURCE.port} on the network of" in answer["why"]
    assert (answer["sent"], answer["received"], answer["lost"]) == (3, 3, [])
    assert 0 < answer["minimum"] <= answer["average"] <= answer["maximum"]
    assert answer["neighbour_after"]["mac"] == topology.GUEST.mac
    assert answer["path_mtu"]["mtu"] == lab.shape.mtu
    assert "which is the device's MTU" in whole.summary
    assert narrow.answer["why"] == f"it is the source's port in run {plan.run}"
    assert narrow.answer["path_mtu"] | {"text": "", "pings": 0} == {
        "largest": 1400 - overhead - header,
        "mtu": 1400 - overhead,
        "expected": lab.shape.mtu,
        "expected_of": "network",
        "reported": None,
        "pings": 0,
        "text": "",
    }
    assert f"less than the network's MTU of {lab.shape.mtu}, and larger ones are lost without a word" in narrow.summary
    assert (lost.answer["sent"], lost.answer["received"], lost.answer["lost"]) == (1, 0, [1])


def test_a_drop_is_told_from_a_neighbour_that_does_not_answer(lab: hosts.Lab) -> None:
    faults.load("ingress-rule-missing").inject(lab)
    dropped = asking.ask(lab, "octavia", "ping", destination=lab.address, count=2, mtu_search=True)
    faults.load("guest-down").inject(lab)
    lab.forget_neighbours()
    unknown = asking.ask(lab, "octavia", "ping", destination=lab.address, count=2)

    assert (dropped.answer["received"], dropped.answer["lost"]) == (0, [1, 2])
    assert "is known, so the requests left o-hm0" in dropped.summary
    assert dropped.answer["path_mtu"] is None
    assert dropped.answer["notes"] == ["The largest packet was not looked for: no packet is answered at all."]
    assert unknown.answer["received"] == 0
    assert unknown.answer["neighbour_after"]["state"] in ("INCOMPLETE", "FAILED")
    assert f"{lab.address} did not tell its MAC address" in unknown.summary


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"device": "eth99"}, "there is no device eth99 on this host"),
        ({"port": topology.GUEST.port}, f"the port {topology.GUEST.port} has no device on this host"),
        ({"device": "eth1"}, "eth1 has no IPv6 address, so this host can send nothing from it"),
        ({"destination": "2001:db8::1"}, "this host has no route to 2001:db8::1, nor a Neutron port on its network"),
        ({"port": "health-port"}, "there are no credentials"),
    ],
)
def test_a_place_that_nothing_can_be_sent_from_is_refused(
    quiet_lab: hosts.Lab, query: dict[str, Any], said: str
) -> None:
    given: dict[str, Any] = {"destination": quiet_lab.address, **query}

    assert said in asking.ask(quiet_lab, "octavia", "ping", **given).error


def test_the_sources_unit_alone_can_send_from_its_port(quiet_lab: hosts.Lab) -> None:
    plan = probing.plan_of(quiet_lab)

    elsewhere = asking.ask(quiet_lab, "compute", "ping", plan)

    assert elsewhere.error.startswith(f"the source of run {plan.run} is on ovs-pathfinder/0; run this there")
