"""trace-packet on hosts with real switches, tunnels and flows."""

import pathlib
import re
from typing import Any

import pytest

from ovs_pathfinder.report import environment
from tests import conftest
from tests.lab import asking, faults, hosts, probing, processes, topology

pytestmark = pytest.mark.lab

TUNNEL = "the tunnel to 172.20.0.209 with key 0x2f1"
TABLE71 = "table=71,priority=110,ct_state=+trk"
API: dict[str, Any] = {"protocol": "tcp", "destination_port": topology.API_PORT}


def ask(lab: hosts.Lab, key: str = "octavia", **query: Any) -> asking.Asked:
    found = asking.ask(lab, key, "traces", cloud=True, **query)
    assert found.error == "", found.error
    return found


def outcomes(found: asking.Asked) -> dict[tuple[str, str], str]:
    return {(one["direction"], one["ct_state"]): one["outcome"] for one in found.answer["traces"]}


def capture(lab: hosts.Lab, device: str, expression: str, file: pathlib.Path, count: int = 2) -> None:
    """Capture some packets of a ping on Octavia's host."""
    tool = lab.source.start(
        "tcpdump", "tcpdump", "-Z", "root", "-U", "-i", device, "-c", str(count), "-w", str(file), *expression.split()
    )
    processes.wait_until(lambda: file.exists() and file.stat().st_size >= 24, f"tcpdump on {device}")
    lab.ping(count)
    tool.wait(10)


@pytest.mark.parametrize(
    ("shape", "key"),
    [({}, "octavia"), ({}, "compute"), ({"tunnel": "vxlan", "ip": 4, "l2population": False}, "octavia"),
     ({"same_host": True}, "octavia")],
)  # fmt: skip
def test_a_healthy_path_is_as_it_should_be(start_lab: conftest.StartLab, shape: dict[str, Any], key: str):
    lab = start_lab(cloud=False, **shape)

    found = asking.ask(lab, key, "traces", probing.plan_of(lab, "tcp", topology.API_PORT))

    forward = {("forward", ""): "forwarded"}
    if key == "octavia":
        forward |= {("forward", "trk|new"): "forwarded", ("forward", "trk|est"): "forwarded"}
    assert outcomes(found) == {**forward, ("reply", ""): "forwarded"}, found.page
    assert "as it should" in found.summary
    assert found.answer["notes"] == []


def test_a_switch_that_keeps_packets_tracked_is_found_by_the_states_alone(lab: hosts.Lab):
    lab.source.ofctl("--strict", "mod-flows", "br-int", f"{TABLE71},actions=resubmit(,71)")

    found = ask(lab, plan=probing.plan_of(lab))

    assert outcomes(found) == {
        ("forward", ""): "forwarded",
        ("forward", "trk|new"): "failed",
        ("forward", "trk|est"): "failed",
        ("reply", ""): "forwarded",
    }
    assert "depends on what conntrack has said of it" in found.summary
    assert "trk|new and trk|est: translation failed, recursion too deep: table 71 resubmits to itself" in found.summary


def test_the_probe_s_evidence_carries_the_same_finding(lab: hosts.Lab):
    lab.source.ofctl("--strict", "mod-flows", "br-int", f"{TABLE71},actions=resubmit(,71)")

    source, destination = probing.gather(lab, probing.plan_of(lab))

    tracked = {one.state: one.outcome for one in source.traces if one.direction == "forward"}
    assert tracked == {"untracked": "forwarded", "new": "failed", "established": "failed"}
    untracked = source.trace("forward")
    assert untracked is not None
    assert untracked.state == "untracked"
    assert {one.state for one in destination.traces} == {"untracked"}


def test_typed_fields_are_filled_in_by_openstack(lab: hosts.Lab):
    found = ask(lab, port="o-hm0", destination=topology.GUEST.amphora, **API)

    flow = found.answer["traces"][0]["flow"]
    assert f"dl_src={topology.SOURCE.mac},dl_dst={topology.GUEST.mac}" in flow
    assert f"ipv6_src={topology.SOURCE.address6},ipv6_dst={topology.GUEST.address6}" in flow
    assert [one["expected"] for one in found.answer["traces"]] == [TUNNEL] * 3 + ["o-hm0"]
    assert set(outcomes(found).values()) == {"forwarded"}


def test_the_mac_of_the_tap_is_a_flood_although_it_reaches_the_only_tunnel(lab: hosts.Lab):
    found = ask(lab, port="o-hm0", destination=lab.address, destination_mac=topology.GUEST.tap_mac, direction="forward")

    assert set(outcomes(found).values()) == {"flooded"}
    assert TUNNEL in found.answer["traces"][0]["outputs"]
    assert f"that of the destination's port is {topology.GUEST.mac}" in found.answer["warnings"][0]


@pytest.mark.parametrize("port", [topology.GUEST.device, topology.GUEST.port, "2"])
def test_a_guest_s_port_is_traced_untracked(lab: hosts.Lab, port: str):
    found = ask(lab, "compute", port=port, destination="octavia/2", protocol="udp", destination_port=5555)

    assert outcomes(found) == {("forward", ""): "forwarded", ("reply", ""): "forwarded"}


BROKEN = {
    "egress-rule-missing": ("octavia", "forward", "dropped", "in br-int table 72 (security group egress), priority 40"),
    "ingress-rule-missing": (
        "compute",
        "forward",
        "dropped",
        "in br-int table 82 (security group ingress), priority 40",
    ),
    "foreign-flow": ("octavia", "forward", "dropped", "in br-int table 0 (local switching), priority 200"),
    "forwarding-entry-wrong": ("octavia", "forward", "misdirected", f"172.20.0.112 with key 0x2f1 instead of {TUNNEL}"),
    "port-disabled": ("compute", "reply", "dropped", "in br-int table 0 (local switching), priority 2"),
    "segment-missing": ("compute", "forward", "dropped", "in br-tun table 3 (from GRE), priority 0"),
    "flows-missing": ("compute", "forward", "dropped", "in br-int table 0 (local switching), no match"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_lab_says_where_the_packet_ends(start_lab: conftest.StartLab, name: str):
    key, direction, outcome, said = BROKEN[name]
    lab = start_lab(cloud=False)
    faults.load(name).inject(lab)

    plan = probing.plan_of(lab)
    found = asking.ask(lab, key, "traces", plan, direction=direction, state="untracked")

    assert [one["outcome"] for one in found.answer["traces"]] == [outcome], found.page
    assert said in found.summary


def test_captured_packets_are_traced_and_leave_nothing_behind(lab: hosts.Lab, tmp_path: pathlib.Path):
    capture(lab, "o-hm0", "icmp6 and (ip6[40] == 128 or ip6[40] == 129)", tmp_path / "ohm.pcap", 2)
    capture(lab, "eth1", "proto 47", tmp_path / "eth1.pcap", 2)
    flows = [lab.source.ofctl("--no-stats", "dump-flows", bridge) for bridge in ("br-int", "br-tun")]
    conntrack = lab.source.appctl("dpctl/dump-conntrack").count("orig=")
    plan = probing.plan_of(lab)

    request = ask(lab, plan=plan, file=str(tmp_path / "ohm.pcap"), packet=1)
    answer = ask(lab, plan=plan, file=str(tmp_path / "ohm.pcap"), packet=2)
    alone = ask(lab, file=str(tmp_path / "ohm.pcap"), packet=1, port="o-hm0")
    outer = [asking.ask(lab, "octavia", "traces", file=str(tmp_path / "eth1.pcap"), packet=one) for one in (1, 2)]

    assert {key[0] for key in outcomes(request)} == {"forward"}
    assert outcomes(answer) == {("reply", ""): "forwarded"}
    assert {one["expected"] for one in alone.answer["traces"]} == {TUNNEL}
    assert {*outcomes(request).values(), *outcomes(alone).values()} == {"forwarded"}
    assert any("out of gre-ac1400d1" in one.answer.get("subject", "") for one in outer)
    assert any("has left this host already" in one.error for one in outer)
    after = [lab.source.ofctl("--no-stats", "dump-flows", bridge) for bridge in ("br-int", "br-tun")]
    assert [learned(one) for one in after] == [learned(one) for one in flows]
    assert lab.source.appctl("dpctl/dump-conntrack").count("orig=") <= conntrack + 1  # the lab's own heartbeats


def learned(text: str) -> list[str]:
    """Return flows without those that the lab's own packets make the switch learn."""
    return sorted(line.strip() for line in text.splitlines() if "hard_timeout=300" not in line)


def test_every_flow_of_the_datapath_does_what_the_tables_say(lab: hosts.Lab):
    lab.ping(3)

    found = [ask(lab, megaflow=f"ipv6,ipv6_dst={one.address6}") for one in (topology.GUEST, topology.SOURCE)]

    traced = [trace for one in found for trace in one.answer["traces"]]
    assert len(traced) >= 4
    assert all(one["agrees"] for one in traced), [one["verdict"] for one in traced if not one["agrees"]]
    assert any("recirc_id(0x" in one["flow"] for one in traced)


def test_a_flow_of_the_datapath_that_disobeys_is_found_by_its_name(lab: hosts.Lab):
    faults.load("switch-disobeys").inject(lab)
    lab.ping(1)
    dump = lab.source.appctl("dpctl/dump-flows", "-m").splitlines()
    line = next(one for one in dump if "in_port(o-hm0)" in one and "actions:drop" in one and "recirc_id(0)" in one)
    ufid = re.search(r"ufid:([0-9a-f-]+)", line)
    assert ufid is not None

    found = ask(lab, megaflow=ufid[1])

    assert found.answer["traces"][0]["agrees"] is False
    assert "drops it, but by the tables it would" in found.summary
    assert "the datapath does not do what the flows say" in found.summary


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"port": "o-hm0", "destination": "fc00::dead"}, "Neutron knows no port with the address fc00::dead"),
        ({"port": "o-hm0", "destination": "no such server"}, "is cannot be told, as neither a port nor a server"),
        ({"port": topology.GUEST.device, "destination": "fc00::dead"}, "has no port 'tap93fff561-bf'"),
    ],
)
def test_what_nobody_has_is_said_in_one_sentence(lab: hosts.Lab, query: dict[str, Any], said: str):
    found = asking.ask(lab, "octavia", "traces", cloud=True, **query)

    assert said in found.error
    assert "\n" not in found.error


def test_the_page_fits_a_terminal(lab: hosts.Lab):
    text = ask(lab, plan=probing.plan_of(lab)).page

    wide = [line for line in text.splitlines() if len(line) > environment.WIDTH]
    assert all(" " not in line.strip().rstrip("\\ ") for line in wide), wide
