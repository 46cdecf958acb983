"""A guest behind a trunk's subport, wired as Nova and the agent do it: the charm plans, probes, tries, reports."""

import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.evidence import probe
from tests import conftest
from tests.lab import agent, asking, deployed, description, hosts, probing, processes, topology, trying

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("trunks"), pytest.mark.usefixtures("nothing_is_left")]

LEADER, OTHER = deployed.LEADER, deployed.OTHER
QUICK = {"count": 3, "interval": 0.1}
SPI, SPT = f"spi-{topology.GUEST.port}"[:15], f"spt-{topology.GUEST.port}"[:15]
TAP, BRIDGE = topology.PARENT.device, topology.TRUNK_BRIDGE
Breaking = Callable[[hosts.Lab], contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="module")
def cloud(lab_support: None) -> Iterator[deployed.Cloud]:
    """Deploy the charm in a healthy lab whose guest is behind a trunk's subport."""
    with hosts.Lab.start(trunk=True, heartbeats=False) as lab:
        lab.warm_up()
        yield deployed.Cloud.start(lab)


@pytest.fixture(scope="module")
def run(cloud: deployed.Cloud) -> str:
    """Plan a path to the subport, once."""
    return cloud.plan()["run"]


@pytest.fixture(autouse=True)
def bridge_of_trunk_is_left_as_it_was(cloud: deployed.Cloud) -> Generator[None]:
    """See that a test leaves the trunk's bridge as it was."""
    before = flows_of_trunk(cloud.lab)
    yield
    assert flows_of_trunk(cloud.lab) == before


def flows_of_trunk(lab: hosts.Lab) -> str:
    return lab.destination.run("ovs-ofctl", "--no-stats", "dump-flows", BRIDGE).stdout


def place(report: dict[str, Any]) -> tuple[Any, ...]:
    return (*(report[key] for key in ("verdict", "code")), *(report.get(key) for key in ("hop", "direction")))


def diagnosis(cloud: deployed.Cloud, run: str) -> dict[str, Any]:
    cloud.probe(run, **QUICK)
    return cloud.report(run)


# --- the path works ---


@pytest.mark.parametrize(
    "params",
    [{}, {"protocol": "tcp", "port": topology.API_PORT}],
    ids=["icmp6", "tcp6"],
)
def test_healthy_path_to_a_subport_is_seen_at_every_point(cloud: deployed.Cloud, params: dict[str, Any]):
    planned = cloud.plan(**params)
    probed = cloud.probe(planned["run"], **QUICK)
    report = cloud.report(planned["run"])

    assert place(report)[:2] == ("ok", "path-ok"), report["report"]
    seen = {one["hop"]: (one["forward"], one["reply"]) for one in json.loads(report["diagnosis"])["hops"]}
    assert [seen[point] for point in path.POINTS] == [(3, 3)] * 4
    found = json.loads(probed[OTHER]["evidence"])
    assert (found["devices"]["destination"]["name"], found["devices"]["destination"]["trunk"]["vlan"]) == (TAP, 101)
    assert {one["outcome"] for one in found["traces"]} <= {"forwarded", "flooded"}, found["traces"]
    parents = f"in_port={agent.PARENT_OFPORT}"
    assert not [step for one in found["traces"] for step in one["steps"] if parents in step["match"]]
    assert found["problems"] == []


SHAPES: list[dict[str, Any]] = [{"same_host": True}, {"tunnel": "vlan", "ip": 4}]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_path_to_a_subport_in_other_shapes_is_accused_of_what_is_wrong_alone(
    start_lab: conftest.StartLab, shape: dict[str, Any]
):
    lab = start_lab(cloud=False, trunk=True, heartbeats=False, **shape)
    cases: list[tuple[path.Protocol, Breaking | None, str]] = [
        ("icmp", None, "path-ok"),
        ("tcp", None, "path-ok"),
        ("icmp", wrong_tag, "vlan-tag-wrong"),
        ("icmp", no_patch, "patch-broken"),
        ("icmp", rule_missing, "ingress-rule-missing"),
        ("icmp", None, "path-ok"),
    ]
    for protocol, breaking, code in cases:
        lab.forget_neighbours()
        plan = probing.plan_of(lab, protocol, topology.API_PORT if protocol == "tcp" else None)
        with breaking(lab) if breaking else contextlib.nullcontext():
            found = probing.diagnosis(lab, plan, probe.Settings(count=3, interval=0.1))
        assert found.code == code, found.model_dump_json(indent=1)


def test_local_vlan_that_is_the_trunks_vlan_too_accuses_nobody(
    start_lab: conftest.StartLab, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(topology, "TRUNK_VLAN", topology.VLAN)
    lab = start_lab(cloud=False, trunk=True, heartbeats=False)
    plan = probing.plan_of(lab)

    found = probing.gather(lab, plan)

    (there,) = [one for one in found if "destination" in one.roles]
    assert {one.outcome for one in there.traces} <= {"forwarded", "flooded"}, there.model_dump_json(indent=1)
    assert place_of(plan, found) == ("ok", "path-ok")


def place_of(plan: path.Plan, found: Any) -> tuple[str, str]:
    said = probing.diagnose.diagnose(plan, found)
    return said.verdict, said.code


# --- the path is broken ---


@contextlib.contextmanager
def wrong_tag(lab: hosts.Lab) -> Generator[None]:
    """Give the subport another VLAN on the trunk's bridge."""
    lab.destination.vsctl("set", "Port", SPT, "tag=102")
    try:
        yield
    finally:
        lab.destination.vsctl("set", "Port", SPT, f"tag={topology.TRUNK_VLAN}")


@contextlib.contextmanager
def no_patch(lab: hosts.Lab) -> Generator[None]:
    """Take away the subport's patch port on the trunk's bridge."""
    lab.destination.vsctl("del-port", BRIDGE, SPT)
    try:
        yield
    finally:
        known = [f'external_ids:attached-mac="{topology.GUEST.mac}"', f'external_ids:iface-id="{topology.GUEST.port}"']
        lab.destination.vsctl(
            "add-port", BRIDGE, SPT, f"tag={topology.TRUNK_VLAN}",
            "--", "set", "Interface", SPT, "type=patch", f"options:peer={SPI}", *known,
        )  # fmt: skip


@contextlib.contextmanager
def no_tap(lab: hosts.Lab) -> Generator[None]:
    """Take the guest's device off the trunk's bridge."""
    known = lab.destination.vsctl("get", "Interface", TAP, "external_ids")
    lab.destination.vsctl("del-port", BRIDGE, TAP)
    try:
        yield
    finally:
        lab.destination.vsctl("add-port", BRIDGE, TAP, "--", "set", "Interface", TAP, f"external_ids={known}")


@contextlib.contextmanager
def rule_missing(lab: hosts.Lab) -> Generator[None]:
    """Let the subport's group have no rule for ICMP."""
    description.drop_rules(lab.description, topology.AMPHORA_GROUP, "ingress", {"icmp", "ipv6-icmp"})
    lab.write_description()
    lab.apply("br-int")
    try:
        yield
    finally:
        lab.description = description.build(lab.shape)
        lab.write_description()
        lab.apply("br-int")


@contextlib.contextmanager
def foreign_flow(lab: hosts.Lab) -> Generator[None]:
    """Let somebody's own flow on the trunk's bridge drop what comes from br-int."""
    match = f"in_port={lab.destination.ofport(SPT)}"
    lab.destination.run("ovs-ofctl", "add-flow", BRIDGE, f"cookie=0xbad,priority=9,{match},actions=drop")
    try:
        yield
    finally:
        lab.destination.run("ovs-ofctl", "del-flows", BRIDGE, "cookie=0xbad/-1")


@contextlib.contextmanager
def guest_down(lab: hosts.Lab) -> Generator[None]:
    """Let the guest have no device in the VLAN."""
    lab.guest.configure("link set eth0 down")
    lab.source.run("ip", "neigh", "flush", "dev", topology.SOURCE.device)  # it knows the guest of a moment ago
    try:
        yield
    finally:
        guest = topology.SUBPORT
        lab.guest.configure("link set eth0 up", f"addr replace {guest.address6}/64 dev eth0 nodad")


@pytest.mark.parametrize(
    ("breaking", "code", "hop"),
    [
        (wrong_tag, "vlan-tag-wrong", "destination-br-int"),
        (no_patch, "patch-broken", "destination-br-int"),
        (no_tap, "port-not-plugged", "destination-port"),
        (rule_missing, "ingress-rule-missing", "destination-br-int"),
        (foreign_flow, "foreign-flow", "destination-br-int"),
        (guest_down, "guest-silent", "guest"),
    ],
)
def test_fault_before_a_subport_is_found(cloud: deployed.Cloud, breaking: Breaking, code: str, hop: str):
    with breaking(cloud.lab):
        report = diagnosis(cloud, cloud.plan()["run"])
    processes.wait_until(lambda: cloud.lab.ping(1) == 1, "the path to work again", limit=20)

    assert place(report) == ("broken", code, hop, "forward"), report["report"]


# --- trials ---


def test_trial_at_a_subport_heals_what_a_rule_drops(cloud: deployed.Cloud):
    run = cloud.plan()["run"]
    with rule_missing(cloud.lab):
        cloud.probe(run, **QUICK)
        before = deployed.tables(cloud.lab)
        found = cloud.together("try-flows", {"run": run, "at": "destination", **QUICK})
        after = deployed.tables(cloud.lab)
    processes.wait_until(lambda: cloud.lab.ping(1) == 1, "the path to work again", limit=20)

    assert after == before
    assert found[LEADER]["effect"] == "heals", found
    assert deployed.ours(cloud.lab.destination) == []


def test_trial_at_a_subport_does_not_heal_what_the_trunks_bridge_loses(cloud: deployed.Cloud):
    run = cloud.plan()["run"]
    with wrong_tag(cloud.lab):
        found = cloud.together("try-flows", {"run": run, "at": "destination", **QUICK})
    processes.wait_until(lambda: cloud.lab.ping(1) == 1, "the path to work again", limit=20)

    assert found[LEADER]["effect"] == "none", found


def test_trial_of_a_port_that_shares_its_host_with_the_source(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False, trunk=True, heartbeats=False, same_host=True)
    with rule_missing(lab):
        (found,) = trying.run(lab, probing.plan_of(lab), settings=QUICK)

    assert (found.before.answered, found.during and found.during.answered, found.problem) == (0, 3, ""), found


# --- other questions ---


@pytest.mark.parametrize("port", [topology.GUEST.port, topology.PARENT.port], ids=["subport", "parent"])
def test_a_trunks_port_is_found_once_and_with_the_guests_device(cloud: deployed.Cloud, port: str):
    found = asking.ask(cloud.lab, "compute", "ports", cloud=True, what=port)

    (only,) = found.answer["ports"]
    assert [one["kernel_device"] for one in only["devices"]] == [TAP]
    assert only["problems"] == []


def test_a_subports_packets_are_captured_on_the_parents_device_by_their_vlan(cloud: deployed.Cloud, run: str):
    asked = asking.Asking(
        cloud.lab, "compute", "captures", at="port", port=topology.GUEST.port, duration=20, packets=4, protocol="icmp"
    )
    asked.wait_for("capturing on")
    cloud.lab.ping(4)

    answer = asked.result().answer
    assert (answer["device"], answer["expression"].split(" and ")[0]) == (TAP, f"vlan {topology.TRUNK_VLAN}")


def test_rules_and_flows_of_a_subport_agree(cloud: deployed.Cloud):
    found = asking.ask(
        cloud.lab, "compute", "security", cloud=True, port=topology.GUEST.port, remote=topology.SOURCE.address6,
        protocol="tcp", destination_port=topology.API_PORT, direction="ingress",
    )  # fmt: skip

    (check,) = [one for one in found.answer["checks"] if one["flows"]]
    assert (check["verdict"]["passes"], check["flows"]["passes"]) == (True, True), found.answer


def test_the_packet_of_a_planned_path_is_traced_to_the_parents_device(cloud: deployed.Cloud, run: str):
    found = cloud.run(OTHER, "trace-packet", {"run": run})

    assert TAP in found["summary"] + found["report"]
