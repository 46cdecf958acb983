import concurrent.futures
import json
import os
import subprocess
import sys
from typing import Any

import jubilant
import pytest

from tests.integration import conftest

LEADER = f"{conftest.APPLICATION}/leader"
Units = dict[str, jubilant.statustypes.UnitStatus]


@pytest.fixture(scope="module")
def path(juju: jubilant.Juju, units: Units) -> tuple[str, str]:
    """Return a unit of octavia, and the management address of an amphora."""
    answer: dict[str, Any] = json.loads(
        juju.run(sorted(units)[0], "list-amphorae", {"format": "json"}).results["answer"]
    )
    found = [one["management_address"] for one in answer["amphorae"] if one.get("management_address")]
    if not found:
        pytest.skip("the cloud has no amphora; make a load balancer")
    return sorted(juju.status().apps["octavia"].units)[0], found[0]


def plan(juju: jubilant.Juju, path: tuple[str, str]) -> dict[str, Any]:
    return juju.run(LEADER, "plan-path", {"source": path[0], "destination": path[1]}).results


def together(juju: jubilant.Juju, planned: dict[str, Any], action: str, **params: Any) -> dict[str, dict[str, Any]]:
    """Run an action of a run on all of its units at once."""

    def run(unit: str) -> dict[str, Any]:
        return juju.run(unit, action, {"run": planned["run"], **params}).results

    units: list[str] = planned["units"].split()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(units, pool.map(run, units), strict=True))


def test_units_are_active(units: Units):
    assert {one.workload_status.current for one in units.values()} == {"active"}


def test_path_to_an_amphora_is_ok(juju: jubilant.Juju, path: tuple[str, str]):
    planned = plan(juju, path)
    evidence = "\n".join(one["evidence"] for one in together(juju, planned, "probe-path").values())

    report = juju.run(LEADER, "path-report", {"run": planned["run"], "evidence": evidence}).results

    assert report["verdict"] == "ok", report["report"]


def test_command_says_the_same(juju: jubilant.Juju, path: tuple[str, str]):
    done = subprocess.run(
        [sys.executable, "-m", "ovs_pathfinder.command", "trace", *path, "--application", conftest.APPLICATION],
        env={**os.environ, "JUJU": juju.cli_binary, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_flows_that_are_tried_are_taken_back(juju: jubilant.Juju, path: tuple[str, str]):
    tried = together(juju, plan(juju, path), "try-flows", at="destination")

    for unit in tried:
        assert "Nothing is left behind" in juju.run(unit, "clean-up", {"dry-run": True}).results["summary"]
