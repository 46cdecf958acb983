"""The computed flow tables are those that real agents installed."""

import pathlib
import re
from typing import Any

import pytest

from tests.lab import agent, description, hosts, topology

RECORDED = pathlib.Path(__file__).parent / "recorded"
STATISTICS = re.compile(r"\b(cookie|duration|n_packets|n_bytes|idle_age|hard_age)=[^, ]+,? ?|\breset_counts ")
VOLATILE = "hard_timeout=300, priority=1"
"""Learned flows come and go."""


def normal(text: str) -> set[str]:
    """Return the flows of a dump without cookies, counters and what was learned."""
    flows = {STATISTICS.sub("", line.strip()) for line in text.splitlines() if "table=" in line}
    return {re.sub(r",\s+", ",", flow) for flow in flows if VOLATILE not in flow}


def from_source(text: str) -> set[str]:
    """Return computed flows in the form that a dump has."""
    lines = text.replace("reset_counts,", "").replace("icmpv6_type", "icmp_type").splitlines()
    return normal("\n".join(line.replace(",actions=", " actions=") for line in lines))


def only6(ports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the ports with their IPv6 addresses alone, as in the recorded clouds that had no IPv4."""
    return [{**port, "fixed_ips": [each for each in port["fixed_ips"] if ":" in each["ip_address"]]} for port in ports]


def wired(ports: list[dict[str, Any]], interfaces: tuple[topology.Interface, ...]) -> list[agent.Wired]:
    by_id = {port["id"]: port for port in ports}
    return [agent.Wired(by_id[each.port], n, 1, each.link_local) for n, each in enumerate(interfaces, start=2)]


@pytest.mark.parametrize("site", topology.SITES, ids=lambda site: site.key)
def test_br_int_is_what_a_real_agent_installed(site: topology.Site):
    shape = topology.Shape(guests=2)
    cloud = description.build(shape)
    rules = [each for each in cloud["security_group_rules"] if each["ethertype"] == "IPv6" or _any(each)]
    ports = wired(only6(cloud["ports"]), shape.plugged(site))

    computed = from_source(agent.br_int(ports, rules, 1))

    assert computed == normal((RECORDED / f"healthy-gre-l2pop.{site.key}.br-int.of13.txt").read_text())


def _any(rule: dict[str, Any]) -> bool:
    """Say whether it is one of the egress rules that every group starts with."""
    return rule["protocol"] is None


@pytest.mark.parametrize("site", topology.SITES, ids=lambda site: site.key)
def test_br_tun_is_what_a_real_agent_installed(site: topology.Site):
    other = next(each for each in topology.SITES if each is not site)
    macs = tuple(each.mac for each in topology.Shape(guests=2).plugged(other))
    remotes = [agent.Remote(2, macs)]

    computed = agent.br_tun("gre", topology.SEGMENT, 1, remotes, 1, l2population=True)

    recorded = (RECORDED / f"healthy-gre-l2pop.{site.key}.br-tun.of13.txt").read_text()
    learn = re.compile("cookie=0x[0-9a-f]+,NXM")
    assert from_source(computed) == normal(learn.sub("NXM", recorded))


@pytest.mark.lab
@pytest.mark.parametrize("key", ["octavia", "compute"])
def test_installed_tables_of_a_dual_stack_cloud_are_the_recorded_ones(lab: hosts.Lab, key: str):
    installed = normal(lab.hosts[key].run("ovs-ofctl", "dump-flows", "br-int").stdout)

    assert installed == normal((RECORDED / f"healthy-gre-3computes-v4.{key}.br-int.txt").read_text())


@pytest.mark.lab
def test_installed_tunnel_table_without_l2population_is_the_recorded_one(lab_support: None):
    with hosts.Lab.start(tunnel="vxlan", l2population=False, cloud=False) as lab:
        for key, host in lab.hosts.items():
            installed = host.run("ovs-ofctl", "dump-flows", "br-tun").stdout
            recorded = (RECORDED / f"healthy-vxlan-no-l2pop.{key}.br-tun.txt").read_text()
            assert normal(installed) == normal(recorded.replace("0x6d9", "0x2f1"))


def test_port_without_port_security_skips_the_security_groups():
    port = {**description.build(topology.Shape())["ports"][0], "port_security_enabled": False}

    text = agent.br_int([agent.Wired(port, 2, 1, topology.SOURCE.link_local)], [], 1)

    mine = [line for line in text.splitlines() if "in_port=2" in line or "reg5=0x2" in line]
    assert mine == [
        "cookie=0x1,table=60,priority=100,in_port=2,actions=set_field:0x2->reg5,set_field:0x1->reg6,resubmit(,73)",
        "cookie=0x1,table=73,priority=80,reg5=0x2,actions=resubmit(,94)",
    ]


def rule(**changes: Any) -> dict[str, Any]:
    group = {"security_group_id": topology.HEALTH_GROUP, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
    return {**description.build(topology.Shape())["security_group_rules"][0], **group, **changes}


def of_table(table: int, priority: int, rules: list[dict[str, Any]], members: dict[str, list[str]]) -> list[str]:
    port = agent.Wired(description.build(topology.Shape())["ports"][0], 2, 1, topology.SOURCE.link_local)
    text = agent.br_int([port], rules, 1, members)
    start = f"cookie=0x1,table={table},priority={priority},"
    return [line.removeprefix(start) for line in text.splitlines() if line.startswith(start)]


def test_port_range_becomes_blocks_that_a_mask_matches():
    found = of_table(82, 77, [rule(port_range_min=1000, port_range_max=1005)], {})

    ports = [port for line in found for port in re.findall(r"tp_dst=([^,]+)", line)]
    assert ports == ["0x3e8/0xfffc"] * 2 + ["0x3ec/0xfffe"] * 2


def test_rule_for_a_remote_group_becomes_a_conjunction():
    found = of_table(82, 73, [rule(port_range_min=80, port_range_max=80, remote_group_id="g")], {"g": ["10.0.0.5"]})

    new = [line.removeprefix("ct_state=+new-est,") for line in found if line.startswith("ct_state=+new-est,")]
    assert sorted(new) == [
        "conj_id=10015,ip,reg5=0x2,actions=set_field:0x271f->reg7,ct(commit,zone=NXM_NX_REG6[0..15]),output:2,resubmit(,92)",
        "ip,reg6=0x1,nw_src=10.0.0.5/32,actions=conjunction(10015,1/2)",
        "tcp,reg5=0x2,tp_dst=80,actions=conjunction(10015,2/2)",
    ]
