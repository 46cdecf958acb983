import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.command import engine, juju
from ovs_pathfinder.report import outcome
from tests.unit.command import model
from tests.unit.diagnosis import build

PAIR = engine.Pair("octavia/0", "fc00::1")
LEADER, SOURCE, FAR = "ovs-pathfinder/0", "ovs-pathfinder/0", "ovs-pathfinder/1"
DISOBEYED = build.World(lost_after={("forward", "source-port"): 5})


def trace(
    client: model.Model,
    trial: engine.Trial = "none",
    confirm: Callable[[str], Awaitable[bool]] = engine.never,
    tell: engine.Tell = lambda _: None,
) -> outcome.Outcome:
    return asyncio.run(engine.Engine(client, tell=tell).trace(PAIR, engine.Settings(), trial, confirm))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RETRY_AFTER", 0.0)


def test_healthy_path_takes_a_plan_two_probes_and_a_report():
    client = model.Model()

    found = trace(client)

    assert found.verdict == "ok"
    assert client.asked[0] == (LEADER, "plan-path")
    assert sorted(client.asked[1:3]) == [(SOURCE, "probe-path"), (FAR, "probe-path")]
    assert client.asked[3:] == [(LEADER, "path-report")]


def test_evidence_is_handed_over_so_that_no_relation_needs_to_carry_it():
    client = model.Model()

    trace(client)

    (params,) = client.given["path-report"]
    assert params["evidence"].count('"rendezvous"') == 2


def test_evidence_of_one_unit_in_the_other_s_name_does_not_count():
    """The far unit says, in the source's name, that the source's switch loses everything on a healthy path."""
    client = model.Model(speaking_for={FAR: (SOURCE, DISOBEYED)})

    found = trace(client)

    assert found.verdict != "broken"
    assert found.diagnosis is not None
    assert any("What ovs-pathfinder/1 says of run" in one for one in found.diagnosis.missing)


@pytest.mark.parametrize("text", ["[" * 100_000, "1 " * 600_000, "half", "}} {"], ids=range(4))
def test_evidence_that_cannot_be_read_is_missing_and_said(text: str):
    client = model.Model(damaged={FAR: text})

    found = trace(client)

    assert found.verdict != "broken"
    assert any("the evidence of ovs-pathfinder/1" in one for one in found.problems)


@pytest.mark.parametrize("trial", ["ask", "none"])
def test_nobody_s_switch_is_changed_unasked(trial: engine.Trial):
    client = model.Model(worlds={"fc00::1": DISOBEYED})

    found = trace(client, trial)

    assert (found.verdict, found.diagnosis and found.diagnosis.hop) == ("broken", "source-br-int")
    assert not client.given["try-flows"]


def test_trial_that_the_diagnosis_calls_for_is_made_and_reported():
    client = model.Model(worlds={"fc00::1": DISOBEYED})

    found = trace(client, "auto")

    assert [action for _, action in client.asked[3:]] == ["path-report", "try-flows", "path-report"]
    assert client.given["try-flows"][0]["at"] == "source"
    assert found.diagnosis is not None
    assert [one.effect for one in found.diagnosis.trials] == ["heals"]
    assert client.given["path-report"][1]["evidence"].count('"rendezvous"') == 2


def test_report_before_a_trial_is_kept_where_none_can_be_made_after_it():
    client = model.Model(worlds={"fc00::1": DISOBEYED})

    def before(_: str, action: str) -> None:
        if action == "try-flows":
            client.failing[LEADER, "path-report"] = "Juju restarts"

    client.before = before

    found = trace(client, "auto")

    assert (found.verdict, found.problems) == ("broken", (f"path-report on {LEADER} failed: Juju restarts",))


@pytest.mark.parametrize("answer", [True, False])
def test_operator_decides_where_one_can_be_asked(answer: bool):
    client = model.Model(worlds={"fc00::1": DISOBEYED})
    questions: list[str] = []

    async def confirm(question: str) -> bool:
        questions.append(question)
        return answer

    trace(client, "ask", confirm)

    assert len(questions) == 1
    assert "br-int of octavia/2" in questions[0]
    assert bool(client.given["try-flows"]) is answer


@pytest.mark.parametrize("trial", ["auto", "flows", "port-security"])
def test_nothing_is_tried_on_a_path_that_is_ok(trial: engine.Trial):
    client = model.Model()

    trace(client, trial)

    assert client.asked[-1] == (LEADER, "path-report")
    assert len(client.asked) == 4


def test_trial_at_the_destination_runs_on_both_units():
    client = model.Model(worlds={"fc00::1": build.World(lost_after={("forward", "destination-underlay"): 5})})

    trace(client, "auto")

    tried = [unit for unit, action in client.asked if action == "try-flows"]
    assert sorted(tried) == [SOURCE, FAR]
    assert {one["at"] for one in client.given["try-flows"]} == {"destination"}


def test_leader_that_changed_meanwhile_is_looked_up_again():
    client = model.Model()
    others = [FAR, LEADER]
    client.before = lambda unit, action: setattr(client, "leader", others.pop(0)) if others else None

    found = trace(client)

    assert found.verdict == "ok"
    assert [unit for unit, action in client.asked if action == "plan-path"] == [LEADER, FAR, LEADER]


def test_leader_that_is_never_found_is_told_after_a_few_tries():
    client = model.Model()
    client.before = lambda unit, action: setattr(client, "leader", FAR if unit == LEADER else LEADER)

    with pytest.raises(errors.PathfinderError, match="is not the leader"):
        trace(client)

    assert len(client.asked) == engine.RETRIES


def test_report_runs_on_whoever_leads_by_then():
    client = model.Model()
    client.before = lambda unit, action: setattr(client, "leader", FAR) if action == "probe-path" else None

    found = trace(client)

    assert found.verdict == "ok"
    assert client.asked[-1] == (FAR, "path-report")


def test_unit_that_dies_leaves_a_report_of_what_the_other_saw():
    client = model.Model(failing={(FAR, "probe-path"): "action terminated"})

    found = trace(client)

    assert found.problems == (f"probe-path on {FAR} failed: action terminated",)
    assert found.diagnosis is not None
    assert any(FAR in one for one in found.diagnosis.missing)


def test_unit_that_hangs_is_given_up_and_told():
    client = model.Model(silent={FAR})
    client.before = lambda unit, action: client.over.set() if unit == FAR else None

    found = trace(client)

    assert found.problems[0].startswith(f"{FAR} did not answer probe-path within ")
    assert found.diagnosis is not None


def test_without_any_evidence_there_is_one_sentence():
    failing = {(unit, "probe-path"): "Open vSwitch is not there" for unit in (SOURCE, FAR)}

    with pytest.raises(errors.PathfinderError, match="Open vSwitch is not there") as caught:
        trace(model.Model(failing=failing))

    assert "\n" not in str(caught.value)


def test_what_cannot_be_planned_costs_no_probe():
    client = model.Model()

    with pytest.raises(juju.ActionFailed, match="Neutron knows no port"):
        asyncio.run(engine.Engine(client).trace(engine.Pair("octavia/0", "nobody"), engine.Settings()))

    assert client.asked == [(LEADER, "plan-path")]


def test_progress_is_told_stage_by_stage():
    events: list[engine.Event] = []

    trace(model.Model(), tell=events.append)

    stages = [event.stage for event in events]
    assert list(dict.fromkeys(stages)) == ["plan", "probe", "report"]
    assert {event.unit for event in events if event.stage == "probe" and event.text == f"{FAR} has watched"} == {FAR}


def test_charm_of_another_revision_is_named():
    class Old(model.Model):
        def _path_report(self, unit: str, params: object) -> dict[str, str]:
            return {"verdict": "ok"}

    with pytest.raises(errors.PathfinderError, match="of another revision than this command"):
        trace(Old())


def test_two_operators_at_once_do_not_disturb_each_other():
    client = model.Model(sources=2, computes=2, worlds={"fc00::1": DISOBEYED})
    pairs = (PAIR, engine.Pair("octavia/1", "fc00::2"))

    async def both() -> list[outcome.Outcome]:
        return await asyncio.gather(*(engine.Engine(client).trace(one, engine.Settings(), "auto") for one in pairs))

    found = asyncio.run(both())

    assert [one.verdict for one in found] == ["broken", "ok"]
    assert [one.diagnosis.source for one in found if one.diagnosis] == ["octavia/0", "octavia/1"]
