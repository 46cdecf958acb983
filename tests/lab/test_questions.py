"""Each action that asks, run through Juju and the charm's own entry point on hosts of a lab, one after the other."""

import concurrent.futures
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

import inspections
from tests import schemas
from tests.lab import deployed, hosts, topology

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("questions")]

LEADER, OTHER = deployed.LEADER, deployed.OTHER
SCHEMAS = schemas.all_of_them()
_WIDTH = 80


@pytest.fixture(scope="module")
def cloud(lab_support: None) -> Iterator[deployed.Cloud]:
    with hosts.Lab.start() as lab:
        lab.warm_up()
        yield deployed.Cloud.start(lab)


@pytest.fixture(scope="module")
def planned(cloud: deployed.Cloud) -> str:
    return cloud.plan()["run"]


def ask(cloud: deployed.Cloud, unit: str, action: str, **params: Any) -> dict[str, Any]:
    """Run an action; return its answer, which is as published, with a page that fits a terminal."""
    with deployed.unchanged(cloud.lab):
        given = {name.replace("_", "-"): value for name, value in params.items()}
        results = cloud.run(unit, action, {**given, "format": "json"})
    found = json.loads(results["answer"])
    jsonschema.validate(found, SCHEMAS[f"{action}.schema.json"])
    assert results["summary"] == found["summary"]
    wide = [line for line in results["report"].splitlines() if len(line) > _WIDTH]
    assert [line for line in wide if max(map(len, line.split())) < _WIDTH - 10] == [], "it could have been broken"
    return found


def test_every_action_that_asks_has_a_test_here() -> None:
    text = pathlib.Path(__file__).read_text()

    assert [action for action in inspections.MODULES if f'"{action}"' not in text] == []


def test_list_amphorae(cloud: deployed.Cloud) -> None:
    found = ask(cloud, LEADER, "list-amphorae")

    (unit,) = {one["unit"] for one in found["amphorae"] if one["management_address"] == cloud.lab.address}
    assert unit == OTHER


@pytest.mark.parametrize("sought", ["address", topology.GUEST.port, topology.GUEST.device, topology.GUEST.mac])
def test_find_port(cloud: deployed.Cloud, sought: str) -> None:
    found = ask(cloud, OTHER, "find-port", what=cloud.lab.address if sought == "address" else sought)

    (port,) = found["ports"]
    assert port["port"]["id"] == topology.GUEST.port
    assert [one["name"] for one in port["devices"]] == [topology.GUEST.device]


def test_show_tunnels(cloud: deployed.Cloud) -> None:
    (tunnel,) = ask(cloud, LEADER, "show-tunnels")["tunnels"]

    assert (tunnel["remote_unit"], tunnel["remote_principal"]) == (OTHER, "nova-compute/0")


def test_ping(cloud: deployed.Cloud, planned: str) -> None:
    found = ask(cloud, LEADER, "ping", run=planned, count=2)

    assert (found["sent"], found["received"]) == (2, 2)


def test_check_port(cloud: deployed.Cloud, planned: str) -> None:
    found = ask(cloud, LEADER, "check-port", run=planned, port=9443)

    assert (found["connected"], found["refused"], found["silent"]) == (3, 0, 0)


def test_capture_and_what_becomes_of_its_packets(cloud: deployed.Cloud, planned: str) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        capturing = pool.submit(ask, cloud, LEADER, "capture", run=planned, at="port", packets=2, duration=60)
        while not capturing.done():
            cloud.lab.ping(1)
        captured = capturing.result()

    traced = ask(cloud, LEADER, "trace-packet", run=planned, file=captured["path"], packet=1)
    assert captured["captured"] == 2
    assert pathlib.Path(captured["path"]).stat().st_mode & 0o777 == 0o600
    assert [one["outcome"] for one in traced["traces"]]


def test_trace_packet(cloud: deployed.Cloud, planned: str) -> None:
    found = ask(cloud, LEADER, "trace-packet", run=planned)

    assert found["traces"]


def test_explain_security(cloud: deployed.Cloud, planned: str) -> None:
    found = ask(cloud, OTHER, "explain-security", run=planned)

    assert found["passes"] is True


def test_dump_flows_in_a_snapshot_and_against_it(cloud: deployed.Cloud) -> None:
    dumped = ask(cloud, LEADER, "dump-flows", table=72, hit=False)
    kept = ask(cloud, LEADER, "snapshot-flows", label="before")
    same = ask(cloud, LEADER, "diff-flows", before="before")
    with deployed.broken(cloud):
        differing = ask(cloud, LEADER, "diff-flows", before=kept["name"])

    assert [one["flows"] for one in kept["tables"] if (one["bridge"], one["table"]) == ("br-int", 72)] == [
        dumped["total"]
    ]
    assert same["same"]
    assert [(one["change"], one["cookie"]) for one in differing["flows"]] == [("new", "0xbad")]


@pytest.mark.parametrize(
    ("action", "params", "words"),
    [
        ("list-amphorae", {"loadbalancer": "nobody's"}, ["nobody's"]),
        ("find-port", {"what": "fc00::dead"}, ["fc00::dead"]),
        ("ping", {"run": "20200101t000000-000000"}, ["20200101t000000-000000"]),
        ("check-port", {"destination": deployed.METACHARACTERS, "port": 80}, ["touch"]),
        ("capture", {"device": "eth77"}, ["eth77"]),
        ("trace-packet", {"file": "/etc/hostname", "packet": 1}, ["/etc/hostname"]),
        ("explain-security", {"port": "fc00::dead", "remote": "fc00::1"}, ["fc00::dead"]),
        ("dump-flows", {"bridge": "br-none"}, ["br-none", "br-int"]),
        ("dump-flows", {"match": "no_such_field=1"}, ["no_such_field"]),
        ("snapshot-flows", {"label": "../../etc/passwd"}, ["label", "../../etc/passwd"]),
        ("diff-flows", {"before": "never-taken"}, ["there is no snapshot"]),
        ("diff-flows", {"before": "/etc/hostname"}, ["/etc/hostname"]),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_sentence(
    cloud: deployed.Cloud, action: str, params: dict[str, Any], words: list[str]
) -> None:
    with deployed.unchanged(cloud.lab):
        message = cloud.refuse(LEADER, action, params)

    assert all(word in message for word in words), message
    assert not deployed.PWNED.exists()


def test_stages_are_told_while_it_runs(cloud: deployed.Cloud) -> None:
    task = cloud.juju.run(LEADER, "snapshot-flows")

    assert any("reading the flows of br-int" in line for line in task.log), task.log
