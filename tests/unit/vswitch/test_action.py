import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder.vswitch import action

TO_209 = "set(tunnel(tun_id=0x2f1,src=172.20.0.139,dst=172.20.0.209,ttl=64,tp_dst=4789,flags(df|key)))"
TO_244 = TO_209.replace("dst=172.20.0.209", "dst=172.20.0.244")
PUSH = (
    "tnl_push(tnl_port(6),header(size=42,type=3,eth(dst=52:54:00:00:00:d1,src=52:54:00:00:00:8b,dl_type=0x0800),"
    "ipv4(src=172.20.0.139,dst={remote},proto=47,tos=0,ttl=64,frag=0x4000),gre((flags=0x2000,proto=0x6558),key=0x2f1)),"
    "out_port(2)),1"
)
PUSH_VXLAN6 = (
    "tnl_push(tnl_port(4),header(size=70,type=4,eth(dst=52:54:00:00:00:d1,src=52:54:00:00:00:8b,dl_type=0x86dd),"
    "ipv6(src=fd00::1,dst=fd00::2,label=0,proto=17,tclass=0x0,hlimit=64),udp(src=0,dst=4789,csum=0xffff),"
    "vxlan(flags=0x8000000,vni=0x2f1)),out_port(2)),eth1"
)
PUSH_GENEVE = (
    "tnl_push(tnl_port(4),header(size=50,type=5,eth(dst=52:54:00:00:00:d1,src=52:54:00:00:00:8b,dl_type=0x0800),"
    "ipv4(src=1.1.1.1,dst=1.1.1.2,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=0,dst=6081,csum=0x0),"
    "geneve(oam,vni=0x2f1,options({class=0xffff,type=0x80,len=4,0xa}))),out_port(2)),1"
)

# A place that a packet leaves through, as (port, remote, key).
CASES = {
    "drop": [],
    "<empty>": [],
    "": [],
    "5": [("5", "", None)],
    "tap8aff7663-c9": [("tap8aff7663-c9", "", None)],
    "ct(commit,zone=1,nat(src=10.0.0.1)),recirc(0x85)": [],
    "ct,recirc(0x2)": [],
    "ct(commit,zone=1,label=0/0x1),ct_clear,4": [("4", "", None)],
    "push_vlan(vid=1,pcp=0),3,pop_vlan,5": [("3", "", None), ("5", "", None)],
    f"{TO_209},2": [("2", "172.20.0.209", 0x2F1)],
    f"{TO_209},pop_vlan,2,{TO_244},2": [("2", "172.20.0.209", 0x2F1), ("2", "172.20.0.244", 0x2F1)],
    # The header stays in force, and devices do not look at it.
    f"push_vlan(vid=8,pcp=0),1,{TO_209},pop_vlan,3,{TO_244},3,30,31": [
        ("1", "", None),
        ("3", "172.20.0.209", 0x2F1),
        ("3", "172.20.0.244", 0x2F1),
        ("30", "", None),
        ("31", "", None),
    ],
    f"clone({TO_209},2),5": [("2", "172.20.0.209", 0x2F1), ("5", "", None)],
    "set(tunnel(tun_id=0x1,ipv6_src=fd00::1,ipv6_dst=fd00::2,ttl=64,flags(key))),gre_sys": [("gre_sys", "fd00::2", 1)],
    "set(tunnel(dst=1.2.3.4,ttl=64,flags(df))),vxlan_sys_4789": [("vxlan_sys_4789", "1.2.3.4", None)],
    "set(tunnel(tun_id=0xe,dst=10.0.92.172,ttl=64,tp_dst=6081,geneve({class=0x102,type=0x80,len=4,0x1000b}),"
    "flags(df|csum|key))),set(eth(src=0a:58:0a:81:02:01,dst=0a:58:0a:81:02:0d)),set(ipv4(ttl=63)),4": [
        ("4", "10.0.92.172", 0xE)
    ],
    PUSH.format(remote="172.20.0.209"): [("1", "172.20.0.209", 0x2F1)],
    f"clone({PUSH.format(remote='172.20.0.209')}),{PUSH.format(remote='172.20.0.244')},7": [
        ("1", "172.20.0.209", 0x2F1),
        ("1", "172.20.0.244", 0x2F1),
        ("7", "", None),
    ],
    PUSH_VXLAN6: [("eth1", "fd00::2", 0x2F1)],
    PUSH_GENEVE: [("1", "1.1.1.2", 0x2F1)],
    "trunc(100),3": [("3", "", None)],
    "meter(1),hash(sym_l4(0)),3": [("3", "", None)],
    "userspace(pid=4294962063,slow_path(controller))": [],
    "sample(sample=50.0%,actions(userspace(pid=1),3)),4": [("3", "", None), ("4", "", None)],
    "check_pkt_len(size=1518,gt(drop),le(3))": [("3", "", None)],
    "check_pkt_len(size=200,gt(4),le(3))": [("4", "", None), ("3", "", None)],
    "dec_ttl(le_1(userspace(pid=1))),5": [("5", "", None)],
}


@pytest.mark.parametrize("text", CASES)
def test_outputs(text: str) -> None:
    assert [(one.port, one.remote, one.key) for one in action.outputs(text)] == CASES[text]


def test_a_header_without_a_way_out_is_told() -> None:
    pushed = PUSH.format(remote="172.20.0.209").removesuffix(",1")

    assert [str(one) for one in action.outputs(pushed)] == ["the tunnel to 172.20.0.209 with key 0x2f1"]


def test_what_is_printed_names_the_port() -> None:
    assert str(action.Output(port="5")) == "datapath port 5"


@given(st.text(alphabet="ab1,(){}= \n", max_size=60) | st.text(max_size=40))
def test_no_text_makes_it_fail(text: str) -> None:
    assert all(part == part.strip() and part for part in action.split(text))
    assert isinstance(action.outputs(text), list)


WORDS = st.sampled_from(["drop", "5", "ct(zone=1,nat(src=1.1.1.1))", TO_209, "recirc(0x1)", "clone(3,4)"])


@given(st.lists(WORDS))
def test_what_was_split_joins_to_the_same_text(parts: list[str]) -> None:
    assert action.split(",".join(parts)) == parts


def test_the_vlan_tag_that_a_packet_comes_with_is_kept_until_it_is_taken_off() -> None:
    out = action.Output(port="3", vlan=101)

    assert action.follow("3", (101,)).outputs == (out,)
    assert action.follow("pop_vlan,3,push_vlan(vid=7,pcp=0),4", (101,)).outputs == (
        action.Output(port="3"),
        action.Output(port="4", vlan=7),
    )
    assert action.follow("pop_vlan,ct(zone=1),recirc(0x1)", (101,)).forks == (action.Fork(number=1),)
    assert action.follow("push_vlan(vid=5,pcp=0),ct(zone=5),recirc(0x1)").forks == (action.Fork(number=1, vlans=(5,)),)


def test_of_two_vlan_tags_the_inner_one_is_left_when_the_outer_is_taken_off() -> None:
    found = action.follow("push_vlan(tpid=0x88a8,vid=7,pcp=0),3,set(vlan(vid=8,pcp=0)),4,pop_vlan,5", (101,))

    assert [(one.port, one.vlan) for one in found.outputs] == [("3", 7), ("4", 8), ("5", 101)]


FOLLOWED = [
    "drop",
    "drop(5)",
    "ct(commit,zone=1,nat(src=10.0.0.1)),ct_clear",
    "trunc(128),meter(7),psample(group=10,cookie=0a0b)",
    "add_mpls(label=1,tc=0,ttl=64,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800),push_eth(src=a,dst=b),pop_eth",
    "sample(sample=1.0%,actions(userspace(pid=1,sFlow(vid=0,pcp=0,output=3))))",
    "dec_ttl(le_1(userspace(pid=1)))",
    "set(tunnel(tun_id=0x1,dst=1.2.3.4,geneve({class=0x102,type=0x80,len=4,0x1}{class=0x102,type=0x81,len=4,0x2})))",
]


@pytest.mark.parametrize("text", FOLLOWED)
def test_what_leads_nowhere_is_followed(text: str) -> None:
    assert action.follow(text) == action.Followed()


@pytest.mark.parametrize(
    "text", ["action24(00 01)", "teleport(3)", "clone(teleport(3)),5", "3,***2 leftover bytes*** (00)", "ct(zone=1"]
)
def test_an_action_that_is_not_known_is_said(text: str) -> None:
    assert action.follow(text).unknown


def test_a_bond_is_a_way_out_of_its_own() -> None:
    found = action.follow("push_vlan(vid=5,pcp=0),hash(l4(0)),recirc(0x1),lb_output(2)")

    assert found.forks == (action.Fork(number=1, vlans=(5,), leaving=action.Output(port="", vlan=5, bond=1)),)
    assert found.outputs == (action.Output(port="", vlan=5, bond=2),)


def test_a_tunnel_over_a_bond_is_still_that_tunnel() -> None:
    found = action.follow(f"{PUSH.format(remote='172.20.0.209').removesuffix(',1')},lb_output(1)")

    assert [(one.remote, one.key, one.bond) for one in found.outputs] == [("172.20.0.209", 0x2F1, 1)]


def test_the_controller_is_told_from_vswitchd() -> None:
    controller = "userspace(pid=0,controller(reason=1,dont_send=0,continuation=0,recirc_id=3,max_len=65535))"

    assert action.follow(controller) == action.Followed(to_controller=True)
    assert action.follow("userspace(pid=1,slow_path(action))").beyond == ("it is handed to ovs-vswitchd",)
