"""The main job on flows that real agents wrote, with a plan from the real APIs: healthy, and with each fault."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cloud import breaking
from tests.cloud import cloud as real
from tests.lab import deployed, processes, topology

pytestmark = [pytest.mark.cloud, pytest.mark.xdist_group("cloud"), pytest.mark.usefixtures("nothing_is_left")]

QUICK = {"count": 3, "interval": 0.1}
Fault = Callable[[real.Cloud], contextlib.AbstractContextManager[None]]


def diagnosis(charm: deployed.Cloud, run: str) -> dict[str, Any]:
    """Probe and report."""
    charm.probe(run, **QUICK)
    return charm.report(run)


def diagnosis_of(charm: deployed.Cloud, planned: dict[str, Any]) -> dict[str, Any]:
    """Probe on the units that are on the path, and report."""
    for unit in planned["units"].split():
        charm.run(unit, "probe-path", {"run": planned["run"], **QUICK})
    return charm.report(planned["run"])


def place(report: dict[str, Any]) -> tuple[Any, ...]:
    return (*(report[key] for key in ("verdict", "code")), *(report.get(key) for key in ("hop", "direction")))


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (breaking.egress_rule_missing, ("egress-rule-missing", "source-br-int", "forward")),
        (breaking.port_disabled, ("port-disabled", "destination-br-int", "reply")),
        (breaking.port_unbound, ("port-unbound", "destination-br-int", "reply")),
    ],
)
def test_fault_in_the_api_is_found(cloud: real.Cloud, charm: deployed.Cloud, fault: Fault, found: tuple[str, str, str]):
    with fault(cloud):
        processes.wait_until(lambda: not cloud.answers(), "the agents to follow", limit=60)
        report = diagnosis(charm, charm.plan()["run"])
    processes.wait_until(cloud.answers, "the path to work again", limit=60)

    assert (report["verdict"], report["code"], report["hop"]) == ("broken", *found[:2]), report["report"]
    # what is sent to a dead port is dropped before it or behind it, as the switch knows its MAC address or not
    assert report["direction"] == found[2] or found[0] in ("port-disabled", "port-unbound")


def test_address_that_only_neutron_knows_is_found(cloud: real.Cloud, charm: deployed.Cloud):
    with breaking.source_address_wrong(cloud):
        report = diagnosis(charm, charm.plan(destination=topology.GUEST.address4)["run"])

    assert place(report) == ("broken", "source-address-wrong", "source-port", "forward"), report["report"]


def test_port_that_is_bound_to_another_host_than_its_guest_is_on_is_found(cloud: real.Cloud, charm: deployed.Cloud):
    with breaking.bound_elsewhere(cloud):
        processes.wait_until(lambda: not cloud.answers(), "the agents to follow", limit=60)
        report = diagnosis_of(charm, charm.plan(destination=topology.GUEST.address4))
    processes.wait_until(cloud.answers, "the path to work again", limit=60)

    assert place(report)[:3] == ("broken", "port-not-plugged", "destination-port"), report["report"]


def test_mac_address_that_neither_guest_nor_switch_has_heard_of_breaks_nothing(
    cloud: real.Cloud, charm: deployed.Cloud
):
    with breaking.mac_changed(cloud, replugged=False):
        processes.wait_until(cloud.answers4, "the path to work again", limit=60)
        report = diagnosis(charm, charm.plan(destination=topology.GUEST.address4)["run"])
    processes.wait_until(cloud.answers, "the path to work again", limit=60)

    assert place(report) == ("ok", "path-ok", None, None), report["report"]


def test_mac_address_that_the_guest_does_not_have_is_found(cloud: real.Cloud, charm: deployed.Cloud):
    with breaking.mac_changed(cloud, replugged=True):
        processes.wait_until(lambda: not cloud.answers4(), "the agents to follow", limit=60)
        cloud.forget_neighbours()
        report = diagnosis(charm, charm.plan(destination=topology.GUEST.address4)["run"])
    processes.wait_until(cloud.answers, "the path to work again", limit=60)

    assert place(report) == ("broken", "source-mac-wrong", "destination-br-int", "reply"), report["report"]


def test_heartbeats_that_no_rule_lets_in_are_found_beside_a_path_that_works(cloud: real.Cloud, charm: deployed.Cloud):
    port = f"reg5={cloud.source.ofport(topology.SOURCE.device):#x}"

    def lets_heartbeats_in() -> bool:
        flows = cloud.source.ofctl("dump-flows", "br-int", f"table=82,udp6,{port}")
        return f"tp_dst={topology.HEARTBEAT_PORT}" in flows

    assert lets_heartbeats_in()
    with breaking.heartbeat_blocked(cloud):
        processes.wait_until(lambda: not lets_heartbeats_in(), "the agent to follow", limit=60)
        report = diagnosis(charm, charm.plan()["run"])
    processes.wait_until(lets_heartbeats_in, "the agent to follow", limit=60)

    assert place(report) == ("degraded", "heartbeat-blocked", "source-br-int", "reply"), report["report"]


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (breaking.port_not_plugged, ("port-not-plugged", "destination-port", "forward")),
        (breaking.foreign_flow, ("foreign-flow", "source-br-int", "forward")),
        (breaking.tunnel_missing, ("tunnel-missing", "source-br-tun", "forward")),
        (breaking.flows_missing, ("flows-missing", "destination-br-int", "forward")),
    ],
)
def test_fault_on_a_host_is_found(
    cloud: real.Cloud, charm: deployed.Cloud, run: str, fault: Fault, found: tuple[str, str, str]
):
    with fault(cloud):
        assert not cloud.answers()
        report = diagnosis(charm, run)
    processes.wait_until(cloud.answers, "the path to work again", limit=60)

    assert place(report) == ("broken", *found), report["report"]


@pytest.mark.parametrize(
    "params",
    [{}, {"destination": topology.GUEST.address4}, {"protocol": "tcp", "port": topology.API_PORT}],
    ids=["icmp6", "icmp4", "tcp6"],
)
def test_healthy_path_is_proven_to_be_so_after_all_that_was_mended(charm: deployed.Cloud, params: dict[str, Any]):
    report = diagnosis(charm, charm.plan(**params)["run"])

    assert (*place(report), report["certainty"]) == ("ok", "path-ok", None, None, "proven"), report["report"]
    watched = ("source-port", "source-underlay", "destination-underlay", "destination-port")
    told = json.loads(report["diagnosis"])
    assert [one["code"] for one in told["findings"]] == ["path-ok"]
    seen = {hop["hop"]: (hop["forward"], hop["reply"]) for hop in told["hops"]}
    assert all(min(seen[hop]) >= 3 for hop in watched), seen
