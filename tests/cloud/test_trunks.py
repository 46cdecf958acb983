"""A trunk that a real agent has wired: as the lab has it, and with a path to its subport that is proven to work."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cloud import cloud as real
from tests.cloud import trunks
from tests.lab import deployed, processes, topology

pytestmark = [pytest.mark.cloud, pytest.mark.xdist_group("cloud")]

LEADER, OTHER = deployed.LEADER, deployed.OTHER


@pytest.fixture(scope="module")
def trunk(cloud: real.Cloud) -> Iterator[trunks.Trunk]:
    """Make a trunk, plug its guest, and wait until the path to its subport works."""
    made = trunks.make(cloud)
    trunks.plug(cloud, made)
    processes.wait_until(lambda: answers(cloud, made), "the subport to answer", limit=120, interval=0.5)
    yield made
    cloud.destination.vsctl("del-br", made.bridge)


def answers(cloud: real.Cloud, trunk: trunks.Trunk) -> bool:
    argv = ["ping", "-n", "-q", "-c", "1", "-W", "1", trunk.subport.address4]
    return not cloud.source.run(*argv, check=False).returncode


def interface(cloud: real.Cloud, name: str) -> dict[str, Any]:
    """Return what the lab has to know of an interface: type, peer, tag, and the port that it carries."""
    shown = json.loads(
        cloud.destination.vsctl("--format=json", "--columns=type,options,external_ids", "list", "Interface", name)
    )
    type_, options, ids = shown["data"][0]
    tag = cloud.destination.vsctl("get", "Port", name, "tag")
    known = dict(ids[1])
    return {"type": type_, "options": dict(options[1]), "tag": tag, **{key: known.get(key) for key in KEYS}}


KEYS = ("iface-id", "attached-mac")


def test_agent_wires_a_trunk_as_the_lab_does(cloud: real.Cloud, trunk: trunks.Trunk):
    ports = cloud.destination.vsctl("list-ports", trunk.bridge).split()
    outer, inner = (f"{prefix}-{trunk.subport.port}"[:15] for prefix in ("spt", "spi"))
    parents = [f"{prefix}-{trunk.parent.port}"[:15] for prefix in ("tpt", "tpi")]

    assert sorted(ports) == sorted([trunk.parent.device, outer, parents[0]])
    carried = {"iface-id": trunk.subport.port, "attached-mac": trunk.subport.mac}
    assert interface(cloud, outer) == {"type": "patch", "options": {"peer": inner}, "tag": str(trunks.VLAN), **carried}
    local = cloud.destination.vsctl("get", "Port", cloud.interfaces["guest"].device, "tag")
    assert interface(cloud, inner) == {"type": "patch", "options": {"peer": outer}, "tag": local, **carried}
    assert interface(cloud, parents[0])["tag"] == "[]"
    assert interface(cloud, parents[1])["tag"] not in ("[]", local, "4095")
    flows = cloud.destination.run("ovs-ofctl", "--no-stats", "dump-flows", trunk.bridge).stdout.splitlines()
    assert [re.sub(r"^ *(cookie=0x0,? ?)?", "", one) for one in flows] == ["priority=0 actions=NORMAL"]


@pytest.mark.parametrize("form", ["address4", "address6", "port"])
def test_path_to_a_real_subport_is_proven_to_work(
    cloud: real.Cloud, charm: deployed.Cloud, trunk: trunks.Trunk, form: str
):
    planned = charm.plan(destination=getattr(trunk.subport, form))
    charm.probe(planned["run"], count=3, interval=0.1)
    report = charm.report(planned["run"])

    assert (report["verdict"], report["code"], report["certainty"]) == ("ok", "path-ok", "proven"), report["report"]
    seen = {one["hop"]: (one["device"], one["forward"]) for one in json.loads(report["diagnosis"])["hops"]}
    assert seen["destination-port"] == (trunk.parent.device, 3)


def test_wrong_tag_on_a_real_trunk_is_found(cloud: real.Cloud, charm: deployed.Cloud, trunk: trunks.Trunk):
    outer = f"spt-{trunk.subport.port}"[:15]
    run = charm.plan(destination=trunk.subport.address4)["run"]
    cloud.destination.vsctl("set", "Port", outer, "tag=102")
    try:
        charm.probe(run, count=3, interval=0.1)
        report = charm.report(run)
    finally:
        cloud.destination.vsctl("set", "Port", outer, f"tag={trunks.VLAN}")
    processes.wait_until(lambda: answers(cloud, trunk), "the path to work again", limit=30)

    assert (report["code"], report["hop"]) == ("vlan-tag-wrong", "destination-br-int"), report["report"]


def test_a_real_subport_is_found_once(charm: deployed.Cloud, trunk: trunks.Trunk):
    answer = json.loads(charm.run(OTHER, "find-port", {"what": trunk.subport.port, "format": "json"})["answer"])

    (found,) = answer["ports"]
    assert [one["kernel_device"] for one in found["devices"]] == [trunk.parent.device]
    assert found["problems"] == []
    assert found["network"]["segmentation_id"] == topology.SEGMENT
