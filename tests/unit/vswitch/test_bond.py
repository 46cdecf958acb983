import pathlib

import pytest

from ovs_pathfinder.evidence import theory
from ovs_pathfinder.vswitch import bond, database, datapath, trace
from tests.unit import recorded
from tests.unit.vswitch import private

PACKET = "in_port=2,icmp,nw_src=192.0.2.1,nw_dst=192.0.2.2,nw_ttl=64,dl_src=fa:16:3e:00:00:01,dl_dst=fa:16:3e:00:00:02"


@pytest.mark.parametrize(
    ("name", "number", "members", "entry"),
    [
        ("bonds/bond-show.txt", 1, ("e1", "e2"), "e2"),
        ("bonds/bond-show.lb-output.txt", 1, ("e1", "e2"), "e2"),
        ("bonds/bond-show.active-backup.txt", None, ("e1", "e2"), "e1"),
        ("versions/2.13.bond-show.txt", None, ("e1", "e2"), "e1"),
    ],
)
def test_bonds_are_read(name: str, number: int | None, members: tuple[str, ...], entry: str) -> None:
    found = next(one for one in bond.parse(recorded.text(name)) if one.name == "bond0")

    assert (found.number, found.entry) == (number, entry)
    assert tuple(one.name for one in found.members) == members


def test_a_member_that_is_disabled_takes_no_packets_in() -> None:
    text = recorded.text("versions/2.13.bond-show.txt").replace("slave e1: enabled", "slave e1: disabled")

    assert bond.parse(text)[0].entry == ""


def test_only_bonds_with_a_number_are_named_by_actions() -> None:
    found = bond.parse(recorded.text("bonds/bond-show.txt"))

    assert bond.names(found) == {1: "bond0", 2: "bond1"}
    assert bond.names(bond.parse(recorded.text("bonds/bond-show.active-backup.txt"))) == {}


def _joined(place: pathlib.Path) -> None:
    """Make a bond between two bridges, negotiated over sockets, behind br-int's patch port."""
    private.configure(
        f"""
        add-br br-int -- set bridge br-int datapath_type=dummy fail_mode=secure
        -- add-br br-ex -- set bridge br-ex datapath_type=dummy
        -- add-br br-far -- set bridge br-far datapath_type=dummy
        -- add-port br-int p1 -- set interface p1 type=dummy ofport_request=2
        -- add-port br-int int-ex -- set interface int-ex type=patch options:peer=phy-ex ofport_request=1
        -- add-port br-ex phy-ex -- set interface phy-ex type=patch options:peer=int-ex
        -- add-bond br-ex bond0 e1 e2 bond_mode=balance-tcp lacp=active other_config:lacp-time=fast
        -- set interface e1 type=dummy options:pstream=punix:{place}/1.sock
        -- set interface e2 type=dummy options:pstream=punix:{place}/2.sock
        -- add-bond br-far bond1 f1 f2 bond_mode=balance-tcp lacp=active other_config:lacp-time=fast
        -- set interface f1 type=dummy options:stream=unix:{place}/1.sock
        -- set interface f2 type=dummy options:stream=unix:{place}/2.sock
        """
    )
    flow = "in_port=2,actions=push_vlan:0x8100,set_field:4849->vlan_vid,output:1"
    private.call("ovs-ofctl", "-O", "OpenFlow13", "add-flow", "br-int", flow)
    private.until(lambda: private.call("ovs-appctl", "bond/show").count(": enabled") == 4)


@pytest.mark.skipif(bool(private.missing()), reason=private.missing())
def test_a_real_bond_is_the_expected_way_out() -> None:
    with private.running() as place:
        _joined(place)
        switch, ports = database.read(), datapath.read_ports()
        bonds = bond.read(switch)
        expected = theory.Place(
            bridge="br-int",
            ofport=2,
            expected_port=ports["e1"],
            other_ports=(ports["e2"],),
            expected_bonds=("bond0",),
            expected_vlan=753,
            bonds=bond.names(bonds),
        )
        found = [trace.run("br-int", PACKET)]
        private.call("ovs-vsctl", "set", "port", "bond0", "other_config:lb-output-action=true")
        found.append(trace.run("br-int", PACKET))

    assert {one.name: one.bond for one in switch.interfaces if one.bond} == {
        "e1": "bond0",
        "e2": "bond0",
        "f1": "bond1",
        "f2": "bond1",
    }
    assert "recirc(0x" in found[0].datapath_actions[-1]
    assert "lb_output(" in found[1].datapath_actions[-1]
    for one in found:  # br-ex floods to its own device as well
        assert theory.judge(one, expected) == ("flooded", "")
        assert theory.judge(one, expected.model_copy(update={"bonds": {}}))[0] == "not-followed"
        other = expected.model_copy(update={"expected_bonds": ("bond1",), "expected_vlan": 754})
        assert theory.judge(one, other)[0] == "misdirected"
