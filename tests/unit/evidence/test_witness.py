"""Only this run's evidence counts, from the path's own units, each for its own part and in its own name."""

import json
from typing import Any

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.evidence import record, wire, witness
from tests.unit.diagnosis import build

PLAN = build.plan()
SOURCE, DESTINATION = build.World().run()
NEAR, FAR = "ovs-pathfinder/0", "ovs-pathfinder/1"


def trial(**changes: Any) -> record.Trial:
    plain: dict[str, Any] = {
        "trial": "flows",
        "run": build.RUN,
        "unit": NEAR,
        "role": "source",
        "started": "2022-03-14T10:15:20+00:00",
        "change": "NORMAL flows",
        "before": record.Attempt(sent=5),
        "during": record.Attempt(sent=5, answered=5),
        "after": record.Attempt(sent=5),
    }
    return record.Trial(**{**plain, **changes})


HALF = trial(unit=FAR, role="destination", before=record.Attempt(), during=record.Attempt(), after=record.Attempt())


def said(origin: str, found: record.Evidence | record.Trial) -> wire.Said:
    return wire.Said(origin, found)


def test_each_unit_is_heard_for_its_own_part():
    found = witness.hear(PLAN, [said(NEAR, SOURCE), said(NEAR, trial()), said(FAR, DESTINATION), said(FAR, HALF)])

    assert found == witness.Heard((SOURCE, DESTINATION), (trial(), HALF))


FORGED = {
    "in the other's name": (FAR, SOURCE, "it says that it is of ovs-pathfinder/0"),
    "in nobody's name": (FAR, DESTINATION.model_copy(update={"unit": ""}), "it says that it is of no unit"),
    "for the other's part": (FAR, DESTINATION.model_copy(update={"roles": ("source",)}), "it is of the source"),
    "for both parts": (FAR, DESTINATION.model_copy(update={"roles": ("source", "destination")}), "it is of the source"),
    "of another run": (FAR, DESTINATION.model_copy(update={"run": "20200101t000000-000000"}), "is of run 2020"),
    "of a unit beside the path": ("evil/6", DESTINATION.model_copy(update={"unit": "evil/6"}), "is not on the path"),
    "a trial in the other's name": (FAR, trial(), "it says that it is of ovs-pathfinder/0"),
    "a trial at the other's end": (FAR, trial(unit=FAR), "has no such part"),
    "a trial that another must send": (FAR, trial(unit=FAR, role="destination"), "has no such part"),
    "a trial of another run": (NEAR, trial(run="20200101t000000-000000"), "is of run 2020"),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_a_unit_cannot_know_does_not_count_and_is_told_of_that_unit(name: str):
    origin, forged, why = FORGED[name]

    found = witness.hear(PLAN, [said(NEAR, SOURCE), said(origin, forged)])

    assert (found.evidence, found.trials) == ((SOURCE,), ())
    (sentence,) = found.refused
    assert sentence.startswith(f"What {origin} says of run {build.RUN} does not count: ")
    assert why in sentence


def test_what_juju_names_the_unit_of_wins_over_what_only_says_so():
    forged = SOURCE.model_copy(update={"ovs_version": "6.6.6"})

    found = witness.hear(PLAN, [], [said(NEAR, SOURCE), said("", forged)])

    assert found.evidence == (SOURCE,)


def test_of_two_that_say_that_they_are_one_unit_s_none_is_chosen():
    forged = SOURCE.model_copy(update={"ovs_version": "6.6.6"})

    with pytest.raises(errors.PathfinderError, match="two different pieces of evidence say that they are of"):
        witness.hear(PLAN, [], [said("", SOURCE), said("", forged)])


@pytest.mark.parametrize("key", ["ovs-pathfinder/1", "unit-ovs-pathfinder-1"])
def test_the_unit_that_juju_names_is_whose_evidence_it_is_however_it_is_wrapped(key: str):
    forged = json.loads(wire.to_json(SOURCE))
    wrapped = {"ovs-pathfinder/0": {"results": {"evidence": json.dumps({"ovs-pathfinder/0": {"evidence": forged}})}}}

    (found,) = wire.read(json.dumps({key: {"results": {"evidence": json.dumps(wrapped)}}}))

    assert (found.origin, found.found) == (FAR, SOURCE)


def test_a_unit_cannot_end_its_own_evidence_and_begin_another_s():
    injected = wire.to_json(DESTINATION) + '}} {"ovs-pathfinder/0":{"evidence":' + wire.to_json(SOURCE)

    with pytest.raises(errors.PathfinderError, match="the evidence of ovs-pathfinder/1 is not JSON"):
        wire.attributed(FAR, injected)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 " * 600_000, "is larger than"),
        ("1 " * 90_000, "holds more than 100 documents"),
        ("[" * 90_000, "nests deeper than 40 levels"),
        ('{"a":' * 30_000, "nests deeper than 40 levels"),
        ('"' * 99_999, "holds more than 100 documents"),
        ('"' + '\\"' * 90_000, "is not JSON"),
        ('{"run": NaN}', "is not JSON"),
        ('{"run": 1, "version": ' + "9" * 5000 + "}", "is not JSON"),
        ('{"version": 1, "run": "\\ud800"}', "damaged"),
        ("null", "not the evidence of a unit"),
        ("{}", "holds no evidence"),
        ("[]", "holds no evidence"),
    ],
    ids=range(12),
)
def test_what_cannot_be_read_of_a_unit_is_one_sentence(text: str, why: str):
    (wrong,) = [one.wrong for one in wire.left(FAR, text)]

    assert why in wrong
    assert len(wrong) < 400
