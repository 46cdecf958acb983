"""A trunk's bridge is followed from br-int to its guest's device, and what is wrong there is told."""

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.vswitch import database, trunk

TRUNK = path.Trunk(id="2e9b4c11-6d0f-4c38-9d5e-0c1d6f3a7b20", parent="b51a7f02-98c4-4d53-8d4e-7a9f0c2be611", vlan=101)
BRIDGE, TAP = "tbr-2e9b4c11-6", "tapb51a7f02-98"
SUBPORT, PARENT = (
    path.Port(id=identifier, name="", mac=mac, addresses=(), trunk=hangs)
    for identifier, mac, hangs in (
        ("93fff561-bfda-46b4-9d61-5f4ea8559a15", "fa:16:3e:0d:9a:cf", TRUNK),
        (TRUNK.parent, "fa:16:3e:5c:11:02", None),
    )
)


def patch(name: str, bridge: str, peer: str, port: path.Port, tag: int | None = None) -> database.Interface:
    return database.Interface(
        name=name,
        bridge=bridge,
        type="patch",
        ofport=7,
        tag=tag,
        options={"peer": peer},
        external_ids={"iface-id": port.id},
    )


WIRED = {
    one.name: one
    for one in (
        database.Interface(name=BRIDGE, bridge=BRIDGE, type="internal", ofport=65534),
        database.Interface(name=TAP, bridge=BRIDGE, ofport=1, external_ids={"iface-id": PARENT.id}),
        patch("tpi-b51a7f02-98", "br-int", "tpt-b51a7f02-98", PARENT, 2),
        patch("tpt-b51a7f02-98", BRIDGE, "tpi-b51a7f02-98", PARENT),
        patch("spi-93fff561-bf", "br-int", "spt-93fff561-bf", SUBPORT, 1),
        patch("spt-93fff561-bf", BRIDGE, "spi-93fff561-bf", SUBPORT, 101),
    )
}


def switch(*, bridges: tuple[str, ...] = ("br-int", BRIDGE), **changed: database.Interface | None) -> database.Switch:
    """Return the switch with interfaces changed, or gone; `changed` use `_` for `-`."""
    found = WIRED | {name.replace("_", "-"): one for name, one in changed.items()}
    return database.Switch(bridges=bridges, interfaces=tuple(one for one in found.values() if one is not None))


def fault(here: database.Switch, port: path.Port) -> tuple[str, str] | None:
    way = trunk.of_port(here, port)
    assert way is not None
    return trunk.fault(here, port, way)


@pytest.mark.parametrize(("port", "vlan"), [(SUBPORT, 101), (PARENT, None)])
def test_ports_of_a_trunk_lead_to_the_parents_device(port: path.Port, vlan: int | None) -> None:
    way = trunk.of_port(switch(), port)

    assert way is not None
    assert (way.bridge, way.device, way.ofport, way.vlan) == (BRIDGE, TAP, 1, vlan)
    assert fault(switch(), port) is None


def test_the_port_on_br_int_is_what_carries_a_port_of_a_trunk() -> None:
    found = [switch().port_of(port.id) for port in (SUBPORT, PARENT)]

    assert [one.name for one in found if one] == ["spi-93fff561-bf", "tpi-b51a7f02-98"]


def test_a_port_that_is_plugged_into_br_int_has_no_trunk() -> None:
    plain = path.Port(id="p", name="", mac=PARENT.mac, addresses=())
    tap = database.Interface(name="tapp", bridge="br-int", ofport=3, external_ids={"iface-id": "p"})

    assert trunk.of_port(switch(tapp=tap), plain) is None
    assert trunk.of_port(switch(), plain) is None


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"bridges": ("br-int",)}, "port-not-plugged", f"the trunk's bridge {BRIDGE} does not exist"),
        ({TAP.replace("-", "_"): None}, "port-not-plugged", f"{BRIDGE} has no device of a guest"),
        ({"spi_93fff561_bf": None}, "patch-broken", f"br-int has no patch port for port {SUBPORT.id}"),
        (
            {"spt_93fff561_bf": None},
            "patch-broken",
            "spi-93fff561-bf of br-int has the peer spt-93fff561-bf, which is no",
        ),
        (
            {"spt_93fff561_bf": patch("spt-93fff561-bf", BRIDGE, "nowhere", SUBPORT, 101)},
            "patch-broken",
            "has the peer spt-93fff561-bf, whose own peer is nowhere",
        ),
        (
            {"spt_93fff561_bf": patch("spt-93fff561-bf", BRIDGE, "spi-93fff561-bf", SUBPORT, 102)},
            "vlan-tag-wrong",
            "has the VLAN tag 102, and Neutron's trunk has the VLAN tag 101",
        ),
        (
            {"spt_93fff561_bf": patch("spt-93fff561-bf", BRIDGE, "spi-93fff561-bf", SUBPORT)},
            "vlan-tag-wrong",
            "has no VLAN tag, and",
        ),
    ],
)
def test_what_is_wrong_on_the_way_is_told(changed: dict[str, database.Interface | None], code: str, words: str) -> None:
    found = fault(switch(**changed), SUBPORT)  # pyright: ignore[reportArgumentType] - bridges is no interface

    assert found is not None
    assert found[0] == code
    assert words in found[1]


def test_a_parent_without_a_patch_port_on_br_int_is_told() -> None:
    found = fault(switch(tpi_b51a7f02_98=None), PARENT)

    assert found == ("patch-broken", f"br-int has no patch port for port {PARENT.id} to the trunk's bridge {BRIDGE}")
