import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder import errors
from ovs_pathfinder.evidence import record, wire
from tests.unit.diagnosis import build

ONE, TWO = build.World().run()
TEXT = wire.to_json(ONE)
OTHER = wire.to_json(TWO)
TRIAL = record.Trial(
    trial="flows",
    run=build.RUN,
    unit="ovs-pathfinder/0",
    role="source",
    started="2022-03-14T10:15:20.000+00:00",
    change="NORMAL flows for this traffic on br-int of octavia/2",
    commands=("ovs-ofctl add-flow br-int 'icmp,actions=NORMAL'",),
    before=record.Attempt(sent=5, forward={"source-port": 5}),
    during=record.Attempt(sent=5, answered=5, forward={"source-port": 5}, reply={"source-port": 5}),
    after=record.Attempt(sent=5, forward={"source-port": 5}),
    lived=0.9,
    outcome="2 flows deleted.",
)
TRIED = TRIAL.model_dump_json()


def answer(text: str) -> dict[str, Any]:
    return {"evidence": text, "return-code": 0, "run": build.RUN}


FORMS = {
    "one": TEXT,
    "list": f"[{TEXT},{OTHER}]",
    "in a row": f"{TEXT}\n{OTHER}",
    "quoted": json.dumps(TEXT),
    "Juju 3": json.dumps(
        {
            "ovs-pathfinder/0": {"id": "2", "results": answer(TEXT), "status": "completed", "timing": {}},
            "ovs-pathfinder/1": {"id": "3", "results": answer(OTHER), "status": "completed", "timing": {}},
        }
    ),
    "Juju 2.9": json.dumps(
        {"unit-ovs-pathfinder-0": {"UnitId": "ovs-pathfinder/0", "id": "2", "results": {**answer(TEXT), "Code": "0"}}}
    ),
    "results alone": json.dumps({"results": answer(TEXT)}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(form: str) -> None:
    wanted = (ONE, TWO) if form in ("list", "in a row", "Juju 3") else (ONE,)

    assert tuple(one.found for one in wire.read(FORMS[form])) == wanted


MIXED = {
    "in a row": f"{TEXT}{TRIED}\n{OTHER}",
    "list": f"[{TRIED},{TEXT},{OTHER}]",
    "Juju 3": json.dumps(
        {
            "ovs-pathfinder/0": {"id": "2", "results": answer(TEXT), "status": "completed", "timing": {}},
            "ovs-pathfinder/1": {"id": "3", "results": answer(OTHER), "status": "completed", "timing": {}},
        }
    )
    + json.dumps({"ovs-pathfinder/0": {"id": "5", "results": {**answer(TRIED), "effect": "heals", "seconds": "0.9"}}}),
}


@pytest.mark.parametrize("form", MIXED)
def test_trials_are_told_from_evidence(form: str) -> None:
    found = [repr(one.found) for one in wire.read(MIXED[form])]

    assert sorted(found) == sorted(map(repr, (ONE, TWO, TRIAL)))


def test_trials_alone_are_enough_to_hand_over() -> None:
    handed = json.dumps({"ovs-pathfinder/0": {"results": answer(TRIED)}})

    assert wire.read(handed) == [wire.Said("ovs-pathfinder/0", TRIAL)]


def test_a_trial_is_no_evidence_of_a_probe() -> None:
    with pytest.raises(errors.PathfinderError, match="evidence of a trial on ovs-pathfinder/0"):
        wire.from_data(json.loads(TRIED))


def test_what_a_newer_unit_adds_to_a_trial_is_passed_over() -> None:
    newer = {**json.loads(TRIED), "weather": "fine"}

    assert wire.any_from_data(newer) == TRIAL


REFUSED = {
    "nothing": "",
    "not JSON": "evidence: yes",
    "half": TEXT[: len(TEXT) // 2],
    "a number": "7",
    "no evidence": "{}",
    "a failed action": json.dumps({"ovs-pathfinder/0": {"id": "2", "results": {"message": "no"}, "status": "failed"}}),
    "damaged": TEXT.replace('"unit":', '"unity":'),
    "newer": TEXT.replace('"version":1', '"version":2', 1),
    "a newer trial": TRIED.replace('"version":1', '"version":2', 1),
    "a damaged trial": TRIED.replace('"role":"source"', '"role":"judge"'),
    "a trial of something else": TRIED.replace('"trial":"flows"', '"trial":"patience"'),
    "a trial that is null": TRIED.replace('"trial":"flows"', '"trial":null'),
    "null": "null",
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_rest_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(errors.PathfinderError) as raised:
        wire.read(REFUSED[name])

    assert "\n" not in str(raised.value)
    assert 20 < len(str(raised.value)) < 400


def test_a_newer_version_says_what_to_do() -> None:
    with pytest.raises(errors.PathfinderError, match="refresh the charm on all units"):
        wire.read(REFUSED["newer"])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5))
def test_no_document_makes_it_fail_otherwise(data: Any) -> None:
    with pytest.raises(errors.PathfinderError):
        wire.read(json.dumps(data))


def big(**changes: Any) -> record.Evidence:
    return ONE.model_copy(update=changes)


HUGE = {
    "traces": big(traces=tuple(one.model_copy(update={"text": "x" * 400_000}) for one in ONE.traces)),
    "texts of many bytes": big(traces=tuple(one.model_copy(update={"text": "→" * 90_000}) for one in ONE.traces)),
    "steps": big(traces=(build.trace("forward", "failed", *["br-int 71 110 ct_state=+trk,ipv6,reg5=0x2"] * 5000),)),
    "megaflows": big(megaflows=(record.Megaflow(direction="forward", actions="drop", raw="r" * 9000),) * 60),
    "actions": big(megaflows=(record.Megaflow(direction="forward", actions="3," * 9000, raw="r"),) * 60),
    "output": big(probe=record.Probe(command="ping", transmitted=5, output="o" * 300_000)),
    "problems": big(problems=("p" * 500,) * 500),
    "long problems": big(problems=("p" * 50_000,) * 5),
    "identities": big(
        observations=tuple(
            one.model_copy(update={"forward": many, "reply": many})
            for one in ONE.observations
            for many in [tuple(f"a1b2c3d4/{number}" for number in range(2000))]
        )
    ),
}


@pytest.mark.parametrize("name", HUGE)
def test_evidence_always_fits(name: str) -> None:
    text = wire.to_json(HUGE[name])

    assert len(text.encode()) <= wire.MAX_BYTES
    assert wire.from_data(json.loads(text)).unit == ONE.unit


def test_little_evidence_is_kept_whole() -> None:
    assert wire.read(TEXT) == [wire.Said("", ONE)]


def test_traces_of_tracked_packets_travel_and_do_not_stand_for_the_others() -> None:
    tracked = build.trace("forward", "failed", state="new")
    evidence = ONE.model_copy(update={"traces": (tracked, *ONE.traces)})

    read = wire.from_data(json.loads(wire.to_json(evidence)))

    assert read.traces[0].state == "new"
    assert read.trace("forward") == ONE.trace("forward")


def test_evidence_of_before_has_traces_of_untracked_packets() -> None:
    data = json.loads(TEXT)
    for one in data["traces"]:
        del one["state"]

    assert wire.from_data(data) == ONE
