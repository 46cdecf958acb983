"""Large packets that are lost are located, devices that are too small are named, and no healthy path is accused."""

from typing import Any

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose, verdict
from ovs_pathfinder.evidence import record
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import LARGE, World, sized

POINTS = path.POINTS
ALL = dict.fromkeys(POINTS, (3, 3))
TCP, UDP = build.plan(protocol="tcp", port=9443), build.plan(protocol="udp", port=5555)
ECHOES = tuple(f"e/{number}" for number in (1, 2, 3))


def diagnosis(world: World) -> verdict.Diagnosis:
    return diagnose.diagnose(world.plan, world.run())


def by(*passed: tuple[int, int]) -> dict[path.Point, tuple[int, int]]:
    return dict(zip(POINTS, passed, strict=True))


@pytest.mark.parametrize(
    ("passed", "hop", "direction"),
    [
        ([(3, 0), (3, 0), (0, 0), (0, 0)], "underlay", "forward"),
        ([(3, 0), (3, 0), (3, 3), (3, 3)], "underlay", "reply"),
        ([(3, 0), (0, 0), (0, 0), (0, 0)], "source-br-tun", "forward"),
        ([(3, 0), (3, 0), (3, 0), (0, 0)], "destination-br-tun", "forward"),
        ([(3, 0), (3, 0), (3, 0), (3, 0)], "guest", "forward"),
    ],
)
def test_large_packets_are_missed_where_they_stop(
    passed: list[tuple[int, int]], hop: path.Hop, direction: path.Direction
) -> None:
    found = diagnosis(sized(dict(zip(POINTS, passed, strict=True))))

    assert (found.verdict, found.code, found.hop, found.direction) == ("degraded", "mtu-too-small", hop, direction)
    assert found.certainty == ("likely" if hop == "guest" else "proven")
    assert "path-ok" not in [one.code for one in found.findings], "a path is not both"
    assert all(not one.lost for one in found.hops), "the probe's own packets passed"


@pytest.mark.parametrize(
    "world",
    [
        sized(dict.fromkeys(POINTS, (3, 3)), answered=3),
        sized(dict(zip(POINTS, [(3, 1), (3, 1), (1, 1), (1, 1)], strict=True)), answered=1),
        sized(dict.fromkeys(POINTS, (0, 0))),
        World(source={"large": record.Probe(command="", transmitted=0)}),
    ],
    ids=["all answered", "some answered", "the source's own device refuses them", "none sent"],
)
def test_a_network_that_carries_large_packets_is_not_accused(world: World) -> None:
    found = diagnosis(world)

    assert (found.verdict, found.code, len(found.findings)) == ("ok", "path-ok", 1)


def test_small_packets_that_are_lost_come_first() -> None:
    passed = dict(zip(POINTS, [(3, 0), (3, 0), (0, 0), (0, 0)], strict=True))

    found = diagnosis(sized(passed, lost_after={("forward", "source-underlay"): 5}))

    assert (found.verdict, found.code) == ("broken", "underlay-loss")


# Other protocols


@pytest.mark.parametrize("plan", [TCP, UDP], ids=["tcp", "udp"])
def test_large_packets_that_need_no_answer_are_followed_to_the_destination(plan: path.Plan) -> None:
    lost = diagnosis(sized(by((3, 0), (3, 0), (0, 0), (0, 0)), plan=plan))
    fine = diagnosis(sized(by((3, 0), (3, 0), (3, 0), (3, 0)), plan=plan))

    assert (lost.verdict, lost.code, lost.hop, lost.direction) == ("degraded", "mtu-too-small", "underlay", "forward")
    assert lost.certainty == "proven"
    assert (fine.verdict, len(fine.findings)) == ("ok", 1)
    assert "on the way to the destination alone" in " ".join(fine.missing)


def test_a_syn_with_data_on_a_physical_network_proves_nothing() -> None:
    network = TCP.network.model_copy(update={"type": "vlan", "physical_network": "physnet1"})
    plan = TCP.model_copy(update={"network": network})

    found = diagnosis(sized(by((3, 0), (3, 0), (0, 0), (0, 0)), plan=plan))

    assert (found.code, found.certainty) == ("mtu-too-small", "likely")


def echoing(*back: int, answered: int = 0) -> World:
    """Let large answers pass each point on the way back, and all large packets there."""
    observations: dict[path.Point, dict[str, Any]] = {
        point: {"large_forward": (*LARGE, *ECHOES), "large_reply": ECHOES[:count]}
        for point, count in zip(POINTS, back, strict=True)
    }
    large = record.Probe(command="3 SYN packets", transmitted=3, sent=LARGE)
    echoes = record.Probe(command="ping -M do …", transmitted=3, sent=ECHOES, answered=answered)
    return World(plan=TCP, observations=observations, source={"large": large, "large_echoes": echoes})


@pytest.mark.parametrize(
    ("back", "hop"), [((0, 0, 3, 3), "underlay"), ((0, 0, 0, 3), "destination-br-tun"), ((0, 3, 3, 3), "source-br-tun")]
)
def test_large_answers_are_followed_from_the_guest_on(back: tuple[int, ...], hop: path.Hop) -> None:
    found = diagnosis(echoing(*back))

    assert (found.verdict, found.code, found.hop, found.direction) == ("degraded", "mtu-too-small", hop, "reply")
    assert found.certainty == "likely"
    assert "answers to echo requests" in found.findings[0].evidence[0]


def test_a_guest_that_answers_no_echo_is_not_accused() -> None:
    found = diagnosis(echoing(0, 0, 0, 0))

    assert (found.verdict, found.code) == ("ok", "path-ok")


def test_large_packets_that_were_answered_both_ways_leave_nothing_untested() -> None:
    assert diagnosis(echoing(3, 3, 3, 3, answered=3)).missing == ()


def test_a_unit_that_may_have_come_late_says_nothing_of_large_packets() -> None:
    world = sized(by((3, 0), (3, 0), (0, 0), (0, 0)), plan=TCP)
    source, destination = world.run()
    deaf = source.model_copy(update={"rendezvous": record.Rendezvous(nonce="aaaaaaaa")})

    found = diagnose.diagnose(TCP, [deaf, destination])

    assert (found.verdict, found.code) == ("ok", "path-ok")


@pytest.mark.parametrize(
    ("large", "why"),
    [(None, "none was sent"), (record.Probe(command="", transmitted=0, output="Message too long"), "Message too long")],
)
def test_what_was_not_tested_is_said(large: record.Probe | None, why: str) -> None:
    found = diagnosis(World(source={"large": large}))

    assert found.missing == (f"Large packets were not tested: {why}.",)


# Devices


@pytest.mark.parametrize(("mtu", "verdict_"), [(0, "ok"), (1458, "ok"), (9000, "ok"), (1300, "degraded")])
@pytest.mark.parametrize("role", ["source", "destination"])
def test_a_device_takes_what_its_network_carries(role: path.Role, mtu: int, verdict_: str) -> None:
    found = diagnosis(sized(ALL, answered=3, devices={role: {"mtu": mtu}}))

    assert found.verdict == verdict_
    if verdict_ == "degraded":
        assert (found.code, found.hop, found.certainty) == ("device-mtu-wrong", f"{role}-port", "likely")


def test_a_small_device_is_the_cause_of_the_loss_there() -> None:
    small: dict[path.Role, dict[str, Any]] = {"destination": {"mtu": 1300}}

    found = diagnosis(sized(by((3, 0), (3, 0), (3, 0), (0, 0)), devices=small))

    assert [(one.code, one.certainty) for one in found.findings] == [("device-mtu-wrong", "proven")]


def test_small_packets_that_are_given_up_with_a_large_one_are_lost_by_the_device() -> None:
    passed = by((3, 0), (3, 0), (3, 0), (0, 0))
    some: dict[build.Station, int] = {("forward", "destination-underlay"): 2}

    found = diagnosis(sized(passed, lost_after=some, devices={"destination": {"mtu": 1300}}))

    assert (found.verdict, found.code, found.hop) == ("degraded", "device-mtu-wrong", "destination-port")
    assert found.findings[1].code == "loss-intermittent"
    assert diagnosis(sized(passed, lost_after=some)).code == "loss-intermittent"


@pytest.mark.parametrize(
    "source",
    [
        {"large": record.Probe(command="", transmitted=3, output="ping: local error: message too long, mtu=1300")},
        {"log": ("…|netdev_linux|WARN|error sending Ethernet packet on o-hm0: Message too long",)},
    ],
)
def test_a_refusal_proves_that_a_device_is_too_small(source: dict[str, Any]) -> None:
    found = diagnosis(World(devices={"source": {"mtu": 1300}}, source=source))

    assert (found.code, found.certainty) == ("device-mtu-wrong", "proven")


@pytest.mark.parametrize(("datapath", "certainty"), [("system", "proven"), ("netdev", "likely")])
def test_the_kernels_counter_speaks_of_its_own_datapath(datapath: str, certainty: str) -> None:
    world = sized(ALL, answered=3, devices={"source": {"mtu": 1300, "unsent": 3}}, source={"datapath_type": datapath})

    assert diagnosis(world).certainty == certainty
