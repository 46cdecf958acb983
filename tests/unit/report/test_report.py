import json
import re

import jsonschema
import pytest

from ovs_pathfinder import path, report
from ovs_pathfinder.diagnosis import diagnose
from ovs_pathfinder.evidence import record
from ovs_pathfinder.report import render
from tests import schemas
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World

_DROP = build.trace("forward", "dropped", "br-int 0 0", "br-int 72 40 ct_state=-est", "br-int 93 0")
WORLDS = {
    "ok": World(),
    "egress": World(lost_after={("forward", "source-port"): 5}, traces={("source", "forward"): _DROP}),
    "underlay": World(lost_after={("forward", "source-underlay"): 5}),
    "degraded": World(lost_after={("reply", "destination-underlay"): 2}),
    "unwatched": World(failed=frozenset(path.POINTS), lost_after={("forward", "source-port"): 5}),
    "neighbour": World(carrier="neighbour", lost_after={("forward", "destination-underlay"): 5}),
    "one host": World(plan=build.plan(same_host=True)),
    "refused": World(plan=build.plan(protocol="tcp", port=9443), probe={"refused": 5}),
    "nothing": World(plan=build.plan(warnings=("A warning | with a bar.",)), count=0),
}
FORMS: tuple[render.Format, ...] = ("text", "markdown", "json")


def made(name: str) -> tuple[path.Plan, list[record.Evidence]]:
    return WORLDS[name].plan, WORLDS[name].run()


@pytest.mark.parametrize("name", WORLDS)
def test_text_fits_a_terminal(name: str) -> None:
    text = report.results(*made(name))["report"]

    for line in text.splitlines():
        assert len(line) <= 80 or max(map(len, line.split())) > 70, line
    assert "None" not in text
    assert text.splitlines()[0].startswith(f"Path report {build.RUN}: ")
    assert "\n\n\n\n" not in text


@pytest.mark.parametrize("name", WORLDS)
def test_the_markdown_table_is_whole(name: str) -> None:
    text = report.results(*made(name), "markdown")["report"]

    table = [line for line in text.splitlines() if line.startswith("|")]
    plan, evidence = made(name)
    assert len(table) == 2 + len(diagnose.diagnose(plan, evidence).hops)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {8}
    assert text.count("```") % 2 == 0


@pytest.mark.parametrize("name", WORLDS)
def test_json_follows_its_schema(name: str) -> None:
    found = report.results(*made(name), "json")
    schema = schemas.all_of_them()["diagnosis.schema.json"]

    jsonschema.Draft202012Validator.check_schema(schema)
    for text in (found["report"], found["diagnosis"]):
        jsonschema.validate(json.loads(text), schema)
        assert json.loads(text)["code"] == found["code"]


@pytest.mark.parametrize("name", WORLDS)
def test_results_are_as_juju_wants_them(name: str) -> None:
    for form in FORMS:
        found = report.results(*made(name), form)
        assert all(re.fullmatch(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", key) for key in found)
        assert all(value and len(value.encode()) < 131_071 for value in found.values())


def test_a_report_says_what_is_the_matter() -> None:
    text = report.results(*made("egress"))["report"]

    assert "BROKEN" in text
    assert "egress-rule-missing" in text
    assert "✗ lost" in text
    assert "security group rule list" in text


def _huge() -> list[record.Evidence]:
    source, destination = WORLDS["egress"].run()
    long = "→" * 60_000
    quoted = _DROP.model_copy(update={"command": long, "reason": long})
    return [source.model_copy(update={"traces": (quoted,), "problems": (long,) * 40}), destination]


@pytest.mark.parametrize("form", FORMS)
def test_no_evidence_makes_a_result_too_large(form: render.Format) -> None:
    found = report.results(WORLDS["egress"].plan, _huge(), form)

    assert all(len(value.encode()) < 131_071 for value in found.values())
    assert json.loads(found["diagnosis"])["code"] == found["code"]
    if form == "json":
        assert json.loads(found["report"])["code"] == found["code"]


def test_a_finding_cannot_break_out_of_its_quotation() -> None:
    source, destination = WORLDS["egress"].run()
    nasty = _DROP.model_copy(update={"command": "x\n```\n# Heading | bar"})

    text = report.results(
        WORLDS["egress"].plan, [source.model_copy(update={"traces": (nasty,)}), destination], "markdown"
    )["report"]

    assert "\n# Heading" not in text
