"""find-port on hosts of the lab, with real switches and devices."""

import pytest

from tests import conftest
from tests.lab import asking, namespaced, probing, topology

pytestmark = pytest.mark.lab


def test_a_port_is_found_from_both_hosts_and_what_is_wrong_with_it_is_said(start_lab: conftest.StartLab) -> None:
    lab = start_lab()
    near = asking.ask(lab, "compute", "ports", cloud=True, what=topology.GUEST.address6.upper())
    alone = asking.ask(lab, "octavia", "ports", what=topology.SOURCE.address4)

    (found,) = near.answer["ports"]
    (device,) = found["devices"]
    assert (found["port"]["id"], found["unit"], found["problems"]) == (topology.GUEST.port, "ovs-pathfinder/1", [])
    assert (device["name"], device["tag"], device["carrier"]) == (topology.GUEST.device, topology.VLAN, True)
    assert (device["attached_mac"], device["mac"]) == (topology.GUEST.mac, topology.GUEST.tap_mac)
    assert (alone.answer["asked"], alone.answer["ports"][0]["devices"][0]["name"]) == (False, "o-hm0")

    lab.source.vsctl("set", "Port", "o-hm0", "tag=4095")
    lab.source.vsctl("set", "Interface", "o-hm0", 'external_ids:attached-mac="fa:16:3e:00:00:01"')
    lab.source.vsctl("add-port", "br-int", "tapdeadbeef-00", "--", "set", "Interface", "tapdeadbeef-00",
                     "type=internal", "external_ids:iface-id=deadbeef-0000-4000-8000-000000000000")  # fmt: skip
    wrong = asking.ask(lab, "octavia", "ports", cloud=True, what="octavia/2")
    left = asking.ask(lab, "octavia", "ports", cloud=True, what="tapdeadbeef-00")

    said = " ".join(wrong.answer["ports"][0]["problems"])
    assert "but the switch was told fa:16:3e:00:00:01" in said
    assert "the VLAN tag 4095, which is dead" in said
    assert "which Neutron does not know" in left.answer["ports"][0]["problems"][0]
    for page in (near.page, alone.page, wrong.page, left.page):
        assert [line for line in page.splitlines() if len(line) > 80] == []


def test_a_healthy_port_in_a_namespace_of_its_own_is_not_accused(start_lab: conftest.StartLab) -> None:
    lab = start_lab()
    namespaced.move_guest(lab)
    lab.warm_up()

    asked = asking.ask(lab, "compute", "ports", cloud=True, what=topology.GUEST.address6)
    found = probing.diagnosis(lab, probing.plan_of(lab))

    assert asked.answer["ports"][0]["problems"] == []
    assert "in another network namespace" in asked.answer["ports"][0]["devices"][0]["out_of_sight"]
    assert (found.verdict, found.code) == ("ok", "path-ok")
    assert any("destination-port" in one and "out of sight" in one for one in found.missing)
