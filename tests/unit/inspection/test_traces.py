"""trace-packet on Octavia's host of a recorded cloud: a real switch with Neutron's flows, whose devices are dummies."""

import contextlib
import dataclasses
import json
import pathlib
import shlex
from collections.abc import Generator, Iterator
from typing import Any

import pydantic
import pytest

from ovs_pathfinder import errors, path
from ovs_pathfinder.inspection import answer, context, subjects, traced, traces
from ovs_pathfinder.report import view
from ovs_pathfinder.vswitch import datapath, trace
from tests.unit import octavia, recorded
from tests.unit.diagnosis import build
from tests.unit.inspection import asking
from tests.unit.vswitch import private

PLAN = octavia.plan()
PINGS = recorded.FOLDER / octavia.CLOUD / "octavia.o-hm0.pcap"
UNDERLAY = recorded.FOLDER / octavia.CLOUD / "octavia.underlay.pcap"
TUNNEL = "the tunnel to 172.20.0.209 with key 0x2f1"
TYPED = {"port": "o-hm0", "destination": octavia.V6[1], "source": octavia.V6[0]}
MAC = {"destination-mac": build.DESTINATION_MAC}
LONGEST = 80


@pytest.fixture(scope="module")
def switch() -> Iterator[None]:
    if reason := private.missing():
        pytest.skip(reason)
    with octavia.running():
        yield


def context_of(plan: path.Plan = PLAN, folder: pathlib.Path = pathlib.Path("/nonexistent")) -> context.Context:
    """Return the context of a unit without credentials, which knows one run."""

    def planned(run: str) -> path.Plan:
        if run != plan.run:
            raise errors.PathfinderError(f"there is no plan of run {run}")
        return plan

    return dataclasses.replace(asking.context_of(None), plan=planned, folder=folder)


def ask(**query: Any) -> traces.Answer:
    return traces.run(traces.Query.model_validate(query), context_of())


def page(found: traces.Answer) -> str:
    return view.view(found)["report"]


@contextlib.contextmanager
def flow(match: str, actions: str, before: str) -> Generator[None]:
    """Let a flow of br-int do something else for a while."""
    private.call("ovs-ofctl", "--strict", "mod-flows", "br-int", f"{match},actions={actions}")
    try:
        yield
    finally:
        private.call("ovs-ofctl", "--strict", "mod-flows", "br-int", f"{match},actions={before}")


def circle() -> contextlib.AbstractContextManager[None]:
    """Let the switch keep tracked packets tracked, as Open vSwitch 2.16.0 does."""
    return flow("table=71,priority=110,ct_state=+trk", "resubmit(,71)", "ct_clear,resubmit(,71)")


def test_a_run_is_traced_in_both_directions_and_under_every_conntrack_state(switch: None) -> None:
    found = ask(run=PLAN.run)

    assert [(one.direction, one.ct_state) for one in found.traces] == [
        ("forward", ""),
        ("forward", "trk|new"),
        ("forward", "trk|est"),
        ("reply", ""),
    ]
    assert {(one.outcome, one.expected) for one in found.traces} == {("forwarded", TUNNEL), ("forwarded", "o-hm0")}
    assert found.summary == (
        f"Forward, whatever conntrack has said of it: leaves by {TUNNEL}, as it should; "
        "reply: reaches o-hm0, as it should."
    )


def test_steps_have_neutrons_names_and_what_they_did(switch: None) -> None:
    found = ask(run=PLAN.run, direction="forward", state="untracked").traces[0]

    tables = {(one.bridge, one.table): one for one in found.steps}
    assert tables["br-int", 71].name == "base egress: anti-spoofing"
    assert tables["br-int", 72].match == "ct_state=+new-est,ipv6,reg5=0x2"
    assert tables["br-tun", 20].actions[0] == "strip_vlan"
    assert "-> output to kernel tunnel" in tables["br-tun", 20].actions
    assert tables["br-int", 71].does == "ct(table=72,zone=reg6)"
    assert all(one.priority is not None and one.cookie.startswith("0x") for one in found.steps)


def test_a_state_that_decides_is_the_finding(switch: None) -> None:
    with circle():
        found = ask(run=PLAN.run, direction="forward")

    assert found.summary == (
        f"The way of the forward packet depends on what conntrack has said of it (untracked: leaves by {TUNNEL}, as it "
        "should, trk|new and trk|est: translation failed, recursion too deep: table 71 resubmits to itself)."
    )
    longest = max(found.traces[1].steps, key=lambda one: one.times)
    assert (longest.table, longest.times) == (71, 65)
    assert "65 times resubmit(,71)" in page(found)


@pytest.mark.parametrize(
    ("version", "is_known"),
    [("2.16.0", True), ("2.16.3", True), ("2.16.4", False), ("2.13.7", True), ("2.13.8", False), ("3.1.0", False)],
)
def test_the_known_defect_is_named_where_the_version_has_it(version: str, is_known: bool) -> None:
    text = recorded.text("versions/2.16.0.trace.tracked.txt")
    asked = subjects.Asked(direction="forward", state="new", ct_state="trk|new", bridge="br-int", flow="in_port=3")
    found = traced.judge(trace.parse(text), asked, subjects.Subject(text="", asked=(asked,)))

    notes = traces.notes([found], version)

    assert found.verdict == "translation failed, recursion too deep: table 71 resubmits to itself"
    assert any("leaves out ct_clear" in one for one in notes) == is_known


def test_what_libvirt_calls_the_tap_is_warned_of_and_traced_as_it_is(switch: None) -> None:
    found = ask(**TYPED, **{"destination-mac": "FE:16:3E:0D:9A:CF"}, direction="forward")

    assert "dl_dst=fe:16:3e:0d:9a:cf" in found.traces[0].flow
    assert found.traces[0].outcome == "flooded"
    assert "the guest's own would be fa:16:3e:0d:9a:cf" in found.warnings[0]
    assert "that is no delivery" in found.summary
    assert "! The destination MAC" in page(found)


def test_without_openstack_only_the_switch_is_asked_and_says_so(switch: None) -> None:
    found = ask(**TYPED, **MAC, protocol="tcp", **{"destination-port": 9443})

    assert found.subject == (f"TCP from {octavia.V6[0]} port 40000 to {octavia.V6[1]} port 9443, from o-hm0")
    assert {one.outcome for one in found.traces} == {"flooded"}
    assert [one.split(":")[0] for one in found.notes] == [
        "OpenStack did not tell the path, so only this switch was asked",
        "Where the packet should leave is not known, so where it does leave could not be checked.",
        "The reply was not traced",
    ]


def test_a_strange_source_is_dropped_by_anti_spoofing_and_the_table_says_so(switch: None) -> None:
    found = ask(run=PLAN.run, direction="forward", state="untracked")
    spoofed = ask(**{**TYPED, "source": "fc00::bad"}, **MAC, direction="forward", state="untracked")

    assert found.traces[0].decisive is None
    decisive = spoofed.traces[0].decisive
    assert spoofed.traces[0].outcome == "dropped"
    assert decisive is not None
    assert (decisive.table, decisive.priority) == (71, 10)
    assert "is dropped in br-int table 71 (base egress: anti-spoofing), priority 10" in spoofed.summary


@pytest.mark.parametrize("name", ["o-hm0", octavia.PORT, "2"])
def test_a_port_is_named_by_device_id_or_number(switch: None, name: str) -> None:
    found = ask(**{**TYPED, "port": name}, **MAC, direction="forward", state="new")

    assert found.traces[0].flow.startswith("in_port=2,ct_state=trk|new,icmp6,")


def test_a_captured_packet_becomes_a_flow_and_is_never_injected(switch: None) -> None:
    before = private.dump("br-int"), private.dump("br-tun")

    found = ask(file=str(PINGS), packet=1, run=PLAN.run)

    assert all(shlex.split(one.command)[-1] == one.flow for one in found.traces)
    assert {one.direction for one in found.traces} <= {"forward", "reply"}
    assert all("nw_ttl=" in one.flow and "ipv6_label=" in one.flow for one in found.traces)
    assert (private.dump("br-int"), private.dump("br-tun")) == before


def test_every_packet_of_a_capture_can_be_traced(switch: None) -> None:
    count = sum(1 for _ in recorded.frames(f"{octavia.CLOUD}/octavia.o-hm0.pcap"))

    found = [ask(file=str(PINGS), packet=number, port="o-hm0", state="all") for number in range(1, count + 1)]

    assert count > 5
    assert {one.outcome for answer in found for one in answer.traces} <= {
        "unchecked",
        "flooded",
        "dropped",
        "forwarded",
    }
    assert {len(answer.traces) for answer in found} == {1, 3}  # ARP and neighbour discovery are never tracked


def test_a_packet_captured_in_its_tunnel_is_traced_where_it_comes_out(switch: None) -> None:
    frames = list(recorded.frames(f"{octavia.CLOUD}/octavia.underlay.pcap"))
    inward = next(at for at, data in enumerate(frames, 1) if data[26:30] == bytes([172, 20, 0, 209]))
    outward = next(at for at, data in enumerate(frames, 1) if data[26:30] == bytes([172, 20, 0, 139]))

    found = ask(file=str(UNDERLAY), packet=inward)

    assert found.subject.endswith("out of gre-ac1400d1")
    assert found.traces[0].flow.startswith("in_port=2,tun_id=0x2f1,")
    with pytest.raises(errors.PathfinderError, match="has left this host already, in a tunnel to 172"):
        ask(file=str(UNDERLAY), packet=outward)


HEADER = recorded.savefile([])
BAD_FILES = {
    "no packet": (HEADER, "is a capture without a packet"),
    "empty": (b"", "is empty"),
    "cut header": (HEADER[:20], "ends within its header"),
    "no capture": (b"#!/bin/sh\nrm -rf /\n" * 9, "is no capture file"),
    "cut packet": (recorded.savefile([b"x" * 60])[:-10], "is cut short within packet 1"),
    "cooked": (HEADER[:20] + (276).to_bytes(4, "little"), "link type 276"),
    "short frame": (recorded.savefile([b"x" * 9]), "the packet ends within its headers, after 9 bytes"),
    "pcapng": (b"\x0a\x0d\x0d\x0a" + bytes(40), "is a pcapng file; convert it"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_holds_no_such_packet_is_refused_in_one_sentence(
    switch: None, tmp_path: pathlib.Path, name: str
) -> None:
    content, said = BAD_FILES[name]
    (tmp_path / "a.pcap").write_bytes(content)

    with pytest.raises(errors.PathfinderError) as raised:
        traces.run(traces.Query.model_validate({"file": "a.pcap", "port": "o-hm0"}), context_of(folder=tmp_path))

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a number beyond the end": ({"file": str(PINGS), "packet": 10_000, "port": "o-hm0"}, "packet 10000 is asked for"),
    "no file": ({"file": "/nonexistent/a.pcap", "port": "o-hm0"}, "cannot be read: No such file"),
    "a folder": ({"file": "/", "port": "o-hm0"}, "is no regular file"),
    "a device as a file": ({"file": "/dev/zero", "port": "o-hm0"}, "is no regular file"),
    "a name of 1,020 bytes": ({"file": "/" + "\U00010348" * 254, "port": "o-hm0"}, "File name too long"),
    "memory as a file": ({"file": "/proc/self/mem", "port": "o-hm0"}, "it is empty, or is not kept on a disk"),
    "nowhere": ({"file": str(PINGS)}, "came in is not known; give the port"),
    "another host's port": ({**TYPED, **MAC, "port": "tap93fff561-bf"}, "has no port 'tap93fff561-bf'; it has o-hm0"),
    "metacharacters": ({**TYPED, **MAC, "port": "o-hm0; rm -rf /"}, "has no port 'o-hm0; rm -rf /'"),
    "a tunnel": ({**TYPED, **MAC, "port": "gre-ac1400d1"}, "is a tunnel, and a typed packet comes from a port"),
    "no MAC": (TYPED, "give it as destination-mac"),
    "a name without a cloud": ({**TYPED, **MAC, "destination": "octavia/2"}, "where 'octavia/2' is cannot be told"),
    "two versions": ({**TYPED, **MAC, "source": "10.0.0.1"}, "are of two IP versions"),
    "an unknown run": ({"run": "20260101t000000-abcdef"}, "there is no plan of run"),
    "an unknown ufid": ({"megaflow": "ufid:00000000-0000-4000-8000-000000000000"}, "has no flow 00000000"),
    "no filter": ({"megaflow": "$(reboot)"}, "the datapath does not tell its flows for '$(reboot)'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_here_is_said_in_one_sentence(switch: None, name: str) -> None:
    query, said = BAD[name]

    with pytest.raises(errors.PathfinderError) as raised:
        ask(**query)

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "name what to trace"),
    "two packets": ({"file": "a", "megaflow": "icmp"}, "file and megaflow are different packets"),
    "a run and another packet": ({"run": "r", **TYPED}, "destination and run are different packets"),
    "no port": ({"destination": "10.0.0.1"}, "a destination needs port as well"),
    "no destination port": ({**TYPED, "protocol": "udp"}, "needs destination-port"),
    "ports of ICMP": ({**TYPED, "destination-port": 9443}, "ICMP has no ports"),
    "no MAC address": ({**TYPED, "destination-mac": "fa:16:3e"}, "it is no MAC address"),
    "no address": ({**TYPED, "source": "octavia/2"}, "it is no IP address"),
    "a line break": ({"megaflow": "icmp\nreboot"}, "control character"),
    "packet 0": ({"file": "a", "packet": 0}, "greater than or equal to 1"),
    "an unknown parameter": ({"run": "r", "in-port": "3"}, "Extra inputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_question_that_makes_no_sense_is_refused(name: str) -> None:
    query, said = REFUSED[name]

    with pytest.raises(pydantic.ValidationError, match=said):
        traces.Query.model_validate(query)


def test_a_flow_of_the_datapath_is_held_against_the_tables(switch: None) -> None:
    text = recorded.text(f"{octavia.CLOUD}/octavia.dp-flows.txt")
    real = next(one for one in datapath.parse(text).flows if one.actions.startswith("ct(zone=1)"))
    dropping = real.model_copy(update={"actions": "drop"})
    subject = subjects.Subject(text="", asked=(), names={"5": "o-hm0"})
    sections = (
        'bridge("br-int")\n--------\n 0. priority 0\n    ct(table=72)\n\nDatapath actions: ct(zone=1),recirc(0x9)\n'
    )
    found = trace.parse(sections)

    agreeing, odd = (
        traced.judge(
            found, subjects.Asked(direction="given", bridge="ovs-netdev", flow=one.readable, megaflow=one), subject
        )
        for one in (real, dropping)
    )

    assert (agreeing.agrees, agreeing.verdict) == (True, "sends it through conntrack, as the tables say")
    assert odd.agrees is False
    assert odd.verdict.endswith("the datapath does not do what the flows say")
    assert traces.summary([odd]).startswith("The datapath flow drops it, but by the tables it would")


@pytest.mark.parametrize("name", recorded.files("**/*dp-flows.txt"))
def test_every_recorded_key_can_be_read_again(name: str) -> None:
    flows = datapath.parse(recorded.text(name)).flows

    assert all("src_port" not in one.readable.partition("ct_tuple6")[2].partition(")")[0] for one in flows)
    assert any(one.readable != one.key for one in flows)
    assert all(one.ufid for one in flows)


QUESTIONS: dict[str, dict[str, Any]] = {
    "run": {"run": PLAN.run},
    "typed": {**TYPED, **MAC},
    "tap": {**TYPED, "destination-mac": "fe:16:3e:0d:9a:cf"},
    "captured": {"file": str(PINGS), "port": "o-hm0"},
}


@pytest.mark.parametrize("is_broken", [False, True])
@pytest.mark.parametrize("name", QUESTIONS)
def test_only_words_that_cannot_be_broken_are_wider_than_a_terminal(switch: None, name: str, is_broken: bool) -> None:
    with circle() if is_broken else contextlib.nullcontext():
        text = page(ask(**QUESTIONS[name]))

    wide = [line for line in text.splitlines() if len(line) > LONGEST]
    assert all(" " not in line.strip().rstrip("\\ ") for line in wide), wide
    assert text.splitlines()[0].startswith("trace-packet: ")


def test_the_answer_fits_into_a_result_of_juju(switch: None) -> None:
    with circle():
        found = ask(run=PLAN.run, state="all")

    results = view.view(found, "json")
    assert all(len(one.encode()) < answer.MAX_BYTES for one in results.values())
    assert len(json.loads(results["answer"])["traces"]) == 6


def test_the_raw_text_of_a_trace_is_bounded() -> None:
    text = recorded.text("versions/2.16.0.trace.tracked.txt") * 5
    asked = subjects.Asked(direction="forward", bridge="br-int", flow="in_port=3")

    found = traced.judge(trace.parse(text), asked, subjects.Subject(text="", asked=(asked,) * 10))

    assert len(found.text) < 5000
    assert found.text.endswith("[shortened]\n")
