"""A trace that was not followed to its end says nothing: it neither accuses nor acquits."""

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose
from tests.unit.diagnosis import build, test_beside

REASON = "what follows its recirculation 0x1 was not traced"
LOSSES: dict[tuple[path.Role, path.Direction], build.Station] = {
    ("source", "forward"): ("forward", "source-port"),
    ("source", "reply"): ("reply", "source-underlay"),
    ("destination", "forward"): ("forward", "destination-underlay"),
    ("destination", "reply"): ("reply", "destination-port"),
}


@pytest.mark.parametrize("where", LOSSES)
@pytest.mark.parametrize("steps", [build.OUT, build.IN, ("br-int 0 0",), ("br-int 72 40", "br-int 93 0"), ()])
def test_a_loss_there_is_of_unknown_cause(where: tuple[path.Role, path.Direction], steps: tuple[str, ...]) -> None:
    trace = build.trace(where[1], "not-followed", *steps, reason=REASON)
    world = build.World(lost_after={LOSSES[where]: 5}, traces={where: trace})

    found = diagnose.diagnose(world.plan, world.run())

    assert (found.verdict, found.code, found.certainty) == ("cannot-tell", "cannot-tell", "likely")
    assert REASON in " ".join(found.findings[0].against)


def test_what_lies_behind_it_is_not_accused_by_elimination() -> None:
    trace = build.trace("forward", "not-followed", *build.OUT, reason=REASON)
    failed = frozenset[path.Point](("source-underlay", "destination-underlay"))
    world = build.World(
        lost_after={("forward", "source-port"): 5}, failed=failed, traces={("source", "forward"): trace}
    )

    found = diagnose.diagnose(world.plan, world.run())

    assert (found.code, found.hop) == ("cannot-tell", "source-br-int")


def test_a_drop_on_the_other_host_is_still_found() -> None:
    failed = frozenset[path.Point](("source-underlay", "destination-underlay"))
    world = build.World(
        lost_after={("forward", "destination-underlay"): 5},
        failed=failed,
        traces={
            ("source", "forward"): build.trace("forward", "not-followed", *build.OUT, reason=REASON),
            ("destination", "forward"): build.trace("forward", "dropped", *build.IN[:5], "br-int 82 40", "br-int 93 0"),
        },
    )

    found = diagnose.diagnose(world.plan, world.run())

    assert (found.code, found.hop) == ("ingress-rule-missing", "destination-br-int")


@pytest.mark.parametrize("role", ["source", "destination"])
def test_heartbeats_are_not_blocked_by_it(role: path.Role) -> None:
    found = test_beside.diagnosis(test_beside.beating(role, "not-followed", *build.OUT))

    assert (found.verdict, found.code) == ("ok", "path-ok")


def test_the_report_shows_it_as_not_followed() -> None:
    trace = build.trace("forward", "not-followed", "br-int 0 0", "br-int 72 40", reason=REASON)
    world = build.World(lost_after={("forward", "source-port"): 5}, traces={("source", "forward"): trace})

    found = diagnose.diagnose(world.plan, world.run())

    theory = {one.hop: one.theory_forward for one in found.hops}
    assert theory["source-br-int"] == "not followed"
    assert theory["source-br-tun"] == ""
