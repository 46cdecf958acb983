"""What a person reads comes first: Juju prints results in the order of their names."""

import json
import pathlib
from typing import Any

import pytest
import yaml

import answers
import inspections
from ovs_pathfinder import report
from ovs_pathfinder.evidence import wire
from ovs_pathfinder.inspection import tunnels
from ovs_pathfinder.report import view
from tests.unit.report import test_report, test_trials

ACTIONS: dict[str, Any] = yaml.safe_load((pathlib.Path(__file__).resolve().parents[2] / "actions.yaml").read_text())


def is_json(result: str) -> bool:
    return result.startswith(("{", "["))


@pytest.mark.parametrize("action", [*inspections.MODULES, "path-report"])
def test_every_action_that_asks_takes_a_format(action: str) -> None:
    assert {"text", "json"} <= set(ACTIONS[action]["params"]["format"]["enum"])
    assert ACTIONS[action]["params"]["format"]["default"] == "text"


def test_json_is_answered_where_it_is_asked_for() -> None:
    plan, evidence = test_report.made("egress")
    found = tunnels.Answer(summary="None.", unit="a/0")

    assert not any(map(is_json, report.results(plan, evidence).values()))
    assert not any(map(is_json, view.view(found).values()))
    assert is_json(report.results(plan, evidence, "json")["diagnosis"])
    assert is_json(view.view(found, "json")["answer"])


def test_evidence_is_there_always_and_comes_after_what_is_read() -> None:
    plan, evidence = test_report.made("egress")
    found = {"probe": answers.probe(plan, evidence[0], "a"), "trial": answers.trial(test_trials.TRIALS["heals"], "a")}

    for results in found.values():
        first, *others = sorted(results)
        assert first == "brief"
        assert results["next"] in results["brief"]
        assert is_json(results["evidence"])
        assert [one for one in others if is_json(results[one])] == ["evidence"]
    assert [one.found for one in wire.read(json.dumps({"results": found["probe"]}))] == [evidence[0]]
    assert "before: 0 of 5 answered" in found["trial"]["brief"]
    assert "source-port (dev): 5 forward, 0 reply" in found["probe"]["brief"].splitlines()
