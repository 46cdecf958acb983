import pytest

from ovs_pathfinder.vswitch import action, datapath
from tests.unit import recorded


@pytest.mark.parametrize("name", recorded.files("**/*dp-flows.txt"))
def test_all_of_a_recorded_dump_is_understood(name: str) -> None:
    text = recorded.text(name)

    found = datapath.parse(text)

    assert found.unknown == ()
    assert len(found.flows) == text.count("actions:")
    assert all("dp-extra-info" not in one.actions and "actions:" not in one.key for one in found.flows)
    assert all(one.packets > 0 for one in found.flows if one.age is not None)


def test_the_kernels_forms_are_understood() -> None:
    found = datapath.parse(recorded.text("kernel/dump-flows.txt"))

    assert found.unknown == ()
    assert [(one.packets, one.used, one.age) for one in found.flows] == [
        (18588510, "0.001s", 0.001),
        (8, "6.613s", 6.613),
        (16764463, "0.000s", 0.0),
        (0, "never", None),
        (3, "0.480s", 0.48),
        (0, "never", None),
    ]
    assert found.flows[4].actions == "drop"
    assert found.flows[3].key.startswith("recirc_id(0)")
    assert [one.port for one in action.outputs(found.flows[0].actions) if not one.remote] == [
        "36",
        "12",
        "33",
        "21",
        "7",
    ]


def test_what_is_not_understood_is_kept() -> None:
    assert datapath.parse("flow-dump from pmd on cpu core: 2\nwhat is this\n").unknown == ("what is this",)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("healthy-gre-l2pop/octavia.dpif-show.txt", {"o-hm0": "5", "gre-ac1400d1": "6", "patch-tun": "none"}),
        ("healthy-gre-3computes-v4/octavia.dpif-show.txt", {"gre-ac1400d1": "6", "gre-ac1400f4": "6"}),
        ("healthy-vxlan-no-l2pop/compute.dpif-show.txt", {"br-phy": "2", "eth1": "1"}),
    ],
)
def test_ports(name: str, expected: dict[str, str]) -> None:
    found = datapath.ports(recorded.text(name))

    assert {device: found[device] for device in expected} == expected


def test_ports_of_the_kernels_datapath() -> None:
    found = datapath.ports(
        "system@ovs-system: hit:1 missed:2\n  br-int:\n    br-int 65534/2: (internal)\n    o-hm0 3/4: (internal)\n"
        "    tap93fff561-bf 5/9: (system)\n  br-tun:\n"
        "    vxlan-ac14008b 2/3: (vxlan: key=flow, remote_ip=172.20.0.139)\n"
    )

    assert found == {"br-int": "2", "o-hm0": "4", "tap93fff561-bf": "9", "vxlan-ac14008b": "3"}


def test_the_original_tuple_is_readable_again() -> None:
    flows = datapath.parse(recorded.text("healthy-gre-3computes-v4/compute.dp-flows.txt")).flows
    tracked = next(one for one in flows if "ct_tuple6" in one.key and "proto=6" in one.key)

    assert "proto=6/0,src_port=60668/0,dst_port=9443/0)" in tracked.key
    assert "proto=6/0,tp_src=60668/0,tp_dst=9443/0)" in tracked.readable
    assert tracked.readable.replace("tp_src", "src_port").replace("tp_dst", "dst_port") == tracked.key
    assert tracked.ufid == "5e5bf27d-a604-4ef8-8f7b-99665fa9c5a2"


@pytest.mark.parametrize(
    ("state", "is_invalid"),
    [
        ("+est+trk", False),
        ("+inv+trk", True),
        ("+trk-inv", False),
        ("0x30/0x30", True),
        ("0x30/0x20", False),
        ("0x31", True),
        ("0x21/bad", False),
        ("", False),
    ],
)
def test_a_state_of_conntrack_is_read_in_every_form(state: str, is_invalid: bool) -> None:
    one = datapath.Megaflow(key=f"ct_state({state}),recirc_id(0)", packets=0, used="never", actions="drop", raw="")

    assert one.ct_invalid is is_invalid
