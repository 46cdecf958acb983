"""Reports with trials: quoted as proof or doubt, told on their own else, and minded where something is left."""

import json
import re
from typing import Any

import jsonschema
import pytest

from ovs_pathfinder import report
from ovs_pathfinder.evidence import record
from ovs_pathfinder.report import render
from tests import schemas
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World

BROKEN = World(lost_after={("forward", "source-port"): 5})
UNDERLAY = World(lost_after={("forward", "source-underlay"): 5})
WORLDS = {"broken": BROKEN, "elsewhere": UNDERLAY, "ok": World(), "unsent": World(count=0)}
FORMS: tuple[render.Format, ...] = ("text", "markdown", "json")


def trial(answered: tuple[int, ...] = (0, 5, 0), **more: Any) -> record.Trial:
    fields: dict[str, Any] = {
        "trial": "flows",
        "run": build.RUN,
        "unit": "ovs-pathfinder/0",
        "role": "source",
        "started": "2022-03-14T10:15:20.000+00:00",
        "change": "NORMAL flows for this traffic on br-int of octavia/2",
    }
    for name, one in zip(("before", "during", "after"), answered, strict=False):
        fields[name] = record.Attempt(sent=5, answered=one)
    return record.Trial(**{**fields, **more})


TRIALS = {
    "heals": trial(),
    "none": trial((0, 0, 0)),
    "passing": trial((0, 5, 5)),
    "needless": trial((5,)),
    "unclear": trial((0,), problem="ovs-pathfinder/1 did not say that it had made the change."),
    "left": trial(left="2 flows with cookie 0x6f70660000000001 on br-int could not be undone yet: no answer"),
}


def told(world: World, *made: record.Trial, form: render.Format = "text") -> str:
    return report.results(world.plan, world.run(), form=form, trials=made)["report"]


def section(text: str, heading: str) -> str:
    """Return what stands under a heading, in one line."""
    _, found, rest = text.partition(f"\n{heading}:\n")
    return " ".join(re.split(r"\n(?=\S)", rest)[0].split()) if found else ""


def test_a_trial_that_heals_is_proof() -> None:
    text = told(BROKEN, TRIALS["heals"])

    assert (
        "With NORMAL flows for this traffic on br-int of octavia/2, 5 of 5 packets were answered; without, 0 of 5 "
        in (section(text, "Proof"))
    )
    assert section(text, "Trial") == ""


@pytest.mark.parametrize("effect", ["none", "passing", "needless"])
def test_a_trial_that_speaks_against_it_is_told_so(effect: str) -> None:
    text = told(BROKEN, TRIALS[effect])

    assert section(text, "Against it") != section(told(BROKEN), "Against it")
    assert section(text, "Trial") == ""


@pytest.mark.parametrize(("world", "effect"), [("broken", "unclear"), ("elsewhere", "none"), ("ok", "needless")])
def test_a_trial_that_says_nothing_of_the_finding_is_told_on_its_own(world: str, effect: str) -> None:
    text = told(WORLDS[world], TRIALS[effect])
    summary = json.loads(told(WORLDS[world], TRIALS[effect], form="json"))

    assert section(text, "Trial") == f"- {summary['trials'][0]['summary']}"
    assert text.count("- With NORMAL") <= 1


def test_what_is_left_is_minded() -> None:
    assert "2 flows with cookie 0x6f70660000000001 on br-int could not be undone yet: no answer; clean-up" in (
        section(told(BROKEN, TRIALS["left"]), "Mind")
    )


def test_markdown_lists_a_trial() -> None:
    text = told(UNDERLAY, TRIALS["none"], form="markdown")

    assert "\nTrial:\n\n- With NORMAL flows" in text


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("effect", TRIALS)
def test_every_report_is_whole(world: str, effect: str) -> None:
    for form in FORMS:
        text = told(WORLDS[world], TRIALS[effect], form=form)
        assert "None" not in text
        assert "\n\n\n\n" not in text
        if form == "text":
            assert all(len(line) <= 80 or max(map(len, line.split())) > 70 for line in text.splitlines())
        if form == "json":
            jsonschema.validate(json.loads(text), schemas.all_of_them()["diagnosis.schema.json"])


@pytest.mark.parametrize("form", FORMS)
def test_many_trials_fit_a_result(form: render.Format) -> None:
    many = [
        trial(unit=f"ovs-pathfinder/{number}", change="c" * 4000, left="l" * 4000, role=role, trial=kind)
        for number in range(20)
        for role in ("source", "destination")
        for kind in ("flows", "port-security")
    ]

    found = report.results(BROKEN.plan, BROKEN.run(), form=form, trials=many)

    assert all(len(value.encode()) < 131_071 for value in found.values())
    assert form != "json" or json.loads(found["diagnosis"])["code"] == found["code"]
