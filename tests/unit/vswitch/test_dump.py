"""Flows are read as a stream of whole lines, and a switch that does not answer is named."""

import os
import pathlib
import re
import signal
from collections.abc import Iterator

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.vswitch import dump, selection
from tests.unit.vswitch import dumped, private

MANY = 3000


@pytest.fixture(scope="module")
def switch() -> Iterator[pathlib.Path]:
    """A switch with br-int in Neutron's shape, and a bridge of many flows."""
    if reason := private.missing():
        pytest.skip(reason)
    with private.running() as place:
        many = "add-br br-many -- set Bridge br-many datapath_type=dummy fail_mode=secure"
        private.configure(f"{dumped.plug()} -- {many}")
        private.call("ovs-ofctl", "-O", "OpenFlow14", "add-flows", "br-int", "-", stdin=dumped.table())
        flows = "".join(f"table={one % 7},priority={one},ip,nw_src=10.0.0.1,actions=drop\n" for one in range(MANY))
        private.call("ovs-ofctl", "-O", "OpenFlow14", "--bundle", "add-flows", "br-many", "-", stdin=flows)
        yield place


def lines(flows: dump.Flows) -> list[str]:
    return b"".join(flows).decode().splitlines()


def test_all_flows_come_in_whole_lines_without_headings(switch: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "_PIPE", 4096)
    flows, tally = dump.Flows("br-many"), dump.Tally()

    chunks = list(flows)

    for chunk in chunks:
        tally.add(chunk)
        assert chunk.endswith(b"\n")
    found = b"".join(chunks).decode().splitlines()
    assert sorted(int(re.findall(r"priority=(\d+)", line)[0]) for line in found) == list(range(MANY))
    assert all(line.startswith(" cookie=") for line in found)
    assert len(chunks) > 10
    assert flows.strange == []
    assert tally.flows.total() == tally.unhit.total() == MANY
    assert tally.flows[3] == len(range(3, MANY, 7))


@pytest.mark.parametrize(
    ("protocols", "spoken"),
    [("[]", "OpenFlow15"), ("OpenFlow10,OpenFlow13", "OpenFlow13"), ("OpenFlow10", "OpenFlow10")],
)
def test_the_highest_version_that_a_bridge_speaks_is_spoken(switch: pathlib.Path, protocols: str, spoken: str) -> None:
    private.configure(f"set Bridge br-many protocols={protocols}")
    flows = dump.Flows("br-many", "table=2,ip")

    found = lines(flows)

    private.configure("set Bridge br-many protocols=[]")
    assert len(found) == len(range(2, MANY, 7))
    assert flows.openflow == spoken


def test_an_empty_table_is_no_error(switch: pathlib.Path) -> None:
    assert lines(dump.Flows("br-many", "table=99")) == []


def test_what_ovs_ofctl_refuses_is_told_in_its_words(switch: pathlib.Path) -> None:
    with pytest.raises(errors.PathfinderError) as refusal:
        lines(dump.Flows("br-many", "nonsense=1"))

    assert str(refusal.value) == "the flows of br-many cannot be read: unknown keyword nonsense"


def test_a_switch_that_is_gone_or_silent_is_named(switch: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.PathfinderError, match="ovs-vswitchd does not answer for br-none; is openvswitch-switch"):
        lines(dump.Flows("br-none"))
    monkeypatch.setattr(dump, "_PATIENCE", 0.2)
    switchd = int((switch / "ovs-vswitchd.pid").read_text())
    os.kill(switchd, signal.SIGSTOP)
    try:
        with pytest.raises(errors.PathfinderError, match=r"ovs-vswitchd does not answer for br-many.*no answer within"):
            lines(dump.Flows("br-many"))
    finally:
        os.kill(switchd, signal.SIGCONT)


def test_only_what_packets_have_met_is_picked(switch: pathlib.Path) -> None:
    packet = "in_port(2),eth(src=fa:16:3e:00:00:02,dst=fa:16:3e:00:00:99),eth_type(0x86dd)"
    private.receive("tap00000002-aa", packet)
    wanted = selection.Selection(hit=True)

    found = [line.decode() for chunk in dump.Flows("br-int") for line in wanted.pick(chunk)]

    assert 3 < len(found) < 10
    assert all("n_packets=1," in line for line in found)
    assert sum("n_packets=0," not in line for line in lines(dump.Flows("br-int"))) == len(found)


def test_the_flows_of_a_port_are_those_that_name_it_and_the_conjunctions_that_it_is_in(switch: pathlib.Path) -> None:
    pattern = selection.of_port(3, "fa:16:3e:00:00:03", is_integration=True)
    wanted = selection.Selection(pattern=pattern, vlan=1)
    chunks = list(dump.Flows("br-int"))

    found = {line.decode() for chunk in chunks for line in wanted.pick(chunk)}
    joint = {line.decode() for line in wanted.joint()}

    names = re.compile(r"in_port=3\b|reg5=0x3\b|output:3\b|0x3->reg5|fa:16:3e:00:00:03\b")
    everything = b"".join(chunks).decode().splitlines()
    assert found == {line for line in everything if names.search(line)}
    assert joint == {line for line in everything if "reg6=0x1," in line and "conjunction(" in line}
    assert len(found) > 50
    assert len(joint) > 3


def test_a_port_without_number_and_address_has_no_pattern() -> None:
    assert selection.of_port(None, "", is_integration=True) is None
    assert selection.of_port(-1, "", is_integration=False) is None


def test_what_moved_between_two_dumps_is_told_by_how_much() -> None:
    flow = " cookie=0x1, duration={}s, table={}, n_packets={}, n_bytes=0, idle_age={}, priority=1 actions=drop\n"
    first = "".join(flow.format(1, table, 5, 9) for table in (1, 2, 3)).encode()
    second = (flow.format(3, 4, 1, 0) + flow.format(3, 1, 5, 11) + flow.format(3, 2, 12, 0)).encode()

    found = list(selection.moved(dict(selection.counters(first)), [second, b""]))

    assert [(one.change, one.rise, selection.order(one.line)[0]) for one in found] == [
        ("new", 1, 4),
        ("moved", 7, 2),
        ("gone", 0, 3),
    ]


def test_flows_are_ordered_by_table_and_falling_priority() -> None:
    told = ["table=2, n_packets=0, n_bytes=0, priority=5,ip", "table=2, n_packets=0, n_bytes=0,"]
    told += ["table=10, n_packets=0, n_bytes=0, priority=9"]
    actions = "actions=learn(table=1,priority=3)"

    found = [selection.order(f" cookie=0x0, duration=1s, {one} {actions}".encode())[:2] for one in told]

    assert found == [(2, -5), (2, -32768), (10, -9)]
