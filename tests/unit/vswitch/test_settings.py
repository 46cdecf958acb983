"""Of two states of a switch, what differs besides flows is told; new numbers for the same things are set aside."""

from typing import Any

import pytest

from ovs_pathfinder.vswitch import settings, state
from tests.unit.vswitch import dumped


def told(before: state.State, after: state.State) -> list[str]:
    return [str(one) for one in settings.compare(before, after).settings]


def bridge(**changes: Any) -> state.State:
    return dumped.switch(bridges=(state.Bridge(name="br-int", **changes),))


def port(**changes: Any) -> state.State:
    known = {"network_type": "gre", "segmentation_id": "753", "tag": "1"}
    plain = {"bridge": "br-int", "name": "tap1", "ofport": 2, "tag": 1, "other_config": known}
    return state.State(ports=(state.Port.model_validate(plain | changes),))


def test_new_numbers_for_ports_and_networks_are_set_aside() -> None:
    found = settings.compare(dumped.switch(), dumped.switch({2: 12, 3: 13}, {1: 5, 2: 1}))

    assert found.settings == ()
    assert found.ports == ("tap00000002-aa 2 to 12", "tap00000003-bb 3 to 13")
    assert found.networks == ("gre/753 1 to 5", "gre/1001 2 to 1")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (bridge(), bridge(fail_mode="secure"), "bridge br-int fail_mode: none before, secure after"),
        (bridge(protocols=("OpenFlow10",)), bridge(), "bridge br-int protocols: OpenFlow10 before, none after"),
        (bridge(), bridge(stp=True), "bridge br-int stp: false before, true after"),
        (
            bridge(other_config={"mac-table-size": "1"}),
            bridge(other_config={"mac-table-size": "2"}),
            "bridge br-int other_config:mac-table-size: 1 before, 2 after",
        ),
        (
            bridge(groups=("group_id=1,type=all,bucket=actions=output:2",)),
            bridge(groups=("group_id=1,type=all,bucket=actions=output:3",)),
            "group br-int 1: type=all,bucket=actions=output:tap00000002-aa before, "
            "type=all,bucket=actions=output:tap00000003-bb after",
        ),
        (bridge(meters=("meter=1 kbps",)), bridge(), "meter br-int 1: kbps before, none after"),
        (port(), port(tag=4095), "port tap1 on br-int tag: gre/753 before, 4095, the dead VLAN after"),
        (port(), port(tag=9), "port tap1 on br-int tag: gre/753 before, 9 after"),
        (port(), port(type="internal"), "port tap1 on br-int type: none before, internal after"),
        (port(mtu=1450), port(mtu=1500), "port tap1 on br-int mtu: 1450 before, 1500 after"),
        (port(), port(ofport=-1), "port tap1 on br-int ofport: 2 before, -1 after"),
        (
            port(options={"remote_ip": "10.0.0.1"}),
            port(options={"remote_ip": "10.0.0.2"}),
            "port tap1 on br-int options:remote_ip: 10.0.0.1 before, 10.0.0.2 after",
        ),
        (
            port(external_ids={"iface-id": "a"}),
            port(external_ids={"iface-id": "b"}),
            "port tap1 (b) on br-int external_ids:iface-id: a before, b after",
        ),
        (
            state.State(versions=state.Versions(vswitchd="2.15.0")),
            state.State(versions=state.Versions(vswitchd="2.16.0")),
            "version vswitchd: 2.15.0 before, 2.16.0 after",
        ),
        (
            state.State(other_config={"max-idle": "1"}),
            state.State(),
            "switch Open_vSwitch other_config:max-idle: 1 before, none after",
        ),
    ],
)
def test_a_difference_is_one_sentence(before: state.State, after: state.State, expected: str) -> None:
    assert told(before, after) == [expected]
    assert told(before, before) == told(after, after) == []


def test_buckets_that_openflow_15_numbers_are_the_same_buckets() -> None:
    old = bridge(groups=("group_id=1,type=all,bucket=actions=output:2,bucket=actions=output:3",))
    new = bridge(
        groups=("group_id=1,type=all,bucket=bucket_id:0,actions=output:2,bucket=bucket_id:1,actions=output:3",)
    )

    assert told(old, new) == []


def test_groups_follow_their_ports_to_other_numbers() -> None:
    def grouped(number: int) -> state.State:
        one = state.Bridge(name="br-int", groups=(f"group_id=1,type=all,bucket=actions=output:{number}",))
        return dumped.switch({2: number}, bridges=(one,))

    assert told(grouped(2), grouped(9)) == []


def test_a_temporary_port_of_ours_is_set_aside() -> None:
    ours = port(name="opf12345678", external_ids={"ovs-pathfinder": "0123456789abcdef"})

    found = settings.compare(state.State(), ours)

    assert (found.settings, found.own) == ((), 1)
    assert told(state.State(), port()) == ["port tap1 on br-int: none before, there, system, ofport 2 after"]
