"""Output of Open vSwitch's tools that is cut off, or of other types than it should be: one sentence, or unknown."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

from ovs_pathfinder import errors, path, process
from ovs_pathfinder.vswitch import action, bond, database, datapath, state, trace, wiring
from tests.unit import recorded

CLOUD = "healthy-gre-3computes-v4/octavia"
TABLES = ("Open_vSwitch", "Bridge", "Port", "Interface")
LISTED = [json.loads(recorded.text(f"{CLOUD}.list-{table}.json")) for table in TABLES]
PLACES = 60
"""At how many places each output is cut."""
WRONG: tuple[Any, ...] = (
    None,
    7,
    -1.5,
    "",
    "x",
    [],
    ["set"],
    ["set", [["map", 1]]],
    ["map", [["a"]]],
    ["uuid"],
    {},
    True,
)


def listed(tables: Iterable[Any]) -> str:
    return "\n".join(map(json.dumps, tables))


def swapped() -> Iterator[list[Any]]:
    """Yield the tables with one column of one of them of another type, or without it, or one of another shape."""
    for number, table in enumerate(LISTED):
        others = [*WRONG, {"headings": table["headings"], "data": [[1]]}, {"headings": 1, "data": 2}]
        yield from ([*LISTED[:number], other, *LISTED[number + 1 :]] for other in others)
        for column in range(len(table["headings"])):
            for wrong in WRONG:
                rows = [[*row[:column], wrong, *row[column + 1 :]] for row in table["data"]]
                yield [*LISTED[:number], {**table, "data": rows}, *LISTED[number + 1 :]]
            names = [*table["headings"][:column], "other", *table["headings"][column + 1 :]]
            yield [*LISTED[:number], {**table, "headings": names}, *LISTED[number + 1 :]]


def cuts(text: str) -> Iterator[str]:
    yield from (text[: len(text) * number // PLACES] for number in range(PLACES + 1))


def said(read: Callable[[], object]) -> str:
    """Return the sentence that there is instead of a result; empty where there is one."""
    try:
        read()
    except errors.PathfinderError as error:
        return str(error)
    return ""


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let each tool print a text."""

    def tool(text: str) -> None:
        def run(command: object, **_: object) -> str:
            return text

        monkeypatch.setattr(process, "run", run)

    return tool


def reads() -> Mapping[str, Callable[[], object]]:
    return {
        "the switch": database.read,
        "its state": state.read_database,
        "its mirrors": lambda: list(wiring.foreign_mirrors("ours")),
    }


@pytest.mark.parametrize("name", reads())
def test_damaged_tables_are_one_sentence(printed: Callable[[str], None], name: str) -> None:
    whole = listed(LISTED)
    texts = [*cuts(whole), "[" * 100_000, "{" * 7, "null\n" * 4, "\0", *map(listed, swapped())]
    for text in texts:
        printed(text)

        sentence = said(reads()[name])

        assert "\n" not in sentence
        assert len(sentence) < 600
    printed("[" * 100_000)
    assert "cannot be understood" in said(reads()[name])


def test_a_damaged_switch_is_not_taken_for_an_empty_one(printed: Callable[[str], None]) -> None:
    whole = listed(LISTED)
    for text in list(cuts(whole))[:-1]:
        printed(text)

        assert "cannot be understood" in said(database.read)


DUMPS = recorded.files("**/*dp-flows.txt") + recorded.files("kernel/dump-flows.txt")


@pytest.mark.parametrize("name", DUMPS)
def test_damaged_datapath_flows_are_unknown_or_read(name: str) -> None:
    for text in cuts(recorded.text(name)):
        found = datapath.parse(text)

        for one in found.flows:
            assert isinstance(one, path.Model)
            _ = one.ct_invalid, one.ct_marked, one.readable, one.age
            for actions in cuts(one.actions[:200]) if one is found.flows[-1] else ():
                action.follow(actions)


@pytest.mark.parametrize(
    ("line", "is_read"),
    [
        ("recirc_id(0), packets:1, bytes:1, used:1.2.3s, actions:1", True),
        ("ct_state(0x/0x), packets:1, bytes:1, used:never, actions:1", True),
        ("ct_state(99999999999x), ct_mark(08/09), packets:1, bytes:1, used:.s, actions:1", True),
        ("recirc_id(0), packets:" + "9" * 5000 + ", bytes:1, used:never, actions:1", False),
        ("recirc_id(0), packets:\u0663, bytes:1, used:never, actions:\u0663", False),
    ],
    ids=range(5),
)
def test_odd_numbers_of_datapath_flows_are_unknown(line: str, is_read: bool) -> None:
    found = datapath.parse(line)

    assert (len(found.flows), len(found.unknown)) == (1, 0) if is_read else (0, 1)
    for one in found.flows:
        assert (one.ct_invalid, one.ct_marked, one.age) == (False, False, None)


@pytest.mark.parametrize("name", ["clone", "sample(sample=1%,actions", "check_pkt_len(size=1,gt"])
def test_actions_that_nest_deeply_are_unknown(name: str) -> None:
    depth = 2_000

    found = action.follow(f"{name}(" * depth + "1" + ")" * (depth * (1 + name.count("("))))

    assert found.unknown


@pytest.mark.parametrize(
    "actions",
    [
        "push_vlan(vid=" + "9" * 5000 + ")",
        "set(tunnel(tun_id=" + "9" * 5000 + ",dst=1.2.3.4)),2",
        "recirc(" + "9" * 5000 + ")",
        "set(vlan(vid=" + "9" * 5000 + "))",
    ],
    ids=range(4),
)
def test_actions_with_numbers_that_are_none_are_followed(actions: str) -> None:
    action.follow(actions)


@pytest.mark.parametrize("name", recorded.files("healthy-gre-3computes-v4/*.trace.*.txt"))
def test_damaged_traces_are_read(name: str) -> None:
    for text in cuts(recorded.text(name)):
        trace.parse(text).follow()


@pytest.mark.parametrize("name", recorded.files("bonds/bond-show*.txt"))
def test_damaged_bonds_are_read(name: str) -> None:
    for text in cuts(recorded.text(name)):
        bond.parse(text)
