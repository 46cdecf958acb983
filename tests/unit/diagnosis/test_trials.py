"""What trials show: every effect, from whole records and from halves, and what it says for and against a finding."""

from collections.abc import Sequence
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose, trials, verdict
from ovs_pathfinder.evidence import record
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World

CHANGE = "NORMAL flows for this traffic on br-int of octavia/2"
Passing = tuple[int, int, int]
"""How many packets get through in each round."""


def trial(
    answered: Passing | None = (0, 5, 0), *, sent: int = 5, past: Passing | None = None, **more: Any
) -> record.Trial:
    """Make a sender's record.

    Args:
        answered: How many answers there were in each round; None where only the first came about.
        sent: How many packets were sent in each round.
        past: How many got through the source's br-int in each round; None where nobody watched.
        more: Other fields.
    """
    attempts = [
        record.Attempt(
            sent=sent,
            answered=count,
            forward={"source-port": sent, **({} if past is None else {"source-underlay": past[number]})},
        )
        for number, count in enumerate(answered or (0,))
    ]
    rounds = dict(zip(("before", "during", "after"), attempts, strict=False))
    return _trial(**{"unit": "ovs-pathfinder/0", "role": "source", **rounds, **more})


def half(arrived: Passing | None = (0, 5, 0), **more: Any) -> record.Trial:
    """Make the record of the destination's unit, which changes and does not send."""
    attempts = [record.Attempt(forward={"destination-port": count}) for count in arrived or ()]
    rounds = dict(zip(("before", "during", "after"), attempts, strict=False))
    return _trial(**{"unit": "ovs-pathfinder/1", "role": "destination", **rounds, **more})


def _trial(**more: Any) -> record.Trial:
    fields: dict[str, Any] = {
        "trial": "flows",
        "run": build.RUN,
        "started": "2022-03-14T10:15:20.000+00:00",
        "change": CHANGE,
    }
    return record.Trial(**{**fields, **more})


def judged(*found: record.Trial) -> verdict.Trial:
    (one,) = trials.judge(found)
    return one


# --- one record ---


def test_what_heals_is_told_with_its_counts() -> None:
    found = judged(trial())

    assert (found.effect, found.unit, found.role, found.trial) == ("heals", "ovs-pathfinder/0", "source", "flows")
    assert found.summary == (
        f"With {CHANGE}, 5 of 5 packets were answered; without, 0 of 5 before and 0 of 5 afterwards."
    )


@pytest.mark.parametrize("answered", [(0, 0, 0), (3, 3, 3), (3, 2, 4), (0, 0, 5)])
def test_what_changes_nothing_has_no_effect(answered: Passing) -> None:
    found = judged(trial(answered))

    assert found.effect == "none"
    assert found.summary.endswith("what it goes around does not lose them.")


@pytest.mark.parametrize("answered", [(0, 5, 5), (0, 3, 4), (2, 4, 4)])
def test_what_lasts_longer_than_the_change_passes(answered: Passing) -> None:
    found = judged(trial(answered))

    assert found.effect == "passing"
    assert "that the switch was touched at all may have healed it" in found.summary


def test_a_path_that_works_needs_no_trial() -> None:
    found = judged(trial(None, before=record.Attempt(sent=5, answered=5)))

    assert (found.effect, found.summary) == ("needless", "All 5 packets were answered before anything was changed.")


@pytest.mark.parametrize("problem", ["", "The change was gone before the trial had ended: try again."])
def test_a_trial_that_broke_off_is_unclear(problem: str) -> None:
    found = judged(trial(None, problem=problem))

    assert found.effect == "unclear"
    assert found.summary == (problem or f"The trial with {CHANGE} did not come to its end.")


def test_a_problem_makes_counts_worthless() -> None:
    assert judged(trial(problem="The change was gone.")).effect == "unclear"


def test_what_is_left_is_told() -> None:
    assert judged(trial(left="1 flow could not be undone yet: no answer")).left.startswith("1 flow could not")


def test_a_destination_that_has_learned_makes_the_last_round_worthless() -> None:
    found = judged(trial((0, 5, 5), learned=True))

    assert found.effect == "unclear"
    assert "the destination has learned the source's MAC address meanwhile" in found.summary
    assert judged(trial((0, 5, 0), learned=True)).effect == "heals"


@pytest.mark.parametrize(
    ("answered", "sent"), [((0, 1, 0), 1), ((2, 3, 2), 5), ((3, 4, 2), 5), ((4, 5, 4), 5), ((50, 55, 48), 100)]
)
def test_losses_that_come_and_go_prove_nothing(answered: Passing, sent: int) -> None:
    found = judged(trial(answered, sent=sent))

    assert found.effect == "unclear"
    assert "may be chance" in found.summary
    assert "larger count" in found.summary


@pytest.mark.parametrize(
    ("answered", "sent"), [((0, 3, 0), 3), ((0, 4, 0), 5), ((1, 5, 0), 5), ((4, 10, 4), 10), ((80, 100, 82), 100)]
)
def test_a_clear_difference_heals_though_some_packets_pass_without(answered: Passing, sent: int) -> None:
    assert judged(trial(answered, sent=sent)).effect == "heals"


@given(st.integers(1, 60), st.data())
def test_every_count_has_an_effect(sent: int, data: st.DataObject) -> None:
    count = st.integers(0, sent)
    before, during, after = data.draw(count), data.draw(count), data.draw(count)

    found = judged(trial((before, during, after), sent=sent))

    assert found.effect in get_args(verdict.Effect)
    assert (found.effect == "needless") == (before == sent)
    if found.effect == "heals":
        assert during > max(before, after)
    if before < sent and during <= before:
        assert found.effect == "none"


# --- packets that get past the bridge, and are lost further on ---


def test_packets_that_leave_the_host_with_the_change_alone_heal_even_unanswered() -> None:
    found = judged(trial((0, 0, 0), past=(0, 5, 0)))

    assert found.effect == "heals"
    assert found.summary == (
        f"With {CHANGE}, 5 packets left the source's host; without, 0 before and 0 afterwards. "
        "Even so, no answer came to any of them."
    )


@pytest.mark.parametrize("past", [(5, 5, 5), (0, 0, 0), (0, 5, 5), (2, 3, 2)])
def test_packets_that_leave_the_host_anyhow_prove_nothing_of_it(past: Passing) -> None:
    assert judged(trial((0, 0, 0), past=past)).effect == "none"


def test_answers_count_more_than_what_left_the_host() -> None:
    assert judged(trial((0, 5, 0), past=(5, 5, 5))).summary.startswith(f"With {CHANGE}, 5 of 5 packets were answered")


# --- halves ---


def test_the_sender_s_counts_are_told_where_another_unit_made_the_change() -> None:
    found = judged(trial(role="destination"), half((9, 9, 9)))

    assert (found.effect, found.unit, found.role) == ("heals", "ovs-pathfinder/0", "destination")
    assert "5 of 5 packets were answered" in found.summary


@pytest.mark.parametrize("order", [1, -1])
def test_what_the_other_unit_says_of_its_undo_is_taken_over(order: int) -> None:
    pair = [trial(role="destination"), half(left="1 flow could not be undone yet", problem="The change was gone.")]

    found = judged(*pair[::order])

    assert (found.effect, found.summary, found.left) == (
        "unclear",
        "The change was gone.",
        "1 flow could not be undone yet",
    )


def test_packets_that_reach_the_destination_with_the_change_alone_heal_even_unanswered() -> None:
    found = judged(trial((0, 0, 0), role="destination", past=(5, 5, 5)), half())

    assert found.effect == "heals"
    assert "5 packets came to the destination's port; without, 0 before" in found.summary


def test_what_the_destination_learned_is_known_by_its_own_record() -> None:
    assert judged(trial((0, 5, 5), role="destination"), half((0, 5, 5), learned=True)).effect == "unclear"


@pytest.mark.parametrize(
    ("arrived", "effect"), [((0, 5, 0), "heals"), ((5, 5, 5), "none"), ((0, 5, 5), "passing"), (None, "unclear")]
)
def test_half_a_trial_tells_what_arrived(arrived: Passing | None, effect: str) -> None:
    found = judged(half(arrived))

    assert (found.effect, found.unit) == (effect, "ovs-pathfinder/1")
    assert ("came to the destination's port" in found.summary) == (arrived is not None)


def test_half_a_trial_that_saw_nothing_is_unclear() -> None:
    blind = record.Attempt(forward={"destination-underlay": 5})

    assert judged(half(before=blind, during=blind, after=blind)).effect == "unclear"


def test_halves_of_different_trials_are_not_merged() -> None:
    others = [trial(), trial(trial="port-security", role="destination"), half()]

    found = trials.judge(others)

    assert [(one.trial, one.role, one.unit) for one in found] == [
        ("flows", "source", "ovs-pathfinder/0"),
        ("port-security", "destination", "ovs-pathfinder/0"),
        ("flows", "destination", "ovs-pathfinder/1"),
    ]


# --- for and against ---


def finding(hop: path.Hop | None = "source-br-int", code: str = "switch-disobeys", **more: Any) -> verdict.Finding:
    fields: dict[str, Any] = {"code": code, "hop": hop, "certainty": "proven", "summary": "S.", "evidence": ("e",)}
    fields["against"] = ("a",)
    return verdict.Finding(**{**fields, **more})


def weighed(hop: path.Hop | None, effect: verdict.Effect, role: path.Role = "source", **more: Any) -> tuple[int, int]:
    """Return how many lines a trial adds for and against a finding."""
    given_ = finding(hop, **more)
    shown = verdict.Trial(trial="flows", unit="ovs-pathfinder/0", role=role, effect=effect, summary="T.")

    found = trials.weigh(given_, [shown])

    assert found.evidence[:1] == ("e",)
    assert found.against[:1] == ("a",)
    changed = {"evidence": ("e",), "against": ("a",)}
    assert found.model_copy(update=changed) == given_
    return len(found.evidence) - 1, len(found.against) - 1


@pytest.mark.parametrize("role", ["source", "destination"])
def test_a_trial_that_heals_supports_a_finding_there(role: path.Role) -> None:
    hop: path.Hop = "source-br-int" if role == "source" else "destination-br-int"

    assert weighed(hop, "heals", role) == (1, 0)
    assert weighed(None, "heals", role) == (1, 0)


@pytest.mark.parametrize("hop", [one for one in get_args(path.Hop) if one != "source-br-int"])
def test_a_trial_that_heals_contradicts_a_finding_elsewhere(hop: path.Hop) -> None:
    assert weighed(hop, "heals") == (0, 1)


@pytest.mark.parametrize("hop", [None, *get_args(path.Hop)])
def test_a_trial_without_effect_contradicts_a_finding_there_alone(hop: path.Hop | None) -> None:
    assert weighed(hop, "none") == (0, 1 if hop == "source-br-int" else 0)


@pytest.mark.parametrize("effect", ["passing", "needless"])
@pytest.mark.parametrize("hop", [None, *get_args(path.Hop)])
def test_a_path_that_works_of_itself_contradicts_every_finding(effect: verdict.Effect, hop: path.Hop | None) -> None:
    assert weighed(hop, effect) == (0, 1)


@pytest.mark.parametrize("hop", [None, *get_args(path.Hop)])
def test_an_unclear_trial_says_nothing(hop: path.Hop | None) -> None:
    assert weighed(hop, "unclear") == (0, 0)


@pytest.mark.parametrize("effect", get_args(verdict.Effect))
@pytest.mark.parametrize("code", ["path-ok", "service-refused"])
def test_of_findings_that_packets_arrive_trials_say_nothing(code: str, effect: verdict.Effect) -> None:
    assert weighed("guest", effect, code=code) == (0, 0)


def diagnosed(*made: record.Trial, world: World | None = None) -> verdict.Diagnosis:
    world = world or World(lost_after={("forward", "source-port"): 5})
    return diagnose.diagnose(world.plan, world.run(), made)


def test_a_diagnosis_quotes_what_was_tried() -> None:
    found = diagnosed(trial())

    assert (found.code, found.hop) == ("switch-disobeys", "source-br-int")
    assert found.trials == (judged(trial()),)
    assert found.trials[0].summary in found.findings[0].evidence
    assert diagnosed().findings[0].evidence == found.findings[0].evidence[:-1]


def test_no_trial_changes_what_the_probe_has_shown() -> None:
    plain = diagnosed()

    for made in ([trial((0, 0, 0))], [trial((0, 5, 5))], [trial(None, problem="P.")], [trial(), half()]):
        found = diagnosed(*made)
        kept: Sequence[str] = ("verdict", "code", "hop", "direction", "certainty", "summary", "hops", "sent", "missing")
        assert [getattr(found, name) for name in kept] == [getattr(plain, name) for name in kept]


def test_what_is_left_of_a_trial_is_minded() -> None:
    (sentence,) = diagnosed(trial(left="1 flow could not be undone yet: no answer")).missing

    assert "1 flow could not be undone yet: no answer" in sentence
    assert "clean-up" in sentence


def test_trials_without_evidence_of_the_source_are_told_all_the_same() -> None:
    world = World()

    found = diagnose.diagnose(world.plan, [], [trial()])

    assert found.code == "cannot-tell"
    assert found.trials[0].summary in found.findings[0].evidence


# --- trials that met nothing, or went around a rate limit ---


@pytest.mark.parametrize(("met", "effect"), [(0, "unclear"), (5, "none"), (None, "none")])
def test_a_change_that_no_packet_came_to_acquits_nothing(met: int | None, effect: str) -> None:
    found = judged(trial((0, 0, 0), met=met))

    assert found.effect == effect
    assert ("no packet came to what was changed" in found.summary) == (met == 0)


def test_where_packets_did_not_reach_the_host_its_trial_says_nothing() -> None:
    never = [record.Attempt(forward={"destination-underlay": 0, "destination-port": 0})] * 3
    found = judged(
        trial((0, 0, 0), role="destination"), half(None, **dict(zip(("before", "during", "after"), never, strict=True)))
    )

    assert found.effect == "unclear"
    assert found.summary.endswith("the trial says nothing of it.")


@pytest.mark.parametrize(("limited", "supports"), [((), True), (("source",), False), (("destination",), True)])
def test_a_trial_around_a_rate_limit_does_not_prove_the_switch_wrong(
    limited: tuple[path.Role, ...], supports: bool
) -> None:
    one = verdict.Finding(code="switch-disobeys", hop="source-br-int", certainty="likely", summary="It drops them.")
    healing = judged(trial())

    found = trials.weigh(one, [healing], limited)

    assert (healing.summary in found.evidence) == supports
    assert any("rate limit" in text for text in found.against) != supports
