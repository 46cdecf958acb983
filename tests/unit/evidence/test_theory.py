"""The packets that are traced, given to a real switch with recorded flows of Neutron's agent."""

from collections.abc import Iterator

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.evidence import record, theory
from ovs_pathfinder.vswitch import database, datapath, flow, tables, trace
from tests.unit import octavia, recorded
from tests.unit.vswitch import private


@pytest.fixture(scope="module")
def lines() -> Iterator[dict[str, list[str]]]:
    """Run the source's switch of the recorded cloud; give its flows."""
    if reason := private.missing():
        pytest.skip(reason)
    with octavia.running() as lines:
        yield lines


def places(asked: path.Plan) -> dict[path.Direction, theory.Place]:
    return theory.places(asked, ("source",), database.read(), datapath.read_ports())


def test_places_are_where_the_path_begins_and_ends(lines: dict[str, list[str]]) -> None:
    found = places(octavia.plan())

    assert (found["forward"].bridge, found["forward"].ofport) == ("br-int", 2)
    assert (found["forward"].expected_remote, found["forward"].expected_key) == ("172.20.0.209", 753)
    assert (found["reply"].bridge, found["reply"].ofport, found["reply"].tunnel_key) == ("br-tun", 2, 753)
    assert found["reply"].expected_port == datapath.read_ports()["o-hm0"]


def test_a_direction_whose_tunnel_is_missing_has_no_place(lines: dict[str, list[str]]) -> None:
    data = octavia.plan().model_dump()
    data["destination"]["tunnel_address"] = "172.20.0.1"

    assert set(places(path.Plan.model_validate(data))) == {"forward"}


@pytest.mark.parametrize("direction", ["forward", "reply"])
@pytest.mark.parametrize("protocol", ["icmp", "tcp", "udp"])
@pytest.mark.parametrize("family", [4, 6])
def test_the_probe_is_traced_to_its_end(
    lines: dict[str, list[str]], direction: path.Direction, protocol: str, family: int
) -> None:
    asked = octavia.plan(protocol, family)

    found = theory.examine(asked, direction, places(asked)[direction])

    assert (found.outcome, found.reason) in (("forwarded", ""), ("flooded", "")), found.text
    assert {step.bridge for step in found.steps} == {"br-int", "br-tun"}
    wanted = "82" if direction == "reply" else "72"
    assert any(str(step).startswith(f"br-int table {wanted},") for step in found.steps)
    if direction == "forward":
        assert "output to kernel tunnel" in found.text


@pytest.mark.parametrize("family", [4, 6])
def test_the_question_for_the_neighbour_is_flooded(lines: dict[str, list[str]], family: int) -> None:
    asked = octavia.plan(family=family)

    found = theory.examine(asked, "forward", places(asked)["forward"], subject="neighbour")

    assert found.outcome == "flooded", found.text
    assert any("172.20.0.244" in one for one in found.outputs)


def test_a_strange_mac_is_dropped(lines: dict[str, list[str]]) -> None:
    asked = octavia.plan()

    found = theory.examine(asked, "forward", places(asked)["forward"], subject="seen", source_mac="fe:16:3e:a8:7e:f6")

    assert found.outcome == "dropped"
    assert [(step.table, step.priority) for step in found.steps][-2:] == [(71, 10), (93, 0)]


def test_every_flow_on_the_path_is_found_and_counted(lines: dict[str, list[str]]) -> None:
    asked = octavia.plan()
    traces = [theory.examine(asked, one, place) for one, place in places(asked).items()]

    counted = theory.count(theory.count(traces, "before"), "after")

    assert [step.moved for one in counted for step in one.steps] == [0] * sum(len(one.steps) for one in traces)


def test_every_recorded_flow_can_be_found_again(lines: dict[str, list[str]]) -> None:
    parsed = [(bridge, flow.parse(line)) for bridge, texts in lines.items() for line in texts]
    lost = [
        one.raw
        for bridge, one in parsed
        if one is not None
        and (one.match or (bridge, one.table) not in tables.GROWING)
        and flow.find(bridge, one.table, one.priority, one.match) is None
    ]

    assert len(parsed) > 50
    assert lost == []


JUDGED: dict[str, tuple[str, record.Outcome]] = {
    "octavia.trace.icmp6-echo-request.txt": ("tunnel", "forwarded"),
    "octavia.trace.v4-tcp-9443.txt": ("tunnel", "forwarded"),
    "octavia.trace.icmp6-antispoof-drop-mac.txt": ("tunnel", "dropped"),
    "octavia.trace.icmp6-ct-next-inv.txt": ("tunnel", "dropped"),
    "octavia.trace.v4-arp-request.txt": ("tunnel", "flooded"),
    "octavia.trace.icmp6-echo-request-wrong-mac-floods.txt": ("tunnel", "flooded"),
    "octavia.trace.icmp6-refused-icmp_type.txt": ("tunnel", "unknown"),
    "compute.trace.from-tunnel-echo-request.txt": ("port", "forwarded"),
    "compute.trace.from-tunnel-tcp-8080-no-rule-drop.txt": ("port", "dropped"),
    "compute.trace.from-tunnel-wrong-tun_id.txt": ("port", "dropped"),
}


@pytest.mark.parametrize("name", JUDGED)
def test_recorded_traces_are_judged(name: str) -> None:
    towards, outcome = JUDGED[name]
    place = theory.Place(bridge="br-int", ofport=2, expected_remote="172.20.0.209", expected_key=753)
    if towards == "port":
        place = theory.Place(bridge="br-tun", ofport=2, tunnel_key=753, expected_port="5")

    assert theory.judge(trace.parse(recorded.text(f"{octavia.CLOUD}/{name}")), place)[0] == outcome


def test_what_goes_to_a_controller_is_not_dropped() -> None:
    place = theory.Place(bridge="br-int", ofport=2, expected_port="5")
    found = trace.parse(recorded.text("bonds/trace.to-controller.txt"))

    assert theory.judge(found, place) == ("not-followed", "it goes to the OpenFlow controller")


def test_neutrons_log_of_what_is_dropped_decides_nothing() -> None:
    """With security group logging, table 93 hands a copy to the agent."""
    name = "compute.trace.from-tunnel-tcp-8080-no-rule-drop.txt"
    plain = recorded.text(f"{octavia.CLOUD}/{name}")
    logged = plain.replace("93. priority 0", "93. reg5=0x2, priority 70")
    logged = "CONTROLLER:65535".join(logged.rsplit("drop", 2)[:2]) + "userspace(pid=0,controller(reason=1))"
    place = theory.Place(bridge="br-tun", ofport=2, tunnel_key=753, expected_port="5")

    found = trace.parse(logged)

    assert found.follow().to_controller
    assert theory.judge(found, place)[0] == "dropped"


@pytest.mark.parametrize(("key", "remote"), [(754, "172.20.0.209"), (753, "172.20.0.1")])
def test_another_tunnel_is_another_host(key: int, remote: str) -> None:
    place = theory.Place(bridge="br-int", ofport=2, expected_remote=remote, expected_key=key)
    found = trace.parse(recorded.text(f"{octavia.CLOUD}/octavia.trace.icmp6-echo-request.txt"))

    assert theory.judge(found, place)[0] == "misdirected"


STATES: dict[record.State, str] = {"untracked": "", "new": "ct_state=trk|new,", "established": "ct_state=trk|est,"}


@pytest.mark.parametrize("state", STATES)
def test_a_tracked_packet_is_traced_as_one(lines: dict[str, list[str]], state: record.State) -> None:
    asked = octavia.plan()

    found = theory.examine(asked, "forward", places(asked)["forward"], state=state)

    assert found.state == state
    assert found.outcome in ("forwarded", "flooded"), found.text  # br-int floods to its own device as well
    assert found.flow.startswith(f"in_port=2,{STATES[state]}icmp6,")
    is_cleared = any((step.table, step.priority) == (71, 110) for step in found.steps)
    assert is_cleared == (state != "untracked")
    assert ("--ct-next trk,est " in found.command) == (state == "established")


def test_a_switch_that_does_not_clear_conntrack_goes_round_in_a_circle(lines: dict[str, list[str]]) -> None:
    asked = octavia.plan()
    circle = "table=71,priority=110,ct_state=+trk"
    private.call("ovs-ofctl", "--strict", "mod-flows", "br-int", f"{circle},actions=resubmit(,71)")
    try:
        place = places(asked)["forward"]
        found = {state: theory.examine(asked, "forward", place, state=state) for state in STATES}
    finally:
        private.call("ovs-ofctl", "--strict", "mod-flows", "br-int", f"{circle},actions=ct_clear,resubmit(,71)")

    assert found["untracked"].outcome in ("forwarded", "flooded")
    assert {(found[state].outcome, found[state].reason) for state in ("new", "established")} == {
        ("failed", "Recursion too deep")
    }


@pytest.mark.parametrize(
    ("internal", "direction", "states"),
    [
        (True, "forward", ("untracked", "new", "established")),
        (True, "reply", ("untracked", "established")),
        (False, "forward", ("untracked",)),
        (False, "reply", ("untracked",)),
    ],
)
def test_only_what_the_host_itself_sends_can_be_tracked(
    internal: bool, direction: path.Direction, states: tuple[record.State, ...]
) -> None:
    place = theory.Place(bridge="br-int", ofport=2, internal=internal)

    assert theory.states(place, direction) == states
