"""The command for operators, as a process of its own, through the stand-in for Juju, on two real switches."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Callable, Generator
from typing import Any

import jsonschema
import pytest

from tests import schemas
from tests.lab import demo, deployed, processes, topology

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("command"), pytest.mark.usefixtures("nothing_is_left")]

LEADER, OTHER = deployed.LEADER, deployed.OTHER
COMMAND = [sys.executable, "-m", "ovs_pathfinder.command"]
LIBRARY = pathlib.Path(__file__).resolve().parents[2] / "lib"
QUICK = ("--count", "2", "--interval", "0.1")
Finished = subprocess.CompletedProcess[str]


@contextlib.contextmanager
def started(cloud: deployed.Cloud, *words: str) -> Generator["subprocess.Popen[str]"]:
    """Start the command; it does not outlive the test."""
    environment = {**os.environ, "JUJU": str(demo.JUJU), "LAB_JUJU_MODEL": str(cloud.model), "PYTHONPATH": str(LIBRARY)}
    with subprocess.Popen(
        [*COMMAND, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: "subprocess.Popen[str]") -> Finished:
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def trace(cloud: deployed.Cloud, *words: str) -> Finished:
    with started(cloud, "trace", "octavia/2", cloud.lab.address, *QUICK, *words) as process:
        return finish(process)


def trace_with(
    cloud: deployed.Cloud, line: str, act: Callable[["subprocess.Popen[str]"], object], *words: str
) -> Finished:
    """Trace, and do something as soon as a line of the progress holds some words."""
    with started(cloud, "trace", "octavia/2", cloud.lab.address, *QUICK, *words) as process:
        assert process.stderr is not None
        heard = ""
        for heard_line in process.stderr:
            heard += heard_line
            if line in heard_line:
                act(process)
                break
        else:
            pytest.fail(f"{line!r} was not told: {heard}")
        done = finish(process)
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout, heard + done.stderr)


def interrupt(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGINT)


def tasks(cloud: deployed.Cloud) -> list[dict[str, Any]]:
    """Return all tasks, the latest last."""
    files = sorted((cloud.lab.directory / "juju" / "tasks").glob("[0-9]*.json"), key=lambda file: int(file.stem))
    return [json.loads(file.read_text()) for file in files]


def status(cloud: deployed.Cloud, identity: str) -> str:
    return next(one["status"] for one in tasks(cloud) if one["id"] == identity)


@pytest.fixture(scope="module")
def old(cloud: deployed.Cloud) -> deployed.Cloud:
    """Return the same deployment under Juju 2.9, with relation hooks that do not run: evidence arrives by nobody."""
    overrides: dict[str, Any] = {"juju-version": "2.9.50", "deliver": "manual"}
    return cloud.variant("old", None, **overrides)


def test_switch_that_disobeys_is_found_tried_and_proven_in_one_command_without_any_relation_under_juju_2(
    old: deployed.Cloud,
):
    with deployed.suffering(old.lab, "switch-disobeys"):
        done = trace(old, "--trial", "auto", "--count", "5", "--format", "json")

    assert done.returncode == 1, done.stderr
    jsonschema.validate(json.loads(done.stdout), schemas.all_of_them()["paths.schema.json"])
    (path,) = json.loads(done.stdout)["paths"]
    diagnosis = path["diagnosis"]
    assert (diagnosis["code"], diagnosis["certainty"], diagnosis["hop"]) == (
        "switch-disobeys",
        "proven",
        "source-br-int",
    )
    assert (diagnosis["missing"], path["problems"], path["next"]) == ([], [], [])
    assert [one["effect"] for one in diagnosis["trials"]] == ["heals"]
    assert "trial: ovs-pathfinder/0: during: 5 of 5 packets were answered" in done.stderr
    assert deployed.closed(old.host()).by == "action"


def test_packets_of_the_probe_come_along_as_files(cloud: deployed.Cloud, tmp_path: pathlib.Path):
    done = trace(cloud, "--captures", str(tmp_path / "pcap"))

    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "pcap").iterdir())
    assert all(f"captured: {file}\n" in done.stderr for file in files)
    points = ("destination-port", "destination-underlay", "source-port", "source-underlay")
    for point, file in zip(points, sorted(files, key=lambda one: one.name.split("-", 4)[4]), strict=True):
        assert point in file.name
        read = subprocess.run(
            ["tcpdump", "-nr", file, "ip6 and icmp6 or proto gre"], capture_output=True, text=True, check=True
        )
        assert read.stdout.count(f"{topology.SOURCE.address6} > {cloud.lab.address}: ICMP6, echo request") >= 2, point
        assert read.stdout.count(f"{cloud.lab.address} > {topology.SOURCE.address6}: ICMP6, echo reply") >= 2, point


def test_interruption_in_the_middle_of_a_trial_leaves_nothing_behind(cloud: deployed.Cloud):
    before = deployed.tables(cloud.lab)
    with deployed.broken(cloud):
        done = trace_with(cloud, "trial: ovs-pathfinder/0: during: ", interrupt, "--trial", "auto")

    assert done.returncode == 130
    assert done.stdout == ""
    assert "interrupted: cancelling what runs\n" in done.stderr
    assert "Nothing is left behind on this unit." in done.stderr or "undone" in done.stderr
    assert tasks(cloud)[-1]["name"] == "clean-up"
    assert {one["status"] for one in tasks(cloud)} <= {"completed", "failed", "aborted", "cancelled"}
    assert deployed.ours(cloud.host()) == []
    assert deployed.tables(cloud.lab) == before


def test_unit_that_dies_while_it_probes_is_named_and_the_rest_reported(cloud: deployed.Cloud):
    def die(_: object) -> None:
        deployed.charms(cloud.host(OTHER))[0].kill()

    done = trace_with(cloud, f"probe: {OTHER}: ", die)

    assert done.returncode in (0, 2), done.stderr
    assert f"probe-path on {OTHER} failed: terminated" in " ".join(done.stdout.split())
    assert f"The evidence of {OTHER}" in " ".join(done.stdout.split())


def test_unit_that_hangs_is_given_up_and_the_rest_reported(cloud: deployed.Cloud):
    def hang(_: object) -> None:
        os.kill(deployed.charms(cloud.host(OTHER))[0].pid, signal.SIGSTOP)

    done = trace_with(cloud, f"probe: {OTHER}: ", hang, "--wait", "1", "--patience", "5")

    assert done.returncode in (0, 2), done.stderr
    assert f"{OTHER} did not answer probe-path within 6.2 s and was given up" in " ".join(done.stdout.split())
    probes = [one for one in tasks(cloud) if (one["name"], one["unit"]) == ("probe-path", OTHER)]
    (identity,) = [one["id"] for one in probes[-1:]]
    processes.wait_until(lambda: status(cloud, identity) == "aborted", "the end of its task")


def test_healthy_path_is_told_whoever_leads_when_it_is_planned_and_when_it_is_reported(cloud: deployed.Cloud):
    def lead(unit: str) -> None:
        assert cloud.call("lead", unit).returncode == 0

    lead(OTHER)
    done = trace_with(cloud, f"probe: {LEADER}: sending", lambda _: lead(LEADER))

    assert (done.returncode, done.stdout.splitlines()[0].rpartition(" ")[2]) == (0, "OK"), done.stderr
    assert "source port     o-hm0          │                    2/2 │                    2/2" in done.stdout
    assert f"probe: {OTHER}: " in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    asked = [(one["name"], one["unit"]) for one in tasks(cloud)[-4:]]
    assert asked[0] == ("plan-path", OTHER)
    assert asked[-1] == ("path-report", LEADER)


def test_two_operators_at_once_one_of_them_sweeping_each_get_their_report(
    cloud: deployed.Cloud, tmp_path: pathlib.Path
):
    place = tmp_path / "paths.xml"
    ends = ("octavia/2", cloud.lab.address)
    with (
        started(cloud, "sweep", *QUICK, "--format", "junit", "--output", str(place)) as sweeping,
        started(cloud, "trace", *ends, *QUICK, "--format", "json") as tracing,
    ):
        done = [finish(one) for one in (sweeping, tracing)]

    assert [one.returncode for one in done] == [0, 0], [one.stderr for one in done]
    (case,) = xml.etree.ElementTree.parse(place).getroot().iter("testcase")  # noqa: S314 - of our own making
    assert (case.get("classname"), case.get("name"), list(case)) == (*ends, [])
    (path,) = json.loads(done[1].stdout)["paths"]
    assert (path["diagnosis"]["code"], path["problems"]) == ("path-ok", [])


def test_what_goes_wrong_is_one_sentence(cloud: deployed.Cloud):
    with started(cloud, "trace", "octavia/9", cloud.lab.address, "--quiet") as process:
        done = finish(process)

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("ovs-pathfinder: plan-path on ovs-pathfinder/0 failed: ")
    assert "octavia/9" in done.stderr
    assert done.stderr.count("\n") == 1


def test_tests_for_a_real_model_pass_on_this_one(cloud: deployed.Cloud):
    environment = {**os.environ, "JUJU": cloud.juju.cli_binary}

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", LIBRARY.parent / "tests" / "integration"],
        env=environment,
        cwd=LIBRARY.parent,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
