"""What inspections make of a trunk's ports, which the switch has several devices for."""

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.evidence import host
from ovs_pathfinder.inspection import plugged, subjects
from ovs_pathfinder.vswitch import trunk
from tests.unit.vswitch import test_trunk as wired


@pytest.mark.parametrize(
    ("port", "patch"),
    [(wired.SUBPORT, "spi-93fff561-bf"), (wired.PARENT, "tpi-b51a7f02-98")],
    ids=["subport", "parent"],
)
def test_a_port_of_a_trunk_is_carried_once_and_by_the_guests_device(port: wired.path.Port, patch: str) -> None:
    switch = wired.switch()
    links = {wired.TAP: host.Link(name=wired.TAP, up=True, carrier=True)}

    (found,) = plugged.carrying(port.id, switch)
    device = plugged.device(found, links, trunk.find(switch, found))

    assert (device.name, device.kernel_device, device.carrier) == (patch, wired.TAP, True)
    assert plugged.about_devices(port.id, [device]) == []


def test_a_typed_packet_from_a_subport_is_refused_with_what_to_give_instead() -> None:
    with pytest.raises(errors.PathfinderError, match=r"is a port of a trunk .*give the run of a planned path"):
        subjects.Here(wired.switch(), {}).entry(wired.SUBPORT.id)
