import dataclasses
import json
import re

import jsonschema
import pytest

from ovs_pathfinder import path, report
from ovs_pathfinder.diagnosis import diagnose, verdict
from ovs_pathfinder.evidence import record
from ovs_pathfinder.report import outcome, render
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
    assert ("diagnosis" in found, "path" in found) == ((form == "json"),) * 2
    if form == "json":
        assert {json.loads(found[key])["code"] for key in ("report", "diagnosis")} == {found["code"]}


def test_no_number_of_long_sentences_makes_a_diagnosis_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, evidence = made("egress")
    seen = diagnose.diagnose(plan, evidence)
    long = "→" * 16_000
    wordy = seen.findings[0].model_copy(update={"summary": long, "next": (long,) * 50})
    told = seen.model_copy(update={"summary": long, "findings": (wordy,) * 30, "missing": (long,) * 30})

    def said(*_: object) -> verdict.Diagnosis:
        return told

    monkeypatch.setattr(diagnose, "diagnose", said)

    found = report.results(plan, evidence, "json")

    assert verdict.Diagnosis.model_validate_json(found["diagnosis"]).code == seen.code


def test_a_finding_cannot_break_out_of_its_quotation() -> None:
    source, destination = WORLDS["egress"].run()
    nasty = _DROP.model_copy(update={"command": "x\n```\n# Heading | bar"})

    text = report.results(
        WORLDS["egress"].plan, [source.model_copy(update={"traces": (nasty,)}), destination], "markdown"
    )["report"]

    assert "\n# Heading" not in text


@pytest.mark.parametrize(
    ("lost_after", "said", "mark"),
    [
        ({("forward", "destination-port"): 3}, "3 of 5 forward packets are lost at guest", "✗ 3 lost"),
        ({("forward", "destination-port"): 5}, "forward packets stop at guest", "✗ lost"),
        ({("reply", "destination-underlay"): 2}, "2 of 5 reply packets are lost at underlay", "✗ 2 lost"),
        ({("forward", "source-port"): 1}, "1 of 5 forward packets are lost at source-br-int", "✗ 1 lost"),
    ],
)
def test_every_form_says_how_many_are_lost_where(lost_after: dict[build.Station, int], said: str, mark: str) -> None:
    world = World(lost_after=lost_after)
    seen = diagnose.diagnose(world.plan, world.run())
    one = outcome.Outcome(source="a", destination="b", plan=world.plan, diagnosis=seen)
    forms: tuple[render.Form, ...] = ("text", "markdown", "html", "junit")

    for form in forms:
        shown = " ".join(render.document(outcome.Outcomes(paths=(one,)), form).split())
        assert said in shown
        assert shown.count(mark) == 1


def test_a_loss_at_a_counted_hop_is_marked() -> None:
    silent = {"transmitted": 5}
    world = World(
        lost_after={("forward", "source-port"): 5}, blind=frozenset({("forward", "source-port")}), probe=silent
    )
    plan, evidence = world.plan, world.run()
    found = diagnose.diagnose(plan, evidence)
    hops = tuple(one.model_copy(update={"lost": "reply" if one.hop == "source-port" else ""}) for one in found.hops)

    shown = render.render(plan, found.model_copy(update={"hops": hops}), "text")

    assert re.search(r"^source port .*✗ 0/5$", shown, re.M)


def test_what_does_not_touch_the_probe_is_no_loss_of_its_packets() -> None:
    world = World(source={"large": record.Probe(command="ping -s 1402", transmitted=3, sent=("b/1", "b/2", "b/3"))})
    large = {point: {"large_forward": ("b/1", "b/2", "b/3")} for point in ("source-port", "source-underlay")}
    world = dataclasses.replace(world, observations=large)

    text = " ".join(report.results(world.plan, world.run())["report"].split())

    assert "DEGRADED" in text
    assert "mtu-too-small, proven: at underlay, in the forward direction" in text
    assert "path-ok" not in text
    assert "works" not in text
    assert "✗" not in text


def test_the_table_cuts_neither_tables_nor_devices() -> None:
    plan, evidence = made("egress")
    found = diagnose.diagnose(plan, evidence)
    theory = {"theory_forward": "drops, table 200", "theory_reply": "not followed, in table 254", "lost": "both"}
    hops = tuple(
        one.model_copy(update={"device": "enp129s0f1np123", **(theory if one.forward is None else {})})
        for one in found.hops
    )
    many = found.model_copy(update={"hops": hops, "sent": 200})

    text = render.render(plan, many, "text")

    assert text.count("enp129s0f1np123") == len(hops)
    assert text.count("drops, table 200") == sum(one.forward is None for one in hops)
    assert max(map(len, text.splitlines())) <= 80
    assert "254" in text


def test_a_report_says_when_where_and_with_what() -> None:
    versions = {"ovs_version": "2.17.9", "datapath_type": "system", "kernel": "5.15.0-91-generic"}
    world = World(
        source={**versions, "hostname": "juju-4.maas"},
        destination={**versions, "hostname": "node-7.maas", "datapath_type": "netdev"},
    )

    text = " ".join(report.results(world.plan, world.run())["report"].split())
    without = " ".join(report.results(world.plan, world.run()[:1])["report"].split())

    assert "planned 2022-03-14 10:15:00 UTC, probed 2022-03-14 10:15:10 UTC" in text
    assert (
        "source on juju-4.maas (ovs-pathfinder/0): Open vSwitch 2.17.9, datapath system, kernel 5.15.0-91-generic "
        "destination on node-7.maas (ovs-pathfinder/1): Open vSwitch 2.17.9, datapath netdev, kernel 5.15.0-91-generic"
    ) in text
    assert "destination on compute-host (ovs-pathfinder/1): no evidence" in without
