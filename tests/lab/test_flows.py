"""The flows of real switches that matter, while packets pass them."""

import pytest

from tests import conftest
from tests.lab import asking, faults, processes, topology

pytestmark = pytest.mark.lab


def test_the_flows_that_a_ping_meets_are_those_of_its_port(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False, heartbeats=False)

    whole = asking.ask(lab, "octavia", "flows", limit=1000).answer
    port = asking.ask(lab, "octavia", "flows", port=topology.SOURCE.port, limit=1000).answer

    assert {71, 72, 73, 81, 82} <= {one["table"] for one in port["flows"]}
    assert all(one["packets"] for one in whole["flows"])
    assert {one["raw"].partition("priority=")[2] for one in port["flows"]} < {
        one["raw"].partition("priority=")[2] for one in whole["flows"]
    }
    assert {one["owner"] for one in whole["flows"]} == {"agent"}
    assert {
        "name": topology.SOURCE.device,
        "ofport": 2,
        "id": topology.SOURCE.port,
        "mac": topology.SOURCE.mac,
    } in port["ports"]


def test_what_moves_while_packets_pass_is_told(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False, heartbeats=False)
    asked = asking.Asking(lab, "octavia", "flows", changed=4)
    asked.wait_for("dumping br-int again")
    assert lab.ping(5) == 5
    lab.source.ofctl("add-flow", "br-int", "cookie=0xbad,table=0,priority=3,arp,actions=drop")

    found = asked.result()

    rises = {(one["table"], one["match"]): one["rise"] for one in found.answer["flows"] if one["change"] == "moved"}
    assert rises[60, f"in_port={topology.SOURCE.device}"] >= 5
    assert [one["owner"] for one in found.answer["flows"] if one["change"] == "new"] == ["foreign"]
    assert "1 new, 0 gone" in found.summary


def test_a_quiet_switch_moves_nothing(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False, heartbeats=False)
    processes.wait_until(
        lambda: "packets met 0 of" in asking.ask(lab, "compute", "flows", bridge="br-tun", changed=1).summary,
        "a second without a packet",
        limit=30,
    )


def test_the_flow_that_drops_is_found_and_is_nobodys(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    faults.load("foreign-flow").inject(lab)
    lab.ping(1)

    found = asking.ask(lab, "octavia", "flows", table=0)

    (drop,) = (one for one in found.answer["flows"] if one["priority"] == 200)
    assert (drop["owner"], drop["cookie"], drop["actions"]) == ("foreign", "0xbad", "drop")
    assert drop["packets"] > 0
    assert "1 of them is not the agent's" in " ".join(found.page.split())


def test_a_switch_that_is_gone_is_named(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    lab.source.appctl("exit")
    socket = lab.source.directory / "run" / "br-int.mgmt"
    processes.wait_until(lambda: not socket.exists(), "the end of ovs-vswitchd")

    dumped, taken = (asking.ask(lab, "octavia", module) for module in ("flows", "snapshots"))

    assert "ovs-vswitchd does not answer for br-int; is openvswitch-switch running?" in dumped.error
    assert "ovs-vswitchd does not answer on this host" in taken.error
