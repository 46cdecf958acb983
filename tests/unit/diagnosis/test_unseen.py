"""A port that no capture can see is not accused, and the loss is located by flows and counters."""

from typing import Any

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose, verdict
from ovs_pathfinder.evidence import record
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World

WHY = "tap93fff561-bf is in another network namespace"
DEVICE: dict[path.Role, dict[str, Any]] = {
    "destination": {"out_of_sight": WHY, "present": False, "up": False, "carrier": False}
}
SILENT: dict[build.Station, int] = {("forward", "destination-port"): 5}
FORWARD = record.Megaflow(direction="forward", actions="7", raw="… actions:7")


def hidden(**changes: Any) -> World:
    """A guest's port is out of sight; the guest gets the packets and answers none."""
    observations = {"destination-port": {"forward": (), "reply": (), "out_of_sight": WHY}}
    quiet = build.trace("reply", "forwarded", *build.OUT, stuck_at=0)
    fields: dict[str, Any] = {
        "devices": DEVICE,
        "lost_after": SILENT,
        "observations": observations,
        "traces": {("source", "reply"): quiet, ("destination", "reply"): quiet},
    }
    return World(**{**fields, **changes})


def diagnosis(world: World) -> verdict.Diagnosis:
    return diagnose.diagnose(world.plan, world.run())


def test_a_healthy_port_that_is_out_of_sight_is_fine() -> None:
    found = diagnosis(hidden(lost_after={}))

    assert (found.verdict, found.code) == ("ok", "path-ok")
    assert next(one for one in found.hops if one.hop == "destination-port").forward is None
    assert f"destination-port on ovs-pathfinder/1 is out of sight: {WHY}." in found.missing


@pytest.mark.parametrize("same_host", [False, True])
def test_packets_that_the_switch_let_out_are_the_guests(same_host: bool) -> None:
    world = hidden(plan=build.plan(same_host=same_host))

    found = diagnosis(world)

    assert (found.verdict, found.code, found.hop, found.direction) == ("broken", "guest-silent", "guest", "forward")
    assert found.certainty == "likely"
    assert WHY in found.findings[0].against[0]


def test_neighbours_are_read_where_they_can_be_seen() -> None:
    near = {"neighbours": record.Neighbours(solicited=1, advertised=1)}
    world = hidden()

    found = diagnosis(hidden(observations={**world.observations, "destination-underlay": near}))

    assert found.code == "guest-filters-icmp"


@pytest.mark.parametrize(
    ("flows", "code"),
    [
        ((), "cannot-tell"),
        ((FORWARD,), "guest-silent"),
        ((FORWARD, FORWARD.model_copy(update={"direction": "reply"})), "cannot-tell"),
    ],
    ids=["nothing known", "no flow for answers", "a flow for answers"],
)
def test_a_guest_whose_port_is_busy_is_silent_only_without_flows_for_answers(
    flows: tuple[record.Megaflow, ...], code: str
) -> None:
    found = diagnosis(hidden(traces={}, destination={"megaflows": flows}))

    assert (found.code, found.hop) == (code, "guest" if code == "guest-silent" else None)


def test_flows_that_did_not_count_the_packets_accuse_no_guest() -> None:
    stuck = build.trace("forward", "forwarded", *build.IN, stuck_at=3)

    found = diagnosis(hidden(traces={("destination", "forward"): stuck}))

    assert (found.verdict, found.code) == ("cannot-tell", "cannot-tell")
    assert WHY in found.findings[0].against[0]


def test_a_drop_by_the_flows_is_told_before_anything_is_said_of_the_guest() -> None:
    drops = build.trace("forward", "dropped", "br-int 60 90", "br-int 82 40 ct_state=-est", "br-int 93 0")

    found = diagnosis(hidden(traces={("destination", "forward"): drops}))

    assert (found.code, found.hop, found.certainty) == ("ingress-rule-missing", "destination-br-int", "likely")


def test_nothing_can_be_sent_from_a_port_that_is_out_of_sight() -> None:
    why = "qr-0a8a7ef6-00 is in another network namespace"
    devices: dict[path.Role, dict[str, Any]] = {"source": {"out_of_sight": why, "present": False, "addresses": ()}}

    found = diagnosis(World(devices=devices, count=0))

    assert (found.verdict, found.code) == ("cannot-tell", "cannot-tell")
    assert why in found.summary
