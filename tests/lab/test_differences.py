"""Snapshots of a real switch, and what differs since: nothing of what only seems so, and each fault by its flows."""

import json
import pathlib
import re

import pytest

from tests import conftest
from tests.lab import asking, faults, hosts, topology

pytestmark = pytest.mark.lab


def compare(lab: hosts.Lab, key: str = "octavia", before: str = "") -> asking.Asked:
    found = asking.ask(lab, key, "differences", before=before)
    assert not found.error
    return found


def test_traffic_and_a_start_of_the_agent_change_nothing_that_matters(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    taken = asking.ask(lab, "octavia", "snapshots", label="before")
    assert not taken.error
    lab.ping()
    for bridge, text in lab.flows(lab.source.site).items():
        fresh = re.sub("cookie=0x[0-9a-f]+", "cookie=0x9bcf423bf2d233f4", text)
        lab.source.ofctl("--bundle", "replace-flows", bridge, "-", text_in=fresh)
    lab.ping()

    found = compare(lab)

    learned = sum(one["count"] for one in found.answer["aside"] if one["what"] == "learned")
    assert found.answer["same"], found.page
    assert re.fullmatch(r"The rules are the same: \d+ flows on 3 bridges\.", found.summary)
    assert {"cookies", "counters"} <= {one["what"] for one in found.answer["aside"]} <= {
        "cookies", "counters", "learned", "order"
    }  # fmt: skip
    assert learned >= 1, "the destination's address is learned from its answers"
    kept = pathlib.Path(taken.answer["path"])
    assert kept.parent.parent == lab.source.directory / "state"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_ports_and_networks_that_got_other_numbers_change_nothing_that_matters(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    asking.ask(lab, "compute", "snapshots")
    host, guest = lab.destination, topology.GUEST
    host.vsctl("set", "Interface", guest.device, "ofport_request=17")
    host.vsctl("set", "Port", guest.device, "tag=5", "other_config:tag=5")
    for bridge, text in lab.flows(host.site).items():
        moved = _renumbered(text) if bridge == "br-int" else re.sub("dl_vlan=1,", "dl_vlan=5,", text)
        moved = moved.replace("set_field:4097->vlan_vid", "set_field:4101->vlan_vid")
        host.ofctl("--bundle", "replace-flows", bridge, "-", text_in=moved)
    lab.warm_up()
    assert lab.ping() == 3

    found = compare(lab, "compute")

    assert found.answer["same"], found.page
    asides = {one["what"]: one["text"] for one in found.answer["aside"]}
    assert asides["ports"] == f"ports with another OpenFlow number: {guest.device} 2 to 17"
    assert asides["networks"] == "networks with another local VLAN: gre/753 1 to 5"


def _renumbered(text: str) -> str:
    text = re.sub(r"(in_port=|output:)2\b", r"\g<1>17", text)
    text = re.sub(r"reg5=0x2\b", "reg5=0x11", text).replace("set_field:0x2->reg5", "set_field:0x11->reg5")
    text = re.sub(r"reg6=0x1\b", "reg6=0x5", text).replace("set_field:0x1->reg6", "set_field:0x5->reg6")
    return re.sub(r"(dl_vlan|ct_zone)=1\b", r"\1=5", text)


@pytest.mark.parametrize(
    ("fault", "key", "expected"),
    [
        ("foreign-flow", "octavia", "new: br-int table 0 (local switching), priority 200"),
        ("ingress-rule-missing", "compute", "gone: br-int table 82 (security group ingress), priority 75"),
        ("egress-rule-missing", "octavia", "gone: br-int table 72 (security group egress), priority 74"),
        ("segment-missing", "compute", "gone: br-tun table 3 (from GRE), priority 1"),
        ("forwarding-entry-wrong", "octavia", "br-tun table 20 (unicast to a tunnel), priority 2"),
    ],
)
def test_a_fault_of_the_flows_is_found_by_its_flows(
    start_lab: conftest.StartLab, fault: str, key: str, expected: str
) -> None:
    lab = start_lab(cloud=False)
    asking.ask(lab, key, "snapshots")
    faults.load(fault).inject(lab)

    found = compare(lab, key)

    assert not found.answer["same"]
    assert 1 <= len(found.answer["flows"]) <= 8, found.page
    assert expected in " ".join(found.page.split()), found.page


@pytest.mark.parametrize(
    ("fault", "key", "expected"),
    [
        ("tunnel-missing", "octavia", "port gre-ac1400d1 on br-tun: there, gre, ofport 2 before, none after"),
        ("vlan-tag-wrong", "compute", "tag: gre/753 before, 2 after"),
        ("tunnel-mismatch", "octavia", "options:"),
    ],
)
def test_a_fault_of_the_ports_is_found_by_its_settings(
    start_lab: conftest.StartLab, fault: str, key: str, expected: str
) -> None:
    lab = start_lab(cloud=False)
    for each in lab.hosts:
        asking.ask(lab, each, "snapshots")
    faults.load(fault).inject(lab)

    told = " ".join(" ".join(compare(lab, each).page.split()) for each in lab.hosts)

    assert expected in told
    assert "The flows are the same" in told or "differ" in told


def test_a_switch_that_disobeys_has_the_same_rules(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    asking.ask(lab, "octavia", "snapshots")
    faults.load("switch-disobeys").inject(lab)

    found = compare(lab)

    assert found.answer["same"] or [one["kind"] for one in found.answer["settings"]] == ["switch"], found.page
    assert found.answer["flows"] == []


def test_a_snapshot_of_another_unit_is_compared_by_its_path(
    start_lab: conftest.StartLab, tmp_path: pathlib.Path
) -> None:
    lab = start_lab(cloud=False)
    taken = asking.ask(lab, "compute", "snapshots", label="theirs")
    copy = tmp_path / "copied.flows"
    copy.write_bytes(pathlib.Path(taken.answer["path"]).read_bytes().replace(b"\n", b"\r\n"))

    found = compare(lab, before=str(copy))

    assert not found.answer["same"]
    assert any("The two are of different hosts" in note for note in found.answer["notes"])
    assert found.answer["before"]["host"] == topology.COMPUTE.hostname


def test_temporary_flows_of_ours_are_set_aside(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    asking.ask(lab, "octavia", "snapshots")
    flow = "cookie=0x6f70660000000001,hard_timeout=60,table=0,priority=96,icmp6,in_port=2,actions=NORMAL"
    lab.source.ofctl("add-flow", "br-int", flow)

    found = compare(lab)

    assert found.answer["same"], found.page
    assert "ovs-pathfinder's own: 0 flows before, 1 after, 0 ports" in found.page
    assert json.dumps(found.answer)
