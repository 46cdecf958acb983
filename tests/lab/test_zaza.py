"""The module for zaza: zaza's own commands and functions, on a model of the stand-in's, on two real switches."""

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import yaml

from tests.lab import deployed, topology

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("zaza"), pytest.mark.usefixtures("nothing_is_left")]

KEYSTONE = "keystone-credentials"
ROOT = pathlib.Path(__file__).resolve().parents[2]
SUITE = """
import unittest
from ovs_pathfinder import zaza as pathfinder

class Suite(unittest.TestCase):
    def test_that_fails(self):
        with pathfinder.explained(lambda: "{address}", "octavia/2"):
            self.fail("the amphora was not reached")

    def test_that_is_skipped(self):
        with pathfinder.explained("{address}"):
            self.skipTest("not here")

    @pathfinder.explained("nobody")
    def test_of_what_does_not_exist(self):
        self.fail("nobody was not reached")
"""


def suite(
    cloud: deployed.Cloud, folder: pathlib.Path, step: str, *steps: str, lacks: str = "", **options: Any
) -> "subprocess.CompletedProcess[str]":
    """Run a step of a suite in a process of its own, with a tests.yaml of its own."""
    (folder / "suite.py").write_text(SUITE.replace("{address}", cloud.lab.address))
    key = {"test": "tests", "configure": "configure"}[step]
    given = {"count": 2, "interval": 0.1, "log-dir": str(folder / "logs"), **options}
    content = {"charm_name": "octavia", key: list(steps), "tests_options": {"ovs-pathfinder": given}}
    (folder / "tests.yaml").write_text(yaml.safe_dump(content))
    python_path = os.pathsep.join((str(ROOT / "lib"), str(ROOT), str(folder)))
    return subprocess.run(
        [sys.executable, "-m", "tests.lab.libjuju", cloud.model, step, "-m", "lab", "--test-directory", folder],
        env={**os.environ, "PYTHONPATH": python_path, "LIBJUJU_LACKS": lacks},
        capture_output=True,
        text=True,
        timeout=180,
    )


def written(folder: pathlib.Path, name: str) -> dict[str, Any]:
    assert {one.suffix for one in (folder / "logs").glob(f"{name}.*")} == {".html", ".json", ".txt"}
    return json.loads((folder / "logs" / f"{name}.json").read_text())


def test_every_amphora_is_reached_and_failures_of_other_suites_are_explained_and_stay_what_they_were(
    cloud: deployed.Cloud, tmp_path: pathlib.Path
):
    done = suite(cloud, tmp_path, "test", "ovs_pathfinder.zaza.PathTest", "suite.Suite")

    assert "## Running Test suite.Suite ##" in done.stderr, "the one before did not fail"
    (path,) = written(tmp_path, "paths")["paths"]
    assert (path["source"], path["diagnosis"]["verdict"]) == ("octavia/2", "ok")
    assert "ACTIVE" in path["note"] or "BOOTING" in path["note"], "octavia was asked for its amphorae"

    assert "AssertionError: the amphora was not reached" in done.stderr
    assert f"why {cloud.lab.address} was not reached:" in done.stderr
    assert "Path report " in done.stderr
    assert "skipped 'not here'" in done.stderr
    assert "failures=2, skipped=1" in done.stderr
    name = f"unreached-{cloud.lab.address.replace(':', '_')}"
    (path,) = written(tmp_path, name)["paths"]
    assert (path["source"], path["diagnosis"]["verdict"]) == ("octavia/2", "ok"), "not the path's fault"
    file = sorted((tmp_path / "logs" / "captures").glob("*-source-port-*.pcap"))[-1]
    read = subprocess.run(["tcpdump", "-nr", file, "icmp6"], capture_output=True, text=True, check=True)
    assert topology.SOURCE.address6 in read.stdout
    assert "AssertionError: nobody was not reached" in done.stderr
    assert "why nobody was not reached:" in done.stderr
    assert "'nobody'" in (tmp_path / "logs" / "unreached-nobody.txt").read_text()


def test_broken_path_fails_with_its_report(cloud: deployed.Cloud, tmp_path: pathlib.Path):
    with deployed.broken(cloud):
        done = suite(
            cloud, tmp_path, "test", "ovs_pathfinder.zaza.PathTest", destinations=cloud.lab.address, sources="octavia/2"
        )

    assert done.returncode != 0
    assert f"source='octavia/2', destination='{cloud.lab.address}'" in done.stderr
    assert "Path report " in done.stderr
    assert "AssertionError: Test run failed" in done.stderr, "zaza's own word for it"
    (path,) = written(tmp_path, "paths")["paths"]
    assert path["diagnosis"]["verdict"] == "broken"


def test_charm_is_deployed_and_related_where_it_is_not(cloud: deployed.Cloud, tmp_path: pathlib.Path):
    steps = ("ovs_pathfinder.zaza.deploy", "ovs_pathfinder.zaza.check", "ovs_pathfinder.zaza.deploy")

    done = suite(cloud, tmp_path, "configure", *steps, lacks="ovs-pathfinder", charm="./x.charm", channel="edge")

    assert done.returncode == 0, done.stderr
    given = {"application_name": "ovs-pathfinder", "num_units": 0, "channel": "edge", "base": "ubuntu@22.04"}
    assert done.stderr.count(f"libjuju deploys ./x.charm with {given}") == 1
    for endpoint, remote in (("juju-info", "octavia"), ("juju-info", "nova-compute"), (KEYSTONE, "keystone")):
        assert done.stderr.count(f"relating ovs-pathfinder:{endpoint} to {remote}\n") == 1, "not related twice"
