"""The flows that Neutron's Open vSwitch agent (Zed, openvswitch firewall) installs, from API objects.

The text is what `ovs-ofctl -O OpenFlow14 replace-flows` reads; the shape is a real agent's tables'.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import rule_flows

Object = Mapping[str, Any]
"""A resource as the OpenStack API shows it."""

TUNNEL_TABLES = {"gre": 3, "vxlan": 4, "geneve": 6}
PATCH = 1
"""OpenFlow port of the patch between the bridges, on either."""

INTEGRATION_PATCH, PHYSICAL_PATCH, PHYSICAL_OFPORT = "int-br-phy", "phy-br-phy", 30
"""The patch between br-int and a physical network's bridge, and its OpenFlow port on either."""

PARENT_OFPORT = 40
"""OpenFlow port of br-int that is a trunk's parent port."""

_TRACK = "zone=NXM_NX_REG6[0..15]"
_COMMIT = f"ct(commit,{_TRACK})"
_ICMPV6 = "icmp6"
_ANY6_EGRESS = (130, 133, 135)
"""ICMPv6 types that a port may send before conntrack: MLD query, router and neighbour solicitation."""
_INGRESS = (130, 135, 136, 134)


@dataclasses.dataclass(frozen=True)
class Wired:
    """A port that is plugged in br-int."""

    port: Object
    ofport: int
    vlan: int
    link_local: str

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The MACs and addresses, or networks, that the port may use, the link-local one included."""
        mac = self.port["mac_address"]
        own = [(mac, str(each["ip_address"])) for each in self.port["fixed_ips"]]
        allowed = [(each["mac_address"], each["ip_address"]) for each in self.port.get("allowed_address_pairs", ())]
        return [*own, (mac, self.link_local), *allowed]

    @property
    def macs(self) -> list[str]:
        """The MACs that the port may use."""
        return [*dict.fromkeys(mac for mac, _ in self.pairs)]


@dataclasses.dataclass(frozen=True)
class Remote:
    """Another host as br-tun knows it: the tunnel's port, and the MACs that l2population announced there."""

    ofport: int
    macs: tuple[str, ...] = ()


def br_int(
    ports: Sequence[Wired], rules: Iterable[Object], cookie: int, members: Mapping[str, Sequence[str]] | None = None
) -> str:
    """Return br-int's flow table for the ports of one host.

    Args:
        ports: what is plugged in br-int.
        rules: all security group rules; those of a port's groups are picked.
        cookie: the bridge's cookie.
        members: the addresses and networks of remote groups and address groups.

    """
    rules = tuple(rules)
    flows = list(_common())
    for wired in ports:
        if not wired.port["port_security_enabled"]:
            flows += _unfiltered(wired)
            continue
        mine = [rule for rule in rules if rule["security_group_id"] in wired.port["security_groups"]]
        flows += _classified(wired)
        flows += _base_egress(wired)
        flows += _egress_rules(wired, [rule for rule in mine if rule["direction"] == "egress"], members or {})
        flows += _ingress(wired, [rule for rule in mine if rule["direction"] == "ingress"], members or {})
    for wired in ports:
        if not wired.port["admin_state_up"]:
            flows.append(f"table=0,priority=2,in_port={wired.ofport},actions=drop")
    return _text(flows, cookie)


def br_tun(
    tunnel: str, segment: int, vlan: int | None, remotes: Sequence[Remote], cookie: int, *, l2population: bool
) -> str:
    """Return br-tun's flow table.

    Args:
        tunnel: gre, vxlan or geneve.
        segment: the network's tunnel id.
        vlan: its local VLAN; None on a host without a port of it.
        remotes: the hosts there is a tunnel to.
        cookie: the bridge's cookie.
        l2population: whether forwarding entries come from Neutron; they are learned in both cases.

    """
    table = TUNNEL_TABLES[tunnel]
    unicast, multicast = "00:00:00:00:00:00/01:00:00:00:00:00", "01:00:00:00:00:00/01:00:00:00:00:00"
    learn = (
        f"learn(table=20,hard_timeout=300,priority=1,cookie={cookie:#x},NXM_OF_VLAN_TCI[0..11],"
        "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],"
        "load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[])"
    )
    flows = [f"table=0,priority=1,in_port={PATCH},actions=goto_table:2"]
    flows += [f"table=0,priority=1,in_port={each.ofport},actions=goto_table:{table}" for each in remotes]
    flows += [
        "table=0,priority=0,actions=drop",
        f"table=2,priority=0,dl_dst={unicast},actions=goto_table:20",
        f"table=2,priority=0,dl_dst={multicast},actions=goto_table:22",
        *(f"table={each},priority=0,actions=drop" for each in TUNNEL_TABLES.values()),
        f"table=10,priority=1,actions={learn},output:{PATCH}",
        "table=20,priority=0,actions=goto_table:22",
        "table=22,priority=0,actions=drop",
    ]
    if vlan is None:
        return _text(flows, cookie)
    tag, untag = (
        f"push_vlan:0x8100,set_field:{0x1000 | vlan}->vlan_vid",
        f"pop_vlan,set_field:{segment:#x}->tun_id",
    )
    flows.append(f"table={table},priority=1,tun_id={segment:#x},actions={tag},goto_table:10")
    if remotes:
        outputs = ",".join(f"output:{each.ofport}" for each in remotes)
        flows.append(f"table=22,priority=1,dl_vlan={vlan},actions={untag},{outputs}")
    for each in remotes if l2population else ():
        flows += [
            f"table=20,priority=2,dl_vlan={vlan},dl_dst={mac},actions={untag},output:{each.ofport}" for mac in each.macs
        ]
    return _text(flows, cookie)


def from_physical(segment: int | None, vlan: int | None, cookie: int) -> str:
    """Return what br-int has besides for packets of a physical network (`provision_local_vlan` of its bridge).

    Args:
        segment: the VLAN on the physical network; None of a flat one.
        vlan: the network's local VLAN; None on a host without a port of it.
        cookie: the bridge's cookie.

    """
    flows = [f"table=0,priority=2,in_port={PHYSICAL_OFPORT},actions=drop"]
    if vlan is not None:
        match = f"dl_vlan={segment}" if segment is not None else "vlan_tci=0x0000/0x1fff"
        push = "" if segment is not None else "push_vlan:0x8100,"
        actions = f"{push}set_field:{0x1000 | vlan}->vlan_vid,goto_table:59"
        flows.append(f"table=0,priority=3,in_port={PHYSICAL_OFPORT},{match},actions={actions}")
    return _text(flows, cookie)


def br_phys(segment: int | None, vlan: int | None, cookie: int) -> str:
    """Return the flow table of a physical network's bridge; the arguments are those of `from_physical`."""
    flows = ["table=0,priority=0,actions=NORMAL", f"table=0,priority=2,in_port={PHYSICAL_OFPORT},actions=drop"]
    if vlan is not None:
        tag = "pop_vlan" if segment is None else f"set_field:{0x1000 | segment}->vlan_vid"
        flows.append(f"table=0,priority=4,in_port={PHYSICAL_OFPORT},dl_vlan={vlan},actions={tag},NORMAL")
    return _text(flows, cookie)


def _text(flows: Iterable[str], cookie: int) -> str:
    """Join flows, once each: the flows of +inv packets are the same for every port."""
    return "".join(f"cookie={cookie:#x},{flow}\n" for flow in dict.fromkeys(flows))


def _common() -> Iterator[str]:
    """Yield the flows that do not depend on a port; `reset_counts` is where the agent's firewall sets it."""
    yield "table=0,priority=65535,dl_vlan=4095,actions=drop"
    yield "table=0,priority=0,actions=goto_table:59"
    yield "table=23,priority=0,actions=drop"
    yield "table=24,priority=0,actions=drop"
    yield "table=30,priority=0,actions=goto_table:59"
    yield "table=31,priority=0,actions=goto_table:59"
    yield "table=59,priority=0,actions=goto_table:60"
    yield "table=60,priority=3,actions=NORMAL"
    yield "table=62,priority=3,actions=NORMAL"
    yield "table=71,reset_counts,priority=110,ct_state=+trk,actions=ct_clear,resubmit(,71)"
    for table in (71, 72, 73, 81, 82, 92, 93):
        yield f"table={table},reset_counts,priority=0,actions=drop"
    yield "table=91,reset_counts,priority=1,actions=resubmit(,94)"
    yield "table=94,reset_counts,priority=1,actions=NORMAL"


def _unfiltered(wired: Wired) -> Iterator[str]:
    """Yield the flows of a port without port security: in by NORMAL alone, out past the security groups."""
    n = wired.ofport
    registers = f"set_field:{n:#x}->reg5,set_field:{wired.vlan:#x}->reg6"
    yield f"table=60,priority=100,in_port={n},actions={registers},resubmit(,73)"
    yield f"table=73,priority=80,reg5={n:#x},actions=resubmit(,94)"


def _classified(wired: Wired) -> Iterator[str]:
    n = wired.ofport
    registers = f"set_field:{n:#x}->reg5,set_field:{wired.vlan:#x}->reg6"
    yield f"table=60,priority=100,in_port={n},actions={registers},resubmit(,71)"
    for mac in wired.macs:
        yield f"table=60,priority=90,dl_vlan={wired.vlan},dl_dst={mac},actions={registers},pop_vlan,resubmit(,81)"


def _base_egress(wired: Wired) -> Iterator[str]:
    """Yield table 71: anti-spoofing, and what may leave before conntrack."""
    n, mac = wired.ofport, wired.port["mac_address"]
    here = f"reg5={n:#x},in_port={n}"
    for owner, address in wired.pairs:
        own = f"{here},dl_src={owner}"
        if _is6(address):
            for kind in _ANY6_EGRESS:
                match = f"{_ICMPV6},{own},ipv6_src={address},icmpv6_type={kind}"
                yield f"table=71,priority=95,{match},actions=resubmit(,94)"
            target = f"{_ICMPV6},{here},icmpv6_type=136,nd_target={address}"
            sender = f"{own},ipv6_src={address}"
            yield f"table=71,priority=95,{target},actions=resubmit(,94)"
            yield f"table=71,priority=80,udp6,{sender},tp_src=546,tp_dst=547,actions=resubmit(,73)"
            yield f"table=71,priority=65,ipv6,{sender},actions=ct(table=72,{_TRACK})"
        else:
            yield f"table=71,priority=95,arp,{own},arp_spa={address},actions=resubmit(,94)"
            yield f"table=71,priority=80,udp,{own},nw_src={address},tp_src=68,tp_dst=67,actions=resubmit(,73)"
            yield f"table=71,priority=65,ip,{own},nw_src={address},actions=ct(table=72,{_TRACK})"
    yield f"table=71,priority=80,udp,{here},dl_src={mac},nw_src=0.0.0.0,tp_src=68,tp_dst=67,actions=resubmit(,73)"
    yield f"table=71,priority=70,udp,{here},tp_src=67,tp_dst=68,actions=resubmit(,93)"
    yield f"table=71,priority=70,udp6,{here},tp_src=547,tp_dst=546,actions=resubmit(,93)"
    yield f"table=71,priority=70,{_ICMPV6},{here},icmpv6_type=134,actions=resubmit(,93)"
    yield f"table=71,priority=10,{here},actions=ct_clear,resubmit(,93)"


def _egress_rules(wired: Wired, rules: Iterable[Object], members: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield tables 72 and 73: the security groups' egress rules, and the way on of what they accept."""
    n = wired.ofport
    port, accept = f"reg5={n:#x}", "resubmit(,73)"
    yield from rule_flows.flows(rule_flows.Way("egress", 72, port, wired.vlan, accept, accept), rules, members)
    yield from _tracked(72, wired, "resubmit(,94)")
    for mac in wired.macs:
        local = f"reg6={wired.vlan:#x},dl_dst={mac}"
        yield f"table=73,priority=100,{local},actions=set_field:{n:#x}->reg5,resubmit(,81)"
    for family in ("ip", "ipv6"):
        yield f"table=73,priority=90,ct_state=+new-est,{family},{port},actions={_COMMIT},resubmit(,91)"
    yield f"table=73,priority=80,{port},actions=resubmit(,94)"


def _ingress(wired: Wired, rules: Iterable[Object], members: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield tables 81 and 82: what may enter before conntrack, and the security groups' ingress rules."""
    n = wired.ofport
    port, output = f"reg5={n:#x}", f"output:{n}"
    yield f"table=81,priority=100,arp,{port},actions={output}"
    for kind in _INGRESS:
        yield f"table=81,priority=100,{_ICMPV6},{port},icmpv6_type={kind},actions={output}"
    yield f"table=81,priority=95,udp,{port},tp_src=67,tp_dst=68,actions={output}"
    yield f"table=81,priority=95,udp6,{port},tp_src=547,tp_dst=546,actions={output}"
    for family in ("ip", "ipv6"):
        yield f"table=81,priority=90,ct_state=-trk,{family},{port},actions=ct(table=82,{_TRACK})"
    yield f"table=81,priority=80,ct_state=+trk,{port},actions=resubmit(,82)"
    commit = f"{_COMMIT},{output},resubmit(,92)"
    yield from rule_flows.flows(rule_flows.Way("ingress", 82, port, wired.vlan, output, commit), rules, members)
    yield from _tracked(82, wired, output)


def _tracked(table: int, wired: Wired, accept: str) -> Iterator[str]:
    """Yield what tables 72 and 82 have in common: replies pass, invalid and marked packets do not."""
    port, zone = f"reg5={wired.ofport:#x}", f"ct_zone={wired.vlan},ct_mark=0"
    yield f"table={table},priority=50,ct_state=+inv+trk,actions=resubmit(,93)"
    yield f"table={table},priority=50,ct_mark=0x1,{port},actions=resubmit(,93)"
    for state in ("+est-rel+rpl", "-new-est+rel-inv"):
        yield f"table={table},priority=50,ct_state={state},{zone},{port},actions={accept}"
    yield f"table={table},priority=40,ct_state=-est,{port},actions=resubmit(,93)"
    for family in ("ip", "ipv6"):
        mark = f"ct(commit,{_TRACK},exec(set_field:0x1->ct_mark))"
        yield f"table={table},priority=40,ct_state=+est,{family},{port},actions={mark}"


def _is6(address: str) -> bool:
    return ":" in address
