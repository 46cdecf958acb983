"""Patch ports that lead nowhere are told from those that join two bridges."""

import pytest

from ovs_pathfinder.vswitch import database, wiring

BRIDGES = ("br-int", "br-tun")


def patch(name: str, bridge: str, peer: str) -> database.Interface:
    options = {"peer": peer} if peer else {}
    return database.Interface(name=name, bridge=bridge, type="patch", ofport=1, options=options)


def switch(*interfaces: database.Interface) -> database.Switch:
    return database.Switch(bridges=("br-ex", *BRIDGES), interfaces=interfaces)


GOOD = (patch("patch-tun", "br-int", "patch-int"), patch("patch-int", "br-tun", "patch-tun"))


def test_bridges_that_are_joined_are_no_finding() -> None:
    others = (patch("int-br-ex", "br-int", "phy-br-ex"), patch("phy-br-ex", "br-ex", "int-br-ex"))

    assert list(wiring.broken_patches(switch(*GOOD, *others), BRIDGES)) == []


@pytest.mark.parametrize(
    ("interfaces", "words"),
    [
        (
            (patch("patch-tun", "br-int", "nowhere"), GOOD[1]),
            "patch-tun of br-int has the peer nowhere, which is no patch",
        ),
        ((patch("patch-tun", "br-int", ""), GOOD[1]), "patch-tun of br-int has the peer (none)"),
        ((GOOD[0], patch("patch-int", "br-tun", "other")), "has the peer patch-int, whose own peer is other"),
        ((GOOD[0],), "br-tun has no patch port"),
        ((), "br-int has no patch port"),
    ],
)
def test_a_patch_that_leads_nowhere_is_told(interfaces: tuple[database.Interface, ...], words: str) -> None:
    assert words in "; ".join(wiring.broken_patches(switch(*interfaces), BRIDGES))


def test_a_trunks_patch_is_one_guests_and_joins_no_bridges_of_the_path() -> None:
    stray = patch("spi-93fff561-bf", "br-int", "spt-93fff561-bf")

    assert list(wiring.broken_patches(switch(*GOOD, stray), BRIDGES)) == []
    assert "br-int has no patch port" in list(wiring.broken_patches(switch(stray, GOOD[1]), BRIDGES))


def test_bridges_that_are_not_on_the_path_are_left_alone() -> None:
    stray = patch("phy-br-ex", "br-ex", "nowhere")

    assert list(wiring.broken_patches(switch(*GOOD, stray), BRIDGES)) == []
