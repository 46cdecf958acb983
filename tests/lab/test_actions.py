"""The real charm's actions, through its dispatch on both units, driven by jubilant as an operator's tools would."""

import json
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import jsonschema
import jubilant
import pytest

from tests import schemas
from tests.lab import deployed, faults, hosts, processes

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("actions")]

LEADER, OTHER = deployed.LEADER, deployed.OTHER


@pytest.fixture(scope="module")
def cloud(lab_support: None) -> Iterator[deployed.Cloud]:
    with hosts.Lab.start() as lab:
        lab.warm_up()
        yield deployed.Cloud.start(lab)


@pytest.fixture(scope="module")
def planned(cloud: deployed.Cloud) -> str:
    return cloud.plan()["run"]


def test_healthy_path_is_reported_as_such(cloud: deployed.Cloud):
    plan = cloud.plan()
    probed = cloud.probe(plan["run"])
    report = cloud.run(LEADER, "path-report", {"run": plan["run"], "format": "json"})

    assert plan["next"] == (
        f"juju run {LEADER} {OTHER} probe-path run={plan['run']}\n"
        f"juju run ovs-pathfinder/leader path-report run={plan['run']}"
    )
    assert {unit: results["role"] for unit, results in probed.items()} == {LEADER: "source", OTHER: "destination"}
    assert (report["verdict"], report["code"], report["certainty"]) == ("ok", "path-ok", "proven")
    diagnosis = json.loads(report["diagnosis"])
    jsonschema.validate(diagnosis, schemas.all_of_them()["diagnosis.schema.json"])
    seen = {hop["hop"]: (hop["forward"], hop["reply"]) for hop in diagnosis["hops"]}
    watched = ("source-port", "source-underlay", "destination-underlay", "destination-port")
    assert [seen[hop] for hop in watched] == [(5, 5)] * 4


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_report_comes_in_every_form(cloud: deployed.Cloud, form: str):
    run = cloud.plan()["run"]
    probed = cloud.probe(run, count=2, interval=0.1)
    evidence = "\n".join(results["evidence"] for results in probed.values())

    report = cloud.run(OTHER, "path-report", {"run": run, "format": form, "evidence": evidence})

    start = {"text": f"Path report {run}: OK", "markdown": f"# Path report {run}: OK", "json": "{"}
    assert report["report"].startswith(start[form])


def test_a_probe_asks_little_of_the_host(cloud: deployed.Cloud, planned: str):
    found = json.loads(cloud.probe(planned, count=3, interval=0.1)[LEADER]["evidence"])

    assert found["probe"]["transmitted"] == 3
    assert all(not one["error"] for one in found["observations"])
    assert found["problems"] == []


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"source": "octavia/9"}, ["octavia/9"]),
        ({"destination": "fc00::dead"}, ["fc00::dead"]),
        ({"destination": "no-such-port"}, ["no-such-port"]),
        ({"destination": "octavia-health-manager-octavia-2-listen-port"}, ["same"]),
        ({"protocol": "tcp"}, ["port"]),
        ({"port": 80}, ["port 80", "ICMP"]),
        ({"source": deployed.METACHARACTERS}, ["touch"]),
        ({"destination": deployed.METACHARACTERS}, ["touch"]),
        ({"destination": "one\ntwo"}, ["destination", "control character"]),
    ],
)
def test_bad_ends_are_refused_by_name(cloud: deployed.Cloud, params: dict[str, Any], words: list[str]):
    message = cloud.refuse(LEADER, "plan-path", {"source": "octavia/2", "destination": cloud.lab.address, **params})

    assert all(word in message for word in words), message
    assert not deployed.PWNED.exists()


@pytest.mark.parametrize("count", [0, 10**9])
def test_absurd_counts_are_refused_before_anything_runs(cloud: deployed.Cloud, planned: str, count: int):
    with pytest.raises((jubilant.TaskError, ValueError, jubilant.CLIError), match=r"count|validation"):
        cloud.run(LEADER, "probe-path", {"run": planned, "count": count})


def test_a_probe_that_would_take_minutes_is_refused(cloud: deployed.Cloud, planned: str):
    message = cloud.refuse(LEADER, "probe-path", {"run": planned, "count": 200, "interval": 5})

    assert "1000 s" in message


@pytest.mark.parametrize("run", ["20200101t000000-000000", deployed.METACHARACTERS[:64], "../../etc/passwd"])
@pytest.mark.parametrize("action", ["probe-path", "path-report"])
def test_unknown_runs_are_refused(cloud: deployed.Cloud, planned: str, action: str, run: str):
    message = cloud.refuse(LEADER, action, {"run": run})

    assert repr(run) in message
    assert planned in message


def test_only_the_leader_plans(cloud: deployed.Cloud):
    message = cloud.refuse(OTHER, "plan-path", {"source": "octavia/2", "destination": cloud.lab.address})

    assert "is not the leader" in message
    assert "juju run ovs-pathfinder/leader plan-path" in message


def test_report_without_evidence_says_what_to_run(cloud: deployed.Cloud):
    run = cloud.plan()["run"]

    message = cloud.refuse(LEADER, "path-report", {"run": run})

    assert f"juju run {LEADER} {OTHER} probe-path run={run}" in message


def test_evidence_that_is_missing_is_named_and_nobody_accused(cloud: deployed.Cloud):
    run = cloud.plan()["run"]
    cloud.run(OTHER, "probe-path", {"run": run, "wait": 0.1})

    report = cloud.run(LEADER, "path-report", {"run": run})

    assert (report["verdict"], report["code"]) == ("cannot-tell", "cannot-tell")
    assert LEADER in report["report"]


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ("not json {", "not JSON"),
        ("[]", "holds no evidence"),
        ('{"version": 1, "run": "20200101t000000-000000"}', "damaged"),
        ('{"version": 99, "run": "20200101t000000-000000"}', "format 99"),
        (deployed.METACHARACTERS, "not JSON"),
    ],
)
def test_unusable_evidence_is_refused(cloud: deployed.Cloud, planned: str, evidence: str, words: str):
    assert words in cloud.refuse(LEADER, "path-report", {"run": planned, "evidence": evidence})


def test_evidence_of_another_run_is_refused(cloud: deployed.Cloud, planned: str):
    other = cloud.plan()["run"]
    evidence = cloud.run(OTHER, "probe-path", {"run": other, "wait": 0.1})["evidence"]

    message = cloud.refuse(LEADER, "path-report", {"run": planned, "evidence": evidence})

    assert other in message
    assert planned in message


def test_evidence_of_another_attempt_accuses_nobody(cloud: deployed.Cloud):
    run = cloud.plan()["run"]
    first = cloud.probe(run)[LEADER]["evidence"]
    lonely = cloud.run(OTHER, "probe-path", {"run": run, "wait": 0.1})["evidence"]

    report = cloud.run(LEADER, "path-report", {"run": run, "evidence": first + lonely})

    assert report["verdict"] == "ok"
    assert "did not watch at the same time" in report["report"]


def test_unit_off_the_path_says_who_is_on_it(cloud: deployed.Cloud):
    units = cloud.units
    units["ovs-pathfinder/2"] = {**units[OTHER], "principal": "nova-compute/1", "address": "10.254.0.99"}
    units["ovs-pathfinder/2"]["env"] = {**units[OTHER]["env"], "OVS_RUNDIR": "/nonexistent"}
    model = cloud.other("three", units=units)
    plan = deployed.answer(deployed.juju(model, *_plan_arguments(cloud)))

    answer = deployed.answer(
        deployed.juju(
            model, "run", "--format", "json", "ovs-pathfinder/2", "probe-path", f"run={plan['results']['run']}"
        )
    )

    assert answer["status"] == "failed"
    assert "is not on the path" in answer["message"]
    assert f"{LEADER} and {OTHER}" in answer["message"]


def test_switch_that_does_not_run_is_named(cloud: deployed.Cloud, tmp_path: pathlib.Path):
    units = cloud.units
    model = cloud.other("dead")
    run = deployed.answer(deployed.juju(model, *_plan_arguments(cloud)))["results"]["run"]
    units[OTHER]["env"] = {**units[OTHER]["env"], "OVS_RUNDIR": str(tmp_path)}
    cloud.other("dead", units=units)

    answer = deployed.answer(deployed.juju(model, "run", "--format", "json", OTHER, "probe-path", f"run={run}"))

    assert answer["status"] == "failed"
    assert "ovsdb-server does not answer" in answer["message"]


def test_plan_without_credentials_says_what_to_relate(cloud: deployed.Cloud):
    answer = deployed.answer(deployed.juju(cloud.other("poor", relations={}), *_plan_arguments(cloud)))

    assert answer["status"] == "failed"
    assert "no OpenStack credentials" in answer["message"]


def test_old_juju_is_spoken_to_in_its_own_words(cloud: deployed.Cloud):
    model = cloud.other("old", **{"juju-version": "2.9.51"})
    words = ["run-action", "--wait", "--format", "json", LEADER, "plan-path", *_plan_arguments(cloud)[-2:]]

    (answer,) = json.loads(deployed.juju(model, *words).stdout).values()

    assert answer["results"]["next"].startswith(f"juju run-action --wait {LEADER} {OTHER} probe-path run=")


def test_killed_probe_leaves_nothing_running(cloud: deployed.Cloud, planned: str):
    """Juju cancels with SIGKILL of the one Python process: its captures must end with it."""
    host = cloud.host()
    command = ["run", "--background", LEADER, "probe-path", f"run={planned}", "wait=30"]
    cloud.call(*command)
    processes.wait_until(lambda: deployed.tools(host), "captures")

    deployed.charms(host)[0].kill()

    processes.wait_until(lambda: not deployed.tools(host), "the end of all captures")
    assert not deployed.tools(host)


def _plan_arguments(cloud: deployed.Cloud) -> list[str]:
    ends = ["source=octavia/2", f"destination={cloud.lab.address}"]
    return ["run", "--format", "json", LEADER, "plan-path", *ends]


SHOWN = ("switch-disobeys", "none")
"""The one that the readme shows, and none; test_faults.py has all the others."""


@pytest.mark.parametrize("fault", SHOWN)
def test_demo_shows_what_was_injected(lab_support: None, fault: str):
    command = ["python", "-m", "tests.lab.demo", "--fault", fault]
    python = str(hosts.CHECKOUT / ".venv" / "bin" / "python")

    done = subprocess.run(
        [python, *command[1:]], cwd=hosts.CHECKOUT, capture_output=True, text=True, timeout=120, check=False
    )

    truth = faults.load(fault).TRUTH
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"ok": ": OK", "broken": ": BROKEN"}[truth.verdict] in done.stdout
    if truth.hop:
        assert f"{truth.code}, proven: {truth.direction} packets stop at {truth.hop}" in " ".join(done.stdout.split())


def test_demo_lists_the_faults():
    done = subprocess.run(
        [str(hosts.CHECKOUT / ".venv" / "bin" / "python"), "-m", "tests.lab.demo", "--fault", "help"],
        cwd=hosts.CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert all(name in done.stdout for name in faults.names())
