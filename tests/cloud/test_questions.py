"""Actions that ask, and plans, answered by real Keystone, Neutron, Nova and Octavia."""

import json
from collections.abc import Callable

import pytest

from tests.cloud import cloud as real
from tests.lab import deployed, topology

pytestmark = [pytest.mark.cloud, pytest.mark.xdist_group("cloud")]

LEADER, OTHER = deployed.LEADER, deployed.OTHER


def test_amphorae_are_listed_with_their_servers_and_hosts(cloud: real.Cloud, charm: deployed.Cloud):
    answer = json.loads(charm.run(LEADER, "list-amphorae", {"format": "json"})["answer"])

    found = {one["id"]: one for one in answer["amphorae"]}
    guests = [cloud.interfaces[key] for key in cloud.guests]
    assert {key: (one["server_id"], one["server"], one["unit"]) for key, one in found.items()} == {
        guest.amphora: (guest.server, f"amphora-{guest.amphora}", OTHER) for guest in guests
    }
    assert {one["host"] for one in found.values()} == {topology.COMPUTE.hostname}
    assert found[topology.GUEST.amphora]["management_address"] == topology.GUEST.address6
    assert found[topology.GUEST.amphora]["loadbalancer"] == "lb1"


FORMS: dict[str, Callable[[topology.Interface], str]] = {
    "address6": lambda guest: guest.address6.upper(),
    "address4": lambda guest: guest.address4,
    "port": lambda guest: guest.port,
    "port-name": lambda guest: f"octavia-lb-vrrp-mgmt-{guest.amphora}",
    "server": lambda guest: f"amphora-{guest.amphora}",
    "amphora": lambda guest: guest.amphora,
    "tap": lambda guest: guest.device,
    "mac": lambda guest: guest.mac.replace(":", "-"),
}


@pytest.mark.parametrize("form", FORMS)
def test_port_is_found_by(cloud: real.Cloud, charm: deployed.Cloud, form: str):
    guest = cloud.interfaces["guest"]
    unit = OTHER if form == "tap" else LEADER

    answer = json.loads(charm.run(unit, "find-port", {"what": FORMS[form](guest), "format": "json"})["answer"])

    (found,) = answer["ports"]
    assert (found["port"]["id"], found["server"], found["unit"]) == (guest.port, f"amphora-{guest.amphora}", OTHER)
    assert (found["network"]["segmentation_id"], found["network"]["type"]) == (topology.SEGMENT, "gre")
    assert found["problems"] == []
    if unit == OTHER:
        assert [device["name"] for device in found["devices"]] == [guest.device]


def test_port_of_octavia_is_found_by_its_unit(cloud: real.Cloud, charm: deployed.Cloud):
    answer = json.loads(charm.run(LEADER, "find-port", {"what": "octavia/2", "format": "json"})["answer"])

    (found,) = answer["ports"]
    assert (found["port"]["id"], found["devices"][0]["name"]) == (cloud.interfaces["source"].port, "o-hm0")


def test_plan_names_the_units_of_both_ends(charm: deployed.Cloud):
    planned = charm.plan(destination=topology.GUEST2.amphora)

    assert planned["units"].split() == [LEADER, OTHER]
    assert topology.GUEST2.address6 in json.dumps(planned)
    assert "warnings" not in planned, planned


def test_rules_of_the_real_neutron_are_explained(cloud: real.Cloud, charm: deployed.Cloud):
    asked = {
        "port": cloud.interfaces["guest"].port,
        "remote": topology.SOURCE.address6,
        "protocol": "tcp",
        "format": "json",
    }

    let_in = charm.run(LEADER, "explain-security", {**asked, "destination-port": topology.API_PORT})
    refused = charm.run(LEADER, "explain-security", {**asked, "destination-port": 80})

    assert [json.loads(one["answer"])["passes"] for one in (let_in, refused)] == [True, False]
