"""Evidence with holes makes a diagnosis less certain, and it says why; it accuses nobody who is healthy."""

import dataclasses
from typing import Any

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose, verdict
from ovs_pathfinder.evidence import record
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World

LOST_IN_SOURCE: dict[build.Station, int] = {("forward", "source-port"): 5}
FORWARDS = build.trace("forward", "forwarded", *build.OUT, stuck_at=3)


def diagnosis(world: World) -> verdict.Diagnosis:
    return diagnose.diagnose(world.plan, world.run())


def broken(**changes: Any) -> World:
    fields: dict[str, Any] = {"lost_after": LOST_IN_SOURCE, "traces": {("source", "forward"): FORWARDS}}
    return World(**{**fields, **changes})


def test_the_same_without_holes_is_proven() -> None:
    found = diagnosis(broken())

    assert (found.code, found.certainty) == ("switch-disobeys", "proven")


def test_a_trace_that_was_not_understood_proves_nothing() -> None:
    unread = build.trace("forward", "unknown", reason="the trace could not be read")

    found = diagnosis(broken(traces={("source", "forward"): unread}))

    assert (found.verdict, found.code, found.hop) == ("cannot-tell", "cannot-tell", "source-br-int")
    assert found.certainty == "likely"
    assert "the trace could not be read" in " ".join(found.findings[0].against)


def test_counters_that_went_backwards_prove_nothing() -> None:
    """An agent that writes its flows anew sets them to nothing."""
    back = tuple(step.model_copy(update={"before": 100, "after": 3}) for step in FORWARDS.steps)

    found = diagnosis(broken(traces={("source", "forward"): FORWARDS.model_copy(update={"steps": back})}))

    assert (found.code, found.hop, found.certainty) == ("switch-disobeys", "source-br-int", "likely")
    assert "counter" in " ".join(found.findings[0].against)


def test_captures_that_did_not_start_widen_the_place_and_are_named() -> None:
    found = diagnosis(broken(failed=frozenset[path.Point](("source-underlay", "destination-underlay"))))

    assert found.verdict == "broken"
    assert found.certainty != "proven" or found.hop == "source-br-int"
    assert sum("could not be watched: tcpdump: no such device" in one for one in found.missing) == 2


@pytest.mark.parametrize("lost", [LOST_IN_SOURCE, {("forward", "destination-port"): 5}, {}], ids=["there", "far", "no"])
def test_a_unit_that_never_answered_is_named_and_nobody_on_its_host_is_proven_guilty(lost: Any) -> None:
    world = broken(lost_after=lost)
    (source, _) = world.run()

    found = diagnose.diagnose(world.plan, [source])

    assert any("ovs-pathfinder/1" in one and "has not arrived" in one for one in found.missing)
    assert not (found.hop or "").startswith("destination") or found.certainty != "proven"
    assert (found.verdict == "ok") == (not lost)


@pytest.mark.parametrize("minutes", [-10, 10])
def test_clocks_that_are_minutes_apart_change_nothing_for_units_that_met(minutes: int) -> None:
    source, destination = broken().run()
    shifted = destination.model_copy(update={"started": f"2022-03-14T10:{15 + minutes:02}:10.000+00:00"})

    world = broken()
    found = diagnose.diagnose(world.plan, [source, shifted])

    assert (found.code, found.certainty) == ("switch-disobeys", "proven")


def test_clocks_that_are_minutes_apart_leave_out_a_unit_that_nobody_heard() -> None:
    deaf = record.Rendezvous(nonce="cccccccc")
    source, destination = (
        one.model_copy(update={"rendezvous": deaf})
        for one in broken(lost_after={("forward", "source-underlay"): 5}).run()
    )
    shifted = destination.model_copy(update={"started": "2022-03-14T10:25:10.000+00:00"})

    found = diagnose.diagnose(build.plan(), [source, shifted])

    assert any("did not watch at the same time" in one for one in found.missing)
    assert found.certainty != "proven"


@pytest.mark.parametrize("version", ["", "9.99.0", "4.0.0-custom", "unknown"])
def test_a_version_that_nobody_knows_is_not_blamed(version: str) -> None:
    found = diagnosis(broken(source={"ovs_version": version}))

    assert found.code == "switch-disobeys"
    assert diagnosis(dataclasses.replace(World(), source={"ovs_version": version})).code == "path-ok"


DROP = record.Megaflow(direction="forward", actions="drop", raw="recirc_id(0x3),…, actions:drop")


def with_live(outcome: record.Outcome, *tables: str, **more: Any) -> World:
    """Return a world whose datapath drops what the plan's trace forwards; `outcome` is its own key's."""
    live = build.trace("forward", outcome, *tables, **more).model_copy(update={"subject": "live"})
    return broken(source={"traces": (FORWARDS, live), "megaflows": (DROP,)})


def test_key_that_the_tables_forward_and_the_datapath_drops_is_quoted_as_proof() -> None:
    found = diagnosis(with_live("forwarded", *build.OUT, outputs=("the tunnel to 172.20.0.209",)))

    assert (found.code, found.certainty) == ("switch-disobeys", "proven")
    assert "own key, traced, is forwarded to the tunnel to 172.20.0.209" in " ".join(found.findings[0].evidence)


def test_switch_that_drops_what_its_tables_say_is_not_disobedient() -> None:
    found = diagnosis(with_live("dropped", "br-int 0 0", "br-int 60 100", "br-int 71 65", "br-int 72 50 ct_mark=0x1"))

    assert (found.code, found.hop, found.certainty) == ("conntrack-stale", "source-br-int", "likely")
    assert "as the plan describes it would pass" in " ".join(found.findings[0].against)


@pytest.mark.parametrize("outcome", ["unknown", "failed"])
def test_key_that_could_not_be_traced_changes_nothing(outcome: record.Outcome) -> None:
    found = diagnosis(with_live(outcome))

    assert (found.code, found.certainty) == ("switch-disobeys", "proven")
    assert "own key" not in " ".join(found.findings[0].evidence)


def test_port_that_neutron_could_not_bind_is_named_though_nobody_is_on_its_host() -> None:
    plan = build.plan()
    port = plan.destination.port.model_copy(update={"vif_type": "binding_failed", "host": "nowhere"})
    far = plan.destination.model_copy(update={"port": port, "unit": "", "principal": "", "tunnel_address": ""})
    world = World(plan=plan.model_copy(update={"destination": far}), lost_after={("forward", "source-underlay"): 5})

    found = diagnose.diagnose(world.plan, world.run()[:1])

    assert (found.verdict, found.code, found.hop) == ("broken", "port-unbound", "destination-br-int")
    assert found.certainty == "likely"
    assert "binding_failed" in found.summary


def test_port_that_is_not_bound_and_answers_is_accused_of_nothing() -> None:
    plan = build.plan()
    port = plan.destination.port.model_copy(update={"vif_type": "binding_failed"})
    far = plan.destination.model_copy(update={"port": port})
    world = World(plan=plan.model_copy(update={"destination": far}))

    assert diagnose.diagnose(world.plan, world.run()[:1]).code == "path-ok"


# Neighbour entries that run out


def ran_out(came_out: int, unresolved: int = 3, **more: Any) -> World:
    """Let the source's kernel keep back all packets after the first ones, which are lost on its host."""
    identities = tuple(f"a1b2c3d4/{number}" for number in range(1, came_out + 1))
    near = {"forward": identities, "neighbours": record.Neighbours(solicited=4)}
    source = {"unresolved": unresolved, "tunnel": None}
    return World(lost_after=LOST_IN_SOURCE, observations={"source-port": near}, source=source, **more)


def test_packets_that_the_kernel_kept_back_are_a_consequence_of_the_loss() -> None:
    found = diagnosis(ran_out(2))

    assert (found.verdict, found.code, found.hop) == ("broken", "tunnel-missing", "source-br-tun")
    assert found.sent == 2
    assert "3 more packets are left out: octavia/2 kept them back" in " ".join(found.findings[0].evidence)


def test_packets_that_did_not_come_out_though_the_neighbour_was_known_are_the_sources() -> None:
    found = diagnosis(ran_out(2, unresolved=0))

    assert (found.code, found.hop) == ("source-silent", "source-port")


def test_answers_that_the_guest_kept_back_are_a_consequence_of_the_loss() -> None:
    identities = tuple(f"a1b2c3d4/{number}" for number in range(1, 6))
    asked = {"forward": identities, "reply": identities[:2], "neighbours": record.Neighbours(solicited_back=3)}
    lost: dict[build.Station, int] = {("reply", "destination-port"): 5}

    found = diagnosis(World(lost_after=lost, observations={"destination-port": asked}, destination={"tunnel": None}))

    assert (found.verdict, found.code, found.hop, found.direction) == (
        "broken",
        "tunnel-missing",
        "destination-br-tun",
        "reply",
    )
    assert "3 more answers are left out: amphora e64930ad kept them back" in " ".join(found.findings[0].evidence)


def test_a_question_that_alone_is_lost_is_followed() -> None:
    """What was sent before the entry ran out was answered, and nothing is sent after that."""
    identities = tuple(f"a1b2c3d4/{number}" for number in range(1, 3))
    asked = {"forward": identities, "reply": identities, "neighbours": record.Neighbours(solicited=3)}
    observations: dict[path.Point, dict[str, Any]] = dict.fromkeys(path.POINTS, asked)

    found = diagnosis(World(observations=observations, source={"unresolved": 3}, probe={"answered": 2}))

    assert (found.verdict, found.carrier, found.hop) == ("broken", "neighbour", "guest")
