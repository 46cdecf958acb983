"""What no capture can see is known as such, with the reason."""

import pytest

from ovs_pathfinder.evidence import host, record, sight, watch
from ovs_pathfinder.vswitch import database, datapath
from tests.unit import recorded
from tests.unit.diagnosis import build

LINK = host.Link(name="tap93fff561-bf")


def interface(**changes: object) -> database.Interface:
    fields = {"name": "tap93fff561-bf", "bridge": "br-int", "type": "internal", "ofport": 3, **changes}
    return database.Interface.model_validate(fields)


@pytest.mark.parametrize(
    ("changes", "link", "reason"),
    [
        ({}, LINK, ""),
        ({}, None, "in another network namespace"),
        ({"type": ""}, None, "in another network namespace"),
        ({"type": "", "ofport": -1, "error": "could not open network device"}, None, ""),
        ({"ofport": None}, None, ""),
        ({"type": "patch"}, None, ""),
        ({"name": "vhu93fff561-bf", "type": "dpdkvhostuserclient"}, None, "do not pass the kernel"),
        ({"type": "afxdp"}, LINK, "do not pass the kernel"),
    ],
)
def test_the_switch_decides_whether_a_device_is_there(
    changes: dict[str, object], link: host.Link | None, reason: str
) -> None:
    found = sight.of_device(interface(**changes), link)

    assert reason in found
    assert bool(found) == bool(reason)


def test_a_port_that_is_not_on_the_switch_is_not_out_of_sight() -> None:
    assert sight.of_device(None, None) == ""


def test_what_leaves_by_dpdk_is_out_of_sight() -> None:
    uplink = interface(name="dpdk0", bridge="br-ex", type="dpdk")
    switch = database.Switch(datapath_type="netdev", interfaces=(uplink, interface(name="eth1", type="")))

    assert "dpdk0 of type dpdk" in sight.of_uplinks(switch, "br-ex")
    assert sight.of_uplinks(switch, "br-int") == ""


@pytest.mark.parametrize("on", [True, False])
def test_flows_that_a_nic_forwards_are_out_of_sight(on: bool) -> None:
    read = datapath.parse(recorded.text("kernel/dump-flows.txt")).flows
    flows = [record.Megaflow(direction="forward", actions="", offloaded=one.offloaded, raw="") for one in read]

    assert [one.offloaded for one in read] == [False, False, True, False, False, False]
    assert bool(sight.of_flows(database.Switch(hw_offload=on), flows)) == on
    assert sight.of_flows(database.Switch(hw_offload=on), flows[3:]) == ""


def test_a_point_that_is_out_of_sight_is_no_observation() -> None:
    watching = watch.Watch(build.plan(), "aaaaaaaa", ())
    watching.hide("destination-port", "it is elsewhere")

    (found,) = watching.observations()

    assert (found.error, found.out_of_sight, found.is_watched) == ("", "it is elsewhere", False)
