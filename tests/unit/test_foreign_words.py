"""Whatever other units write, this one answers with a report or one sentence: no traceback, and no time without end."""

import copy
import json
import time
import typing
from collections.abc import Iterator
from typing import Any, cast

import hypothesis
import pytest
from hypothesis import strategies as st

from ovs_pathfinder import document, errors, path, report
from ovs_pathfinder.command import engine, juju
from ovs_pathfinder.diagnosis import diagnose, verdict
from ovs_pathfinder.evidence import record, wire, witness
from ovs_pathfinder.report import outcome, render
from tests.unit import plans, test_exchange
from tests.unit.diagnosis import build
from tests.unit.evidence import test_witness
from tests.unit.report import hostile

FORMS: tuple[render.Form, ...] = ("text", "markdown", "html", "json", "junit")
FORMATS: tuple[render.Format, ...] = ("text", "markdown", "json")
NEAR, FAR = test_witness.NEAR, test_witness.FAR
_LARGE = 300_000
"""Characters of all that was written after which nothing more is changed."""
EXAMPLES = 60


def step(**more: Any) -> record.Step:
    return build.steps("br-int 60 100 in_port=3")[0].model_copy(update={"cookie": "0xbad", **more})


def full(found: record.Evidence) -> record.Evidence:
    """Return evidence in which every field holds something, so that each can be made another."""
    megaflow = record.Megaflow(direction="forward", actions="drop", ct_invalid=True, raw="recirc_id(0), actions:drop")
    without = record.Without(flow=step(), instead="br-int table 60", outcome="forwarded", rewritten=("set(eth(…))",))
    limit = record.Limit(kind="meter", name="meter 7 of br-int", direction="forward", bridge="br-int", dropped=3)
    trunk = record.Trunk(bridge="tbr-93fff561-b", patch="spi-1", peer="spt-1", vlan=7)
    role = found.roles[0]
    device = found.devices[role].model_copy(update={"trunk": trunk, "unsent": 2, "mtu": 1450})
    more = [one.model_copy(update={"subject": "neighbour"}) for one in found.traces]
    more += [one.model_copy(update={"subject": "seen", "without": without}) for one in found.traces]
    more += [one.model_copy(update={"state": "established", "outputs": ("2",)}) for one in found.traces]
    return found.model_copy(
        update={
            "hostname": "host",
            "kernel": "5.15.0",
            "ovs_version": "2.17.9",
            "datapath_type": "system",
            "devices": {**found.devices, role: device},
            "agent_cookies": {"br-int": "0x696e74", "br-tun": "0x74756e"},
            "neighbour_state": "REACHABLE",
            "traces": (*found.traces, *more),
            "megaflows": (megaflow,),
            "heartbeats": (megaflow,),
            "limits": (limit,),
            "drops": {"drop_action_of_pipeline": 4},
            "history": record.History(snapshot="s", taken="2022-03-14T10:00:00+00:00", differences=("a",), count=1),
            "unresolved": 1,
        }
    )


def situation(world: build.World, plan: path.Plan) -> dict[str, Any]:
    """Return what the two units and the coordinator would write, decoded."""
    half = test_witness.HALF.model_copy(
        update={"during": record.Attempt(forward={"destination-underlay": 3, "destination-port": 3}), "met": 3}
    )
    return {
        "plan": plan.model_dump(mode="json"),
        NEAR: [one.model_dump(mode="json") for one in (full(world.run()[0]), test_witness.trial())],
        FAR: [one.model_dump(mode="json") for one in (*map(full, world.run()[1:]), half)],
    }


def situations() -> list[dict[str, Any]]:
    stations: list[build.Station] = [
        ("forward", "source-port"),
        ("forward", "destination-port"),
        ("reply", "source-underlay"),
    ]
    worlds = [build.World(), *(build.World(lost_after={one: lost}) for one in stations for lost in (2, 5))]
    worlds.append(build.World(carrier="neighbour", lost_after={("forward", "source-underlay"): 5}))
    worlds.append(build.sized({"source-port": (3, 0), "source-underlay": (3, 0)}))
    found = [situation(one, one.plan) for one in worlds]
    found += [situation(worlds[number], plans.of(*kind)) for number, kind in enumerate(plans.KINDS)]
    flat = path.Network(id="n", name="n", type="vlan", segmentation_id=7, physical_network="physnet1", mtu=1500)
    alone = build.World(plan=build.plan(same_host=True))
    return [*found, situation(worlds[1], build.plan(network=flat)), situation(alone, alone.plan)]


SITUATIONS = situations()


def told(plan_text: str, left: dict[str, list[str]], handed: str = "") -> None:
    """Let a unit read, diagnose and render what others wrote, and the command what the unit answers.

    Raises:
        PathfinderError: It cannot be used.
    """
    plan = document.read(path.Plan, plan_text, most=500_000)
    said = [one for unit, texts in left.items() for text in texts for one in wire.left(unit, text)]
    heard = witness.hear(plan, said, wire.read(handed) if handed else ())
    diagnosis = diagnose.diagnose(plan, heard.evidence, heard.trials, heard.refused)
    seen = outcome.Outcome(source="a", destination="b", plan=plan, diagnosis=diagnosis)
    for form in FORMS:
        render.document(outcome.Outcomes(paths=(seen,)), form)
    results: dict[str, str] = {}
    for each in FORMATS:
        results = report.results(plan, heard.evidence, each, heard.trials, heard.refused)
        assert all(len(one.encode()) <= 131_000 for one in results.values())
    answer = juju.Answer(unit=NEAR, results=results)
    engine.read(path.Plan, answer, "path")
    engine.read(verdict.Diagnosis, answer, "diagnosis")


def refusal(plan_text: str, left: dict[str, list[str]], handed: str = "") -> str:
    """Return the one sentence that there is instead of a report; empty where there is one."""
    try:
        told(plan_text, left, handed)
    except errors.PathfinderError as error:
        sentence = str(error)
    else:
        return ""
    assert sentence
    assert len(sentence) < 1000
    assert "\n" not in sentence
    return sentence


LITERALS = [
    *("forwarded", "flooded", "misdirected", "dropped", "failed", "not-followed", "unknown"),
    *("plan", "seen", "live", "neighbour", "heartbeat", "untracked", "new", "established"),
    *(*path.POINTS, "forward", "reply", "source", "destination", "icmp", "tcp", "udp", "conntrack-loop"),
    *("gre", "vxlan", "geneve", "vlan", "flat", "meter", "policer", "queue", "action", "flows", "port-security"),
]
"""What some field or other may hold."""
STRINGS = st.one_of(
    st.sampled_from([*LITERALS, "", "/", ":", "=", "0x", "%s", "{}", "2.17.x", "a1b2c3d4/1", "a1b2c3d4/99", "x" * 255]),
    st.sampled_from(["br-int", "br-tun", "drop", "actions:drop", "br-int table 60", hostile.ATTACK, "x" * 300_000]),
    st.sampled_from([build.SOURCE_MAC, build.DESTINATION, "192.0.2.1", NEAR, FAR, "2022-03-14T10:15:00Z", build.RUN]),
    st.text(max_size=20),
)
NUMBERS = st.one_of(
    st.sampled_from([0, 1, 2, 5, 99, 255, 4095, 65535, 100_000, 2**32 - 1, 2**64 - 1, -1, 10**400, 0.5, -0.0, 1e308]),
    st.integers(-10, 300),
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, STRINGS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)


def places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Find all that is in nested objects and lists: each with what holds it, and its place there."""
    holder = cast("dict[Any, Any] | list[Any]", data)
    for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
        yield holder, key
        if isinstance(value, (dict, list)):
            yield from places(value)


def instead(value: Any) -> st.SearchStrategy[Any]:
    """Say what may stand in the place of a value: mostly something of its own type."""
    wild = ANYTHING | st.none()
    if isinstance(value, bool):
        return st.just(not value)
    if isinstance(value, (int, float)):
        return st.one_of(NUMBERS, NUMBERS, wild)
    if isinstance(value, str):
        return st.one_of(STRINGS, STRINGS, wild)
    if isinstance(value, list):
        few = cast("list[Any]", value)
        return st.one_of(st.sampled_from([[], few[:1], few[1:], few[::-1], few * 2, few * 30]), wild)
    if isinstance(value, dict):
        return st.one_of(st.just({}), wild)
    return st.one_of(NUMBERS, STRINGS, st.none())


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what was written of a path, with some of it changed."""
    data = copy.deepcopy(draw(st.sampled_from(SITUATIONS)))
    for _ in range(draw(st.integers(1, 6))):
        holder, key = draw(st.sampled_from([one for one in places(data) if one[0] is not data]))
        holder[key] = draw(instead(holder[key]))
        if len(json.dumps(data)) > _LARGE:
            break  # lists in lists would grow without end
    return data


def written(data: dict[str, Any]) -> tuple[str, dict[str, list[str]]]:
    return json.dumps(data["plan"]), {unit: [json.dumps(one) for one in data[unit]] for unit in (NEAR, FAR)}


@pytest.mark.parametrize("number", range(len(SITUATIONS)))
def test_situations_are_reported_before_they_are_changed(number: int):
    assert refusal(*written(SITUATIONS[number])) == ""


@hypothesis.settings(max_examples=EXAMPLES, deadline=None)
@hypothesis.given(mutated())
def test_whatever_passes_validation_is_diagnosed_and_rendered(data: dict[str, Any]):
    refusal(*written(data))


@hypothesis.settings(max_examples=EXAMPLES, deadline=None)
@hypothesis.given(st.data())
def test_any_json_is_a_report_or_refusal(drawn: st.DataObject):
    plan_text, left = written(SITUATIONS[0])
    text = drawn.draw(ANYTHING.map(json.dumps) | st.text(st.sampled_from('[]{}",:\\ 17nule\n')))
    place = drawn.draw(st.sampled_from(["plan", "handed", NEAR, FAR]))
    if place in left:
        left[place].append(text)
    refusal(text if place == "plan" else plan_text, left, text if place == "handed" else "")


@hypothesis.settings(max_examples=6, deadline=None, phases=[hypothesis.Phase.generate])
@hypothesis.given(mutated(), ANYTHING, st.sampled_from(FORMATS))
def test_actions_say_one_sentence_whatever_the_databags_hold(data: dict[str, Any], facts: Any, form: render.Format):
    relation = test_exchange.peers(
        json.dumps(data["plan"]),
        own={f"evidence-{build.RUN}": json.dumps(data[NEAR][0]), f"trials-{build.RUN}": json.dumps(data[NEAR][1:])},
        others={1: {f"evidence-{build.RUN}": json.dumps(data[FAR]), "unit": json.dumps(facts)}},
    )

    failure, results = test_exchange.act(relation, format=form)

    assert failure or results["verdict"] in typing.get_args(verdict.Verdict)
    assert "error of its own" not in failure
    assert "\n" not in failure


@pytest.mark.parametrize("code", ["", "no-such-code", "<b>"])
def test_code_of_a_trunk_is_one_that_a_trunk_can_have(code: str):
    data = copy.deepcopy(SITUATIONS[1])
    data[NEAR][0]["devices"]["source"]["trunk"]["fault"] = code
    said = [one.wrong for one in wire.left(NEAR, json.dumps(data[NEAR][0]))]

    assert [bool(one) for one in said] == [bool(code)]
    assert refusal(*written(data)) == ""


MANY = tuple(f"a1b2c3d4/{number}" for number in range(100_000))


def crowded(sent: tuple[str, ...]) -> tuple[path.Plan, list[record.Evidence]]:
    """Return a path whose every second packet is lost, and whose other unit came late."""
    plan, (near, far) = build.plan(), build.World().run()
    probe = record.Probe(command="ping", transmitted=len(sent), sent=sent, answered=1)
    seen = {"forward": sent[1::2], "reply": sent[1::2]}
    near, far = (
        one.model_copy(
            update={
                "observations": tuple(each.model_copy(update=seen) for each in one.observations),
                "rendezvous": record.Rendezvous(),
            }
        )
        for one in (near, far)
    )
    return plan, [near.model_copy(update={"probe": probe, "large": probe, "large_echoes": probe}), far]


def test_as_many_packets_as_are_allowed_cost_little():
    plan, evidence = crowded(MANY)

    began = time.process_time()
    diagnose.diagnose(plan, evidence)

    assert time.process_time() - began < 3


def test_trial_of_as_many_packets_as_are_allowed_costs_little():
    before, during = record.Attempt(sent=100_000, answered=49_000), record.Attempt(sent=100_000, answered=50_000)
    trial = test_witness.trial(before=before, during=during, after=before)

    began = time.process_time()
    found = diagnose.diagnose(build.plan(), build.World().run(), [trial])

    assert time.process_time() - began < 1
    assert [one.effect for one in found.trials] == ["heals"]
