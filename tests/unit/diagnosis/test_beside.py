"""What is wrong beside the probe's packets is named, and never at the cost of a path that works."""

import dataclasses
from typing import Any

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose, verdict
from ovs_pathfinder.evidence import record
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World


def diagnosis(world: World) -> verdict.Diagnosis:
    return diagnose.diagnose(world.plan, world.run())


# Heartbeats


def amphora(**changes: Any) -> path.Plan:
    plan = build.plan(**changes)
    port = plan.destination.port.model_copy(update={"name": "octavia-lb-vrrp-mgmt-e64930ad"})
    return plan.model_copy(update={"destination": plan.destination.model_copy(update={"port": port})})


def beating(role: path.Role, outcome: record.Outcome, *tables: str, dropped: bool = False, **more: Any) -> World:
    trace = build.trace("reply", outcome, *tables, subject="heartbeat")
    ways = {"source": build.IN, "destination": build.OUT}
    plain = build.trace("reply", "forwarded", *ways[role])
    flows = (record.Megaflow(direction="reply", actions="drop", raw="udp … actions:drop"),)
    update = {"traces": (plain, trace), "heartbeats": flows if dropped else ()}
    return World(plan=amphora(), **{role: update}, **more)


@pytest.mark.parametrize("dropped", [True, False])
@pytest.mark.parametrize(("role", "table"), [("source", 82), ("destination", 72)])
def test_heartbeats_that_a_rule_drops_are_told(role: path.Role, table: int, dropped: bool) -> None:
    found = diagnosis(beating(role, "dropped", f"br-int {table} 40 ct_state=-est", "br-int 93 0", dropped=dropped))

    assert (found.verdict, found.code, found.hop) == ("degraded", "heartbeat-blocked", f"{role}-br-int")
    assert found.direction == "reply"
    assert found.certainty == ("proven" if dropped else "likely")
    assert "udp port 5555" in found.summary


@pytest.mark.parametrize("field", ["megaflows", "heartbeats"])
def test_connections_that_were_cut_off_are_noticed_and_accuse_nobody(field: str) -> None:
    flow = record.Megaflow(direction="reply", actions="drop", ct_marked=True, raw="ct_mark(0x1/0x1) … actions:drop")

    found = diagnosis(World(plan=amphora(), destination={field: (flow,)}))

    assert (found.verdict, found.code) == ("ok", "path-ok")
    assert [(one.code, one.hop, one.certainty) for one in found.findings[1:]] == [
        ("conntrack-stale", "destination-br-int", "possible")
    ]


def test_connections_that_were_cut_off_do_not_prove_what_becomes_of_the_probe() -> None:
    flow = record.Megaflow(direction="forward", actions="drop", ct_marked=True, raw="ct_mark(0x1/0x1) … actions:drop")
    world = World(lost_after={("forward", "source-port"): 5}, source={"megaflows": (flow,)}, counters_stand=False)

    found = diagnosis(world)

    assert found.certainty != "proven"


def test_heartbeats_that_pass_are_no_finding() -> None:
    found = diagnosis(beating("source", "forwarded", *build.IN))

    assert [one.code for one in found.findings] == ["path-ok"]


def test_packets_that_conntrack_calls_invalid_are_not_taken_for_heartbeats() -> None:
    flow = record.Megaflow(direction="reply", actions="drop", ct_invalid=True, raw="ct_state(0x30/0x3f) … actions:drop")
    world = World(plan=amphora())
    world = dataclasses.replace(world, source={"heartbeats": (flow,)}, destination={"heartbeats": (flow,)})

    assert [one.code for one in diagnosis(world).findings] == ["path-ok"]


def test_paths_of_others_have_no_heartbeats() -> None:
    world = beating("source", "dropped", "br-int 82 40")
    server = world.plan.destination.model_copy(
        update={"port": world.plan.destination.port.model_copy(update={"name": "web"}), "label": "server web"}
    )

    found = diagnosis(dataclasses.replace(world, plan=world.plan.model_copy(update={"destination": server})))

    assert found.code == "path-ok"


# Agents and mirrors


def with_dead_agent(role: path.Role) -> path.Plan:
    plan = build.plan()
    return plan.model_copy(update={role: plan.endpoint(role).model_copy(update={"agent_alive": False})})


def test_dead_agent_is_the_cause_of_what_it_should_have_put_right() -> None:
    missing = build.trace("forward", "dropped", *build.IN[:4], "br-int 81 0")
    world = World(
        plan=with_dead_agent("destination"),
        lost_after={("forward", "destination-underlay"): 5},
        traces={("destination", "forward"): missing},
    )

    found = diagnosis(world)

    assert [one.code for one in found.findings[:2]] == ["agent-down", "flows-missing"]
    assert (found.hop, found.direction, found.certainty) == ("destination-br-int", "forward", "likely")


@pytest.mark.parametrize(
    ("lost", "code"), [({}, "path-ok"), ({("forward", "source-underlay"): 5}, "underlay-loss")], ids=["works", "other"]
)
def test_dead_agent_is_only_noticed_where_it_is_not_the_cause(lost: Any, code: str) -> None:
    found = diagnosis(World(plan=with_dead_agent("destination"), lost_after=lost))

    assert found.code == code
    assert [(one.code, one.hop, one.certainty) for one in found.findings[1:]] == [("agent-down", None, "possible")]


def test_mirror_of_others_is_noticed_and_accuses_nobody() -> None:
    found = diagnosis(World(destination={"mirrors": ("mirror m of br-int copies packets to port mi0",)}))

    assert (found.verdict, found.code) == ("ok", "path-ok")
    assert [(one.code, one.direction, one.certainty) for one in found.findings[1:]] == [
        ("leftover-mirror", None, "possible")
    ]


# History


@pytest.mark.parametrize(
    ("count", "words"), [(0, "no difference in the rules since"), (1, "1 difference in the rules since")]
)
def test_what_has_changed_on_the_host_is_quoted(count: int, words: str) -> None:
    history = record.History(
        snapshot="before.flows",
        taken="2022-03-10T08:00:00+00:00",
        version="2.13.5",
        differences=("gone: br-int table 72 …",)[:count],
        count=count,
    )
    world = World(
        lost_after={("forward", "source-port"): 5},
        traces={("source", "forward"): build.trace("forward", "forwarded", *build.OUT, stuck_at=3)},
        source={"history": history, "ovs_version": "2.16.0"},
    )

    found = diagnosis(world)

    quoted = "\n".join(found.findings[0].evidence)
    assert words in quoted
    assert "Open vSwitch was 2.13.5 then, 2.16.0 now" in quoted
    assert ("gone: br-int table 72" in quoted) == bool(count)


# Two causes at once


def test_what_would_stop_the_packets_next_is_named_and_stands_behind() -> None:
    world = World(
        lost_after={("forward", "source-port"): 5},
        traces={
            ("source", "forward"): build.trace("forward", "dropped", "br-int 71 65", "br-int 72 40", "br-int 93 0"),
            ("destination", "forward"): build.trace("forward", "dropped", *build.IN[:5], "br-int 82 40", "br-int 93 0"),
        },
    )

    found = diagnosis(world)

    assert [(one.code, one.hop) for one in found.findings] == [
        ("egress-rule-missing", "source-br-int"),
        ("ingress-rule-missing", "destination-br-int"),
    ]
    assert found.findings[1].certainty == "possible"
    assert "stop before that place" in " ".join(found.findings[1].against)
