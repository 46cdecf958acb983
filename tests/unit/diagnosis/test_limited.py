from typing import Any

import pytest

from ovs_pathfinder.diagnosis import diagnose, verdict
from ovs_pathfinder.evidence import record
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World


def judged(*limits: record.Limit, lost: int = 5, **world: Any) -> verdict.Diagnosis:
    made = World(
        lost_after={("forward", "source-port"): lost} if lost else {},
        source={"limits": limits, **world.pop("source", {})},
        **world,
    )
    return diagnose.diagnose(made.plan, made.run())


def meter(dropped: int | None, **about: Any) -> record.Limit:
    fields: dict[str, Any] = {
        "kind": "meter",
        "name": "meter 7 of br-int",
        "direction": "forward",
        "bridge": "br-int",
        "step": "br-int table 60, priority 100, in_port=3",
        "setting": "pktps bands= type=drop rate=2",
        "dropped": dropped,
    }
    return record.Limit(**{**fields, **about})


@pytest.mark.parametrize(("lost", "verdict_"), [(5, "broken"), (2, "degraded")])
def test_a_meter_that_dropped_as_many_as_were_lost_is_the_cause(lost: int, verdict_: str) -> None:
    found = judged(meter(5), lost=lost)

    assert (found.verdict, found.code, found.certainty) == (verdict_, "rate-limited", "proven")
    assert found.hop == "source-br-int"
    assert "meter 7 of br-int (pktps bands= type=drop rate=2) dropped 5" in found.summary


def test_a_meter_that_dropped_fewer_is_only_likely() -> None:
    found = judged(meter(1), lost=3)

    assert (found.code, found.certainty) == ("rate-limited", "likely")
    assert found.findings[0].against


def test_a_meter_that_dropped_nothing_leaves_the_switch_accused() -> None:
    found = judged(meter(0))

    assert (found.code, found.certainty) == ("switch-disobeys", "proven")


@pytest.mark.parametrize(
    "limit",
    [
        meter(None),
        meter(None, kind="action", name="set_queue:7 in br-int table 60, priority 100"),
        meter(None, kind="policer", name="policing of o-hm0", bridge="", step=""),
        meter(None, kind="queue", name="queues of o-hm0", bridge="", step=""),
    ],
)
def test_what_may_lose_packets_and_was_not_looked_at_rules_proof_against_the_switch_out(limit: record.Limit) -> None:
    found = judged(limit)

    assert (found.code, found.certainty) == ("switch-disobeys", "likely")
    assert any(limit.name in text for text in found.findings[0].against)


def test_a_conntrack_table_without_room_rules_it_out_too() -> None:
    full = {"conntrack_full": ("conntrack zone 1 holds 9 of 9 connections",)}

    assert judged(source=full).certainty == "likely"


@pytest.mark.parametrize("limit", [meter(5, direction="reply"), meter(5)])
def test_a_limit_on_a_path_that_works_is_no_accusation(limit: record.Limit) -> None:
    assert judged(limit, lost=0).code == "path-ok"


def test_a_limit_of_the_other_direction_is_not_the_cause() -> None:
    assert judged(meter(5, direction="reply")).code == "switch-disobeys"


def test_rules_that_drop_come_before_a_limit() -> None:
    dropped = build.trace("forward", "dropped", "br-int 0 0", "br-int 71 10 reg5=0x3", "br-int 93 0")

    assert judged(meter(5), traces={("source", "forward"): dropped}).code == "source-address-wrong"
