"""The flows that matter are picked, named and ordered, and whose they are is told."""

import pathlib
import re
import threading
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.inspection import flows
from ovs_pathfinder.report import view
from tests.lab import processes
from tests.unit.inspection import switched
from tests.unit.vswitch import dumped, private

PACKET = "in_port(2),eth(src=fa:16:3e:00:00:02,dst=fa:16:3e:00:00:99),eth_type(0x86dd)"


@pytest.fixture(scope="module")
def _running() -> Iterator[pathlib.Path]:
    if reason := private.missing():
        pytest.skip(reason)
    with switched.running() as place:
        yield place


@pytest.fixture
def switch(_running: pathlib.Path) -> pathlib.Path:
    """A switch with the agent's flows and none else, which no packet has met."""
    for bridge in ("br-int", "br-tun"):
        private.call("ovs-ofctl", "-O", "OpenFlow14", "del-flows", bridge)
    switched.install()
    return _running


def ask(**query: Any) -> flows.Answer:
    return flows.run(flows.Query.model_validate(query), switched.context_of(pathlib.Path("/nonexistent")))


def send(count: int = 1) -> None:
    private.receive("tap00000002-aa", *[PACKET] * count)


def test_flows_that_met_packets_are_shown_by_table_and_falling_priority_with_names(switch: pathlib.Path) -> None:
    send(3)

    found = ask()

    assert [(one.table, one.table_name) for one in found.flows][:3] == [
        (0, "local switching"),
        (59, "bandwidth limit"),
        (60, "transient"),
    ]
    levels = [(one.table, -one.priority) for one in found.flows]
    assert levels == sorted(levels)
    assert found.hit == found.found == len(found.flows) < 12
    assert found.total == len(dumped.lines())
    assert all(one.packets == 3 for one in found.flows)
    assert found.flows[2].match == "in_port=tap00000002-aa"
    assert found.flows[2].actions == "set_field:tap00000002-aa->reg5,set_field:gre/753->reg6,resubmit(,71)"
    assert "in_port=2 actions=set_field:0x2->reg5,set_field:0x1->reg6,resubmit(,71)" in found.flows[2].raw
    assert [(one.name, one.ofport, one.id, one.mac) for one in found.ports] == [
        ("tap00000002-aa", 2, "00000002-aaaa", "fa:16:3e:00:00:02")
    ]
    assert found.summary == f"{found.found} of {found.total} flows of br-int: those that met packets."


def test_all_flows_are_shown_as_far_as_there_is_room(switch: pathlib.Path) -> None:
    found = ask(hit=False, limit=10)

    assert len(found.flows) == 10
    assert found.found == found.total
    assert found.notes == (f"Only the first 10 of {found.total} flows are shown; narrow down, or raise limit.",)
    assert len(ask(hit=False, limit=1000).flows) == found.total


@pytest.mark.parametrize("name", ["tap00000003-bb", "3", "00000003-aaaa"])
def test_flows_of_one_port_are_those_that_name_it(switch: pathlib.Path, name: str) -> None:
    found = ask(port=name, hit=False, limit=1000)

    assert 50 < found.found < found.total
    whole = [one for one in found.flows if "conjunction(" not in one.actions]
    assert all("tap00000003-bb" in f"{one.match},{one.actions}" or "fa:16:3e:00:00:03" in one.match for one in whole)
    assert {one.table for one in found.flows} == {60, 71, 72, 73, 81, 82}
    assert any("reg6=gre/753" in one.match and "conjunction(" in one.actions for one in found.flows)


def test_a_port_of_another_bridge_is_looked_for_by_its_address(switch: pathlib.Path) -> None:
    switched.add("table=20,priority=2,dl_dst=fa:16:3e:00:00:03,actions=drop", "br-tun")

    found = ask(bridge="br-tun", port="tap00000003-bb", hit=False)

    assert [one.match for one in found.flows] == ["dl_dst=fa:16:3e:00:00:03"]
    assert found.notes == (
        "tap00000003-bb is on br-int, so on br-tun only flows with its MAC address fa:16:3e:00:00:03 were looked for.",
    )


def test_a_table_and_a_match_narrow_what_the_switch_is_asked_for(switch: pathlib.Path) -> None:
    found = ask(table=81, match="icmp6,reg5=0x2", hit=False)
    named = ask(match="in_port=tap00000003-bb", table=60, hit=False)

    assert [one.match for one in found.flows] == [
        f"icmp6,reg5=tap00000002-aa,icmp_type={one}" for one in (130, 134, 135, 136)
    ]
    assert found.total == 4
    assert found.summary == "4 of 4 flows of br-int, table 81, icmp6,reg5=0x2."
    assert [one.match for one in named.flows] == ["in_port=tap00000003-bb"]


def test_whose_a_flow_is_is_told_by_its_cookie(switch: pathlib.Path) -> None:
    switched.add("cookie=0x5,table=0,priority=96,icmp6,in_port=3,actions=NORMAL")
    switched.add("cookie=0x6f70660123456789,table=0,priority=95,icmp6,in_port=3,actions=NORMAL")

    found = ask(table=0, hit=False)

    assert [(one.priority, one.owner) for one in found.flows if one.priority < 1000] == [
        (96, "foreign"),
        (95, "ovs-pathfinder"),
        (0, "agent"),
    ]
    assert found.agent == f"{dumped.COOKIE:#x}"
    assert found.foreign == 1
    private.call("ovs-ofctl", "del-flows", "br-int", "table=23")
    assert {one.owner for one in ask(table=0, hit=False).flows} == {"unknown", "ovs-pathfinder"}


def test_what_changes_between_two_dumps_is_told_and_by_how_much(switch: pathlib.Path) -> None:
    switched.add("cookie=0x5,table=0,priority=1,arp,actions=drop")
    stages: list[str] = []
    context = switched.context_of(pathlib.Path("/nonexistent"), stages)
    found: list[flows.Answer] = []
    query = flows.Query(changed=2)
    asking = threading.Thread(target=lambda: found.append(flows.run(query, context)))
    first = private.dump("br-int")
    asking.start()
    processes.wait_until(lambda: len(stages) == 2, "the first dump", limit=15)
    send(4)
    switched.add("cookie=0x6,table=0,priority=2,arp,actions=drop")
    switched.delete("table=0,priority=1,arp")
    asking.join()

    (answer,) = found
    moved = {one.raw for one in answer.flows if one.change == "moved"}
    assert len(first) == answer.total
    assert len(moved) > 3
    assert {one.rise for one in answer.flows if one.change == "moved"} == {4}
    assert [(one.priority, one.match) for one in answer.flows if one.change == "new"] == [(2, "arp")]
    assert [(one.priority, one.match) for one in answer.flows if one.change == "gone"] == [(1, "arp")]
    assert answer.summary == (f"Within 2 s packets met {len(moved)} of {answer.total} flows of br-int; 1 new, 1 gone.")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"bridge": "br-none"}, "there is no bridge 'br-none' on this host; name one of br-int, br-tun"),
        (
            {"port": "tap9"},
            "there is no port 'tap9' on br-int or on another bridge of this host; name one of br-int, tap",
        ),
        ({"match": "nonsense=1"}, "the flows of br-int cannot be read: unknown keyword nonsense"),
    ],
)
def test_what_is_not_there_is_refused_in_one_sentence(switch: pathlib.Path, query: Any, expected: str) -> None:
    with pytest.raises(errors.PathfinderError) as refusal:
        ask(**query)

    assert str(refusal.value).startswith(expected)


@pytest.mark.parametrize(
    "query",
    [
        {"table": 255},
        {"table": -1},
        {"changed": 61},
        {"changed": float("nan")},
        {"limit": 0},
        {"match": "ip; reboot"},
        {"match": "ip\n"},
        {"bridge": ""},
        {"unknown": 1},
    ],
)
def test_parameters_out_of_bounds_are_refused(query: Any) -> None:
    with pytest.raises(pydantic.ValidationError):
        flows.Query.model_validate(query)


def test_the_page_is_as_wide_as_a_terminal(switch: pathlib.Path) -> None:
    send()
    switched.add("cookie=0x5,table=0,priority=96,icmp6,in_port=3,actions=NORMAL")

    page = view.view(ask(hit=False, limit=60))["report"]

    assert [line for line in page.splitlines() if len(line) > 80 and len(line.split()) > 2] == []
    assert "Table 0, local switching\n" in page
    assert "priority 96, 0 packets, foreign, cookie 0x5\n" in page
    assert "1 of them is not the agent's, whose cookie is" in " ".join(page.split())
    assert re.search(r"priority \d+, 1 packet\n", page)


def test_a_large_answer_fits_into_a_result(switch: pathlib.Path) -> None:
    results = view.view(ask(hit=False, limit=1000))

    assert all(len(value.encode()) <= 120_000 for value in results.values())
