from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import codes, diagnose, verdict
from ovs_pathfinder.evidence import record
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World

FORWARD: tuple[build.Station, ...] = tuple(("forward", one) for one in path.POINTS)
REPLY: tuple[build.Station, ...] = tuple(("reply", one) for one in path.POINTS[::-1])


def judge(world: World) -> verdict.Diagnosis:
    return diagnose.diagnose(world.plan, world.run())


def essence(found: verdict.Diagnosis) -> tuple[str, str, str | None, str | None]:
    return found.verdict, found.code, found.hop, found.direction


def test_a_healthy_path_is_ok() -> None:
    found = judge(World())

    assert essence(found) == ("ok", "path-ok", None, None)
    assert (found.sent, found.answered, found.certainty) == (5, 5, "proven")
    assert [(one.forward, one.reply) for one in found.hops if one.forward is not None] == [(5, 5)] * 4
    assert found.missing == ()


STRETCHES: dict[build.Station, tuple[str, str, str]] = {
    ("forward", "source-port"): ("switch-disobeys", "source-br-int", "forward"),
    ("forward", "source-underlay"): ("underlay-loss", "underlay", "forward"),
    ("forward", "destination-underlay"): ("switch-disobeys", "destination-br-int", "forward"),
    ("forward", "destination-port"): ("guest-silent", "guest", "forward"),
    ("reply", "destination-port"): ("switch-disobeys", "destination-br-int", "reply"),
    ("reply", "destination-underlay"): ("underlay-loss", "underlay", "reply"),
    ("reply", "source-underlay"): ("switch-disobeys", "source-br-int", "reply"),
    ("reply", "source-port"): ("reply-lost", "source-port", "reply"),
}


@pytest.mark.parametrize("station", STRETCHES)
def test_a_total_loss_is_found_where_it_is(station: build.Station) -> None:
    found = judge(World(lost_after={station: 5}))

    code, hop, direction = STRETCHES[station]
    assert essence(found) == ("broken", code, hop, direction)
    assert found.answered == 0


@pytest.mark.parametrize("station", STRETCHES)
def test_a_partial_loss_degrades(station: build.Station) -> None:
    found = judge(World(lost_after={station: 2}))

    code, hop, direction = STRETCHES[station]
    assert (found.verdict, found.hop, found.direction) == ("degraded", hop, direction)
    wanted = code if code in ("underlay-loss", "reply-lost") else "loss-intermittent"
    assert found.code == wanted


@pytest.mark.parametrize("station", STRETCHES)
def test_a_neighbour_that_stays_unknown_is_followed_instead(station: build.Station) -> None:
    if station == ("reply", "source-port"):
        return
    found = judge(World(carrier="neighbour", lost_after={station: 5}))

    assert found.carrier == "neighbour"
    assert (found.verdict, found.hop, found.direction) == ("broken", *STRETCHES[station][1:])


def test_nothing_is_said_without_the_source() -> None:
    world = World()
    found = diagnose.diagnose(world.plan, world.run()[1:])

    assert essence(found) == ("cannot-tell", "cannot-tell", None, None)
    assert "ovs-pathfinder/0" in found.missing[0]


def test_an_answered_probe_needs_no_destination() -> None:
    world = World()
    found = diagnose.diagnose(world.plan, world.run()[:1])

    assert found.verdict == "ok"
    assert "ovs-pathfinder/1" in found.missing[0]


def test_a_loss_beyond_the_source_is_nobodys_without_the_destination() -> None:
    world = World(lost_after={("forward", "destination-port"): 5})
    found = diagnose.diagnose(world.plan, world.run()[:1])

    assert essence(found) == ("cannot-tell", "cannot-tell", None, None)


def test_a_loss_within_the_source_needs_no_destination() -> None:
    world = World(lost_after={("forward", "source-port"): 5})
    found = diagnose.diagnose(world.plan, world.run()[:1])

    assert essence(found)[1:3] == ("switch-disobeys", "source-br-int")


@pytest.mark.parametrize("answered", [0, 5])
def test_stale_evidence_accuses_nobody(answered: int) -> None:
    """The destination's unit heard another attempt, and saw nothing of this one."""
    lost: dict[build.Station, int] = {} if answered else {("forward", "destination-port"): 5}
    world = World(lost_after=lost)
    mine, _ = world.run()
    theirs = World(
        blind=frozenset((*FORWARD, *REPLY)),
        destination={"rendezvous": record.Rendezvous(nonce="cccccccc", heard=("dddddddd",), heard_first="dddddddd")},
    ).run()[1]
    mine = mine.model_copy(update={"rendezvous": record.Rendezvous(nonce="aaaaaaaa")})

    found = diagnose.diagnose(world.plan, [mine, theirs])

    assert found.verdict == ("ok" if answered else "cannot-tell")
    assert any("did not watch at the same time" in one for one in found.missing)


subsets = st.frozensets(st.sampled_from(path.POINTS))
stations = st.frozensets(st.sampled_from((*FORWARD, *REPLY)))


@given(subsets)
def test_captures_that_fail_accuse_nobody_of_a_probe_that_was_answered(failed: frozenset[path.Point]) -> None:
    found = judge(World(failed=failed))

    assert essence(found) == ("ok", "path-ok", None, None)
    assert len(found.missing) == len(failed)


@given(subsets, stations, st.sampled_from(["proven", "likely"]))
@settings(max_examples=200)
def test_captures_that_miss_packets_accuse_nobody_of_a_probe_that_was_answered(
    failed: frozenset[path.Point], blind: frozenset[build.Station], together: str
) -> None:
    unheard: dict[str, Any] = {} if together == "proven" else {"rendezvous": record.Rendezvous()}
    found = judge(World(failed=failed, blind=blind, source=unheard, destination=unheard))

    assert found.verdict == "ok"
    assert [one.code for one in found.findings] == ["path-ok"]


@given(subsets, st.sampled_from(list(STRETCHES)))
def test_a_loss_is_never_called_healthy(failed: frozenset[path.Point], station: build.Station) -> None:
    found = judge(World(failed=failed, lost_after={station: 5}))

    assert found.verdict in ("broken", "cannot-tell")
    assert all(one.code in codes.MEANINGS for one in found.findings)


def test_a_sender_that_nobody_watched_is_not_called_silent() -> None:
    found = judge(World(failed=frozenset({"source-port"}), lost_after={("forward", "source-port"): 5}))

    assert found.code != "source-silent"


def test_a_packet_that_was_seen_later_was_there_earlier() -> None:
    found = judge(World(blind=frozenset({("forward", "source-underlay"), ("forward", "destination-underlay")})))

    assert found.verdict == "ok"


ENDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "no flows": (("br-int 0 -",), "flows-missing", "source-br-int"),
    "port not wired": (("br-int 0 0", "br-int 60 3"), "port-not-wired", "source-br-int"),
    "anti-spoofing": (
        ("br-int 0 0", "br-int 60 100 in_port=3", "br-int 71 10 in_port=3", "br-int 93 0"),
        "source-address-wrong",
        "source-br-int",
    ),
    "no flows of the port": (
        ("br-int 0 0", "br-int 60 100 in_port=3", "br-int 71 0"),
        "flows-missing",
        "source-br-int",
    ),
    "no egress rule": (
        ("br-int 0 0", "br-int 71 65", "br-int 72 40 ct_state=-est", "br-int 93 0"),
        "egress-rule-missing",
        "source-br-int",
    ),
    "unknown tunnel port": (("br-int 0 0", "br-tun 0 0"), "flows-missing", "source-br-tun"),
    "no forwarding entry": (
        ("br-int 0 0", "br-tun 2 0", "br-tun 20 0", "br-tun 22 0"),
        "forwarding-entry-wrong",
        "source-br-tun",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_where_the_packet_ends_in_the_source(name: str) -> None:
    tables, code, hop = ENDS[name]
    world = World(
        lost_after={("forward", "source-port"): 5},
        traces={("source", "forward"): build.trace("forward", "dropped", *tables)},
    )

    assert essence(judge(world)) == ("broken", code, hop, "forward")


INWARDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "unknown key": (("br-tun 0 1", "br-tun 3 0"), "segment-missing", "destination-br-tun"),
    "unknown key of VXLAN": (("br-tun 0 1", "br-tun 4 0"), "segment-missing", "destination-br-tun"),
    "unknown key of Geneve": (("br-tun 0 1", "br-tun 6 0"), "segment-missing", "destination-br-tun"),
    "no ingress rule": (
        ("br-tun 0 1", "br-int 81 90", "br-int 82 40 ct_state=-est", "br-int 93 0"),
        "ingress-rule-missing",
        "destination-br-int",
    ),
    "no flows of the port": (("br-tun 0 1", "br-int 81 0"), "flows-missing", "destination-br-int"),
}


@pytest.mark.parametrize("name", INWARDS)
def test_where_the_packet_ends_in_the_destination(name: str) -> None:
    tables, code, hop = INWARDS[name]
    world = World(
        lost_after={("forward", "destination-underlay"): 5},
        traces={("destination", "forward"): build.trace("forward", "dropped", *tables)},
    )

    assert essence(judge(world)) == ("broken", code, hop, "forward")


@pytest.mark.parametrize(
    ("table", "role", "station", "direction"),
    [
        ("br-int 82 50 ct_state=+inv+trk", "source", ("reply", "source-underlay"), "reply"),
        pytest.param("br-int 72 50 ct_state=+inv+trk", "destination", ("reply", "destination-port"), "reply"),
        pytest.param("br-int 72 50 ct_state=+inv+trk", "source", ("forward", "source-port"), "forward"),
        pytest.param("br-int 82 50 ct_mark=1", "destination", ("forward", "destination-underlay"), "forward"),
    ],
)
def test_a_rule_is_not_missing_where_conntrack_drops(
    table: str, role: path.Role, station: build.Station, direction: path.Direction
) -> None:
    world = World(
        lost_after={station: 5},
        traces={(role, direction): build.trace(direction, "dropped", "br-int 0 0", table, "br-int 93 0")},
    )
    found = judge(world)

    assert found.verdict == "broken"
    assert "rule-missing" not in found.code
    assert found.hop == f"{role}-br-int"


@pytest.mark.parametrize(
    ("port", "code"),
    [({"admin_state_up": False}, "port-disabled"), ({"vif_type": "binding_failed"}, "port-unbound"), ({}, None)],
)
def test_the_dead_vlan_is_explained(port: dict[str, Any], code: str | None) -> None:
    plan = build.plan()
    changed = plan.destination.model_copy(update={"port": plan.destination.port.model_copy(update=port)})
    world = World(
        plan=plan.model_copy(update={"destination": changed}),
        lost_after={("reply", "destination-port"): 5},
        devices={"destination": {"tag": 4095}},
    )

    assert essence(judge(world)) == ("broken", code or "port-not-wired", "destination-br-int", "reply")


def test_a_wrong_mac_is_the_senders() -> None:
    world = World(
        lost_after={("forward", "source-port"): 5}, observations={"source-port": {"forward_mac": "fe:16:3e:a8:7e:f6"}}
    )

    assert judge(world).code == "source-mac-wrong"


def test_a_tunnel_that_is_not_there_is_missed() -> None:
    found = judge(World(lost_after={("forward", "source-port"): 5}, source={"tunnel": None}))

    assert essence(found) == ("broken", "tunnel-missing", "source-br-tun", "forward")


def test_a_flood_is_not_delivery_to_the_wrong_host() -> None:
    world = World(
        lost_after={("forward", "source-port"): 5},
        traces={("source", "forward"): build.trace("forward", "misdirected", *build.OUT, outputs=("the tunnel to x",))},
    )

    assert essence(judge(world)) == ("broken", "forwarding-entry-wrong", "source-br-tun", "forward")


def test_a_switch_that_counted_the_packets_out_is_not_called_disobedient() -> None:
    found = judge(World(lost_after={("forward", "source-port"): 5}, counters_stand=False))

    assert essence(found) == ("broken", "lost-behind-switch", "source-underlay", "forward")
    assert found.certainty == "likely"


def test_one_host_has_one_switch() -> None:
    world = World(plan=build.plan(same_host=True))

    assert judge(world).verdict == "ok"
    lost = World(plan=build.plan(same_host=True), lost_after={("forward", "source-port"): 5})
    found = judge(lost)
    assert (found.verdict, found.hop) == ("broken", "source-br-int"), found.summary
    assert not any("underlay" in one.hop or "br-tun" in one.hop for one in found.hops)


def test_a_refusal_is_an_answer() -> None:
    world = World(plan=build.plan(protocol="tcp", port=9443), probe={"refused": 5})

    assert essence(judge(world)) == ("broken", "service-refused", "guest", "forward")


def test_silence_at_a_port_is_the_services() -> None:
    world = World(plan=build.plan(protocol="tcp", port=9443), lost_after={("forward", "destination-port"): 5})

    assert essence(judge(world)) == ("broken", "service-silent", "guest", "forward")


def test_a_datagram_that_arrived_needs_no_answer() -> None:
    udp = build.plan(protocol="udp", port=5555)

    assert judge(World(plan=udp, lost_after={("forward", "destination-port"): 5})).verdict == "ok"
    unseen = World(plan=udp, lost_after={("forward", "destination-port"): 5}, failed=frozenset({"destination-port"}))
    assert judge(unseen).verdict in ("ok", "cannot-tell")
    lost = judge(World(plan=udp, lost_after={("forward", "source-underlay"): 5}))
    assert (lost.verdict, lost.hop) == ("broken", "underlay")


def late(world: World, first: int) -> verdict.Diagnosis:
    """Judge a world whose destination began to watch with packet `first` (from 0), and heard nobody."""
    source, destination = world.run()
    part = tuple(
        one.model_copy(update={"forward": one.forward[first:], "reply": one.reply[first:]})
        for one in destination.observations
    )
    deaf = record.Rendezvous(nonce="bbbbbbbb")
    source = source.model_copy(update={"rendezvous": record.Rendezvous(nonce="aaaaaaaa")})
    destination = destination.model_copy(update={"observations": part, "rendezvous": deaf})
    return diagnose.diagnose(world.plan, [source, destination])


def test_a_destination_that_came_late_makes_no_loss_of_what_it_missed() -> None:
    assert essence(late(World(), 2)) == ("ok", "path-ok", None, None)


def test_a_destination_that_came_late_hides_no_loss() -> None:
    found = late(World(lost_after={("reply", "source-port"): 1}), 2)

    assert (found.verdict, found.sent, found.answered) == ("degraded", 5, 4)


def test_a_destination_that_came_late_still_shows_where_all_is_lost() -> None:
    found = late(World(lost_after={("forward", "destination-port"): 5}), 2)

    assert essence(found) == ("broken", "guest-silent", "guest", "forward")
    assert (found.sent, found.certainty) == (3, "likely")


@pytest.mark.parametrize(("lost", "code"), [(5, "neighbour-entry-wrong"), (1, "underlay-loss")])
def test_another_mac_address_explains_only_a_total_loss(lost: int, code: str) -> None:
    world = World(
        lost_after={("forward", "source-underlay"): lost},
        observations={"source-port": {"forward_destination_mac": "fa:16:3e:00:00:99"}},
    )

    assert judge(world).code == code


@pytest.mark.parametrize(
    "station", [("reply", "destination-port"), ("reply", "source-underlay"), ("reply", "source-port")]
)
def test_guest_that_answers_to_another_mac_address_is_told(station: build.Station) -> None:
    told: dict[path.Point, dict[str, str]] = {"destination-port": {"reply_destination_mac": "fe:16:3e:0d:9a:cf"}}
    found = diagnose.diagnose((world := World(lost_after={station: 5}, observations=told)).plan, world.run())

    assert (found.code, found.hop, found.direction) == ("neighbour-entry-wrong", "guest", "reply")
    assert "fe:16:3e:0d:9a:cf" in found.summary


@pytest.mark.parametrize(
    ("role", "table", "way"), [("source", 72, "egress"), ("destination", 82, "ingress")], ids=["egress", "ingress"]
)
@pytest.mark.parametrize("passes", [True, False, None])
def test_what_neutrons_rules_say_tells_a_missing_rule_from_missing_flows(
    role: path.Role, table: int, way: Literal["egress", "ingress"], passes: bool | None
):
    why = {True: "by rule r1", False: "as no rule allows it", None: "as a group is not shown"}[passes]
    ruling = path.Ruling(role=role, way=way, passes=passes, why=why, missing="" if passes else "openstack … create …")
    before = "source-port" if role == "source" else "destination-underlay"
    trace = build.trace("forward", "dropped", "br-int 71 65", f"br-int {table} 40", "br-int 93 0")
    world = World(
        plan=build.plan(rulings=(ruling,)),
        lost_after={("forward", before): 5},
        traces={(role, "forward"): trace},
    )

    found = diagnose.diagnose(world.plan, world.run()).findings[0]

    assert (found.code, found.hop) == ("flows-missing" if passes else f"{way}-rule-missing", f"{role}-br-int")
    assert (why in found.summary) == (passes is not None)
    assert (found.next == ("openstack … create …",)) == (not passes)
