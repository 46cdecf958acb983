"""What is certain not to match is told apart, in all spellings; what is not known may be anything."""

import pytest

from ovs_pathfinder.vswitch import pipeline

ECHO = pipeline.packet("in_port=2,icmp6,dl_src=fa:16:3e:a8:7e:f6,ipv6_src=fc00::1,ipv6_dst=fc00::2,icmpv6_type=128")


@pytest.mark.parametrize(
    "match",
    [
        "",
        "icmp6,icmp_type=128",
        "ipv6,nw_proto=58",
        "dl_type=0x86dd",
        "in_port=2",
        "ipv6_src=fc00::/64",
        "ipv6_src=fc00::/ffff::",
        "dl_src=fa:16:3e:00:00:00/ff:ff:ff:00:00:00",
        "vlan_tci=0x0000/0x1000",
        "dl_vlan=65535",
        "reg5=0",
        "ct_state=+trk+inv",  # of conntrack nothing is known
        "conj_id=7",
        "dl_dst=fa:16:3e:00:00:01",  # the packet does not say
        "in_port=eth0",
        "a_field_of_the_future=3",
    ],
)
def test_packet_may_match(match: str):
    assert pipeline.matches(match, ECHO)


@pytest.mark.parametrize(
    "match",
    [
        "icmp",
        "arp",
        "tcp6",
        "ip",
        "icmp6,icmp_type=129",
        "icmp6,icmpv6_type=129",
        "in_port=3",
        "in_port=LOCAL",
        "ipv6_src=fc01::/64",
        "dl_src=fa:16:3f:00:00:00/ff:ff:ff:00:00:00",
        "dl_vlan=1",
        "vlan_tci=0x1000/0x1000",
        "reg5=0x2",
    ],
)
def test_packet_cannot_match(match: str):
    assert not pipeline.matches(match, ECHO)


@pytest.mark.parametrize(
    ("actions", "done"),
    [
        ("resubmit(,71)", [pipeline.Do("table", number=71)]),
        ("resubmit(4,71)", [pipeline.Do("table", number=71, port=4)]),
        ("resubmit:4", [pipeline.Do("table", port=4)]),
        ("goto_table:71", [pipeline.Do("table", number=71)]),
        ("ct(table=72,zone=NXM_NX_REG6[0..15])", [pipeline.Do("recirculate", number=72)]),
        ("ct(commit,nat(src=1.2.3.4),table=72)", [pipeline.Do("recirculate", "nat", 72)]),
        ("ct(commit,zone=NXM_NX_REG6[0..15],exec(load:0x1->NXM_NX_CT_MARK[]))", []),
        ("load:0x2->NXM_NX_REG5[]", [pipeline.Do("set", "reg5", 2)]),
        ("set_field:0x2->reg5", [pipeline.Do("set", "reg5", 2)]),
        ("load:0x2->NXM_NX_REG5[0..15]", [pipeline.Do("forget", "reg5")]),
        ("set_field:0x2/0xff->reg5", [pipeline.Do("forget", "reg5")]),
        ("move:NXM_NX_REG1[]->NXM_NX_REG5[]", [pipeline.Do("forget", "reg5")]),
        ("set_field:0x2->xreg2", [pipeline.Do("forget", "reg")]),
        ("mod_vlan_vid:1", [pipeline.Do("set", "vlan", 0x1001)]),
        ("set_field:4097->vlan_vid", [pipeline.Do("set", "vlan", 0x1001)]),
        ("strip_vlan", [pipeline.Do("set", "vlan", 0)]),
        ("pop_vlan", [pipeline.Do("set", "vlan", 0)]),
        ("output:4", [pipeline.Do("output", number=4)]),
        ("4", [pipeline.Do("output", number=4)]),
        ("output(port=4,max_len=100)", [pipeline.Do("output", number=4)]),
        ("output:NXM_NX_REG7[]", [pipeline.Do("output")]),
        ("LOCAL", [pipeline.Do("output", number=65534)]),
        ("NORMAL", [pipeline.Do("normal")]),
        ("IN_PORT", [pipeline.Do("output", "in_port")]),
        ("group:3", [pipeline.Do("group", number=3)]),
        ("clone(output:4)", [pipeline.Do("inside", inner=(pipeline.Do("output", number=4),))]),
        ("conjunction(7,1/2)", []),
        ("learn(table=20,load:0->NXM_OF_VLAN_TCI[],output:NXM_OF_IN_PORT[])", []),
        ("drop", []),
        ("an_action_of_the_future(3)", [pipeline.Do("forget")]),
    ],
)
def test_actions_are_read(actions: str, done: list[pipeline.Do]):
    assert list(pipeline.read(actions)) == done
