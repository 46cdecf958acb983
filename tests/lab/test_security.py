"""explain-security in a lab: what the rules say, and what the flows that an agent writes of them do."""

import itertools
import json
import subprocess
import sys
from typing import Any

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.cloud import groups, rules, security
from ovs_pathfinder.evidence import filtered
from ovs_pathfinder.report import environment
from ovs_pathfinder.vswitch import database, datapath
from tests.lab import asking, description, hosts, probing, topology

pytestmark = pytest.mark.lab

REMOTE_GROUP = "aaaaaaaa-0000-4000-8000-00000000000a"
ADDRESS_GROUP = "bbbbbbbb-0000-4000-8000-00000000000b"
OFFICE = {4: "192.168.77.77", 6: "fc00:5896:ff23:44dc::77"}
ABROAD = {4: "10.99.0.5", 6: "2001:db8::5"}
API: dict[str, Any] = {"protocol": "tcp", "destination_port": topology.API_PORT}
TO_GUEST = {"port": topology.GUEST.port, "remote": topology.SOURCE.address6}


def ask(lab: hosts.Lab, key: str, **query: Any) -> asking.Asked:
    found = asking.ask(lab, key, "security", cloud=True, **query)
    assert found.error == "", found.error
    return found


def rule(number: int, direction: str, protocol: str | None, **changes: Any) -> dict[str, Any]:
    """Make a rule of the amphora's group."""
    template = description.build(topology.Shape())["security_group_rules"][0]
    fields = {"id": f"rule-{number}", "security_group_id": topology.AMPHORA_GROUP, "direction": direction}
    return {**template, **fields, "ethertype": "IPv6", "protocol": protocol, **changes}


def replace(lab: hosts.Lab, made: list[dict[str, Any]]) -> None:
    """Give the amphora's group other rules, in the API's answers alone."""
    cloud = lab.description
    kept = [one for one in cloud["security_group_rules"] if one["security_group_id"] != topology.AMPHORA_GROUP]
    cloud["security_group_rules"] = [*kept, *made]
    group = next(one for one in cloud["security_groups"] if one["id"] == topology.AMPHORA_GROUP)
    group["security_group_rules"] = made
    lab.write_description()


def span(low: int, high: int) -> dict[str, int]:
    return {"port_range_min": low, "port_range_max": high}


@pytest.mark.parametrize("key", ["octavia", "compute"])
def test_rules_and_flows_agree_on_a_healthy_path(lab: hosts.Lab, key: str):
    found = ask(lab, key, plan=probing.plan_of(lab, "tcp", topology.API_PORT))

    way = "out" if key == "octavia" else "in"
    assert found.answer["passes"] is True
    assert f"{way} by rule" in found.summary
    flows = [one["flows"] for one in found.answer["checks"] if one["flows"]]
    assert [one["passes"] for one in flows] == [True]
    assert "the flows of this host agree" in " ".join(found.page.split())
    other = "ovs-pathfinder/1" if key == "octavia" else "ovs-pathfinder/0"
    assert f"run this on {other}" in " ".join(found.answer["notes"])


def test_an_agent_that_has_not_followed_a_new_rule_is_found(lab: hosts.Lab):
    replace(lab, [rule(1, "egress", None), rule(2, "ingress", "tcp", **span(1, 65535))])

    found = ask(lab, "compute", **TO_GUEST, protocol="tcp", destination_port=8080)

    assert found.answer["passes"] is True
    assert "; but the flows of this host do not (br-int table 82" in found.summary
    assert "Neutron's rules let it in; the flows of this host do not" in " ".join(found.page.split())
    assert found.summary.endswith("the agent has not followed.")


def test_an_agent_that_has_not_followed_a_deleted_rule_is_found(lab: hosts.Lab):
    replace(lab, [rule(1, "egress", None)])

    found = ask(lab, "compute", **TO_GUEST, **API)

    assert found.answer["passes"] is False
    assert "; but the flows of this host let it in (br-int table 82" in found.summary
    assert "Neutron's rules do not let it in; the flows of this host let it in" in " ".join(found.page.split())


def test_port_security_that_was_turned_off_is_told_from_flows_that_are_not(lab: hosts.Lab):
    lab.port("guest")["port_security_enabled"] = False
    lab.port("guest")["security_groups"] = []
    lab.write_description()

    before = ask(lab, "compute", **TO_GUEST, protocol="tcp", destination_port=8080)
    lab.apply("br-int")
    after = ask(lab, "compute", **TO_GUEST, protocol="tcp", destination_port=8080)

    assert "in unfiltered, as port security is off" in before.summary
    assert "the flows of this host do not" in before.summary
    assert "but" not in after.summary


def test_the_page_fits_a_terminal_and_its_command_lets_the_packet_pass(lab: hosts.Lab):
    found = ask(lab, "compute", **TO_GUEST, protocol="udp", destination_port=53)

    wide = [line for line in found.page.splitlines() if len(line) > environment.WIDTH]
    assert all(" " not in line.strip().rstrip("\\ ") for line in wide), wide
    missing = found.answer["checks"][-1]["verdict"]["missing"].split()
    words = dict(itertools.pairwise(missing))
    made = rule(9, "ingress", words["--protocol"], **span(53, 53), remote_ip_prefix=words["--remote-ip"])
    assert missing[-1] == topology.AMPHORA_GROUP
    replace(lab, [made])
    assert ask(lab, "compute", **TO_GUEST, protocol="udp", destination_port=53).answer["passes"] is True


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"port": "fc00::dead", "remote": "fc00::5"}, "Neutron knows no port with the address fc00::dead"),
        ({"port": "$(reboot)", "remote": "fc00::5"}, "Neutron knows no port with the name '$(reboot)'"),
        ({"run": "20260101t000000-abcdef"}, "there is no plan of run"),
    ],
)
def test_what_nobody_has_is_said_in_one_sentence(lab: hosts.Lab, query: dict[str, Any], said: str):
    found = asking.ask(lab, "octavia", "security", cloud=True, **query)

    assert said in found.error
    assert "\n" not in found.error


NETWORKS = {
    4: ("192.168.77.0/24", "0.0.0.0/0", "10.99.0.0/16"),
    6: ("fc00:5896:ff23:44dc::/64", "::/0", "2001:db8::/32"),
}
ICMP = {4: (8, 0), 6: (128, 129)}
"""Types of an echo request and its reply."""


def rule_sets(family: topology.IpVersion) -> dict[str, list[dict[str, Any]]]:
    """Return sets of rules for one family; one rule is for the other."""
    near, everywhere, abroad = NETWORKS[family]
    request, answer = ICMP[family]
    number = "58" if family == 6 else "1"

    def own(number: int, direction: str, protocol: str | None, **changes: Any) -> dict[str, Any]:
        return rule(number, direction, protocol, **{"ethertype": f"IPv{family}", **changes})

    health = {"remote_group_id": topology.HEALTH_GROUP}
    offices = {"remote_address_group_id": ADDRESS_GROUP}
    return {
        "none": [],
        "everything": [own(1, "egress", None), own(2, "ingress", None)],
        "other family": [own(1, "ingress", None, ethertype=f"IPv{10 - family}"), own(2, "egress", "tcp")],
        "ranges": [own(1, "ingress", "tcp", **span(7000, 9500)), own(2, "egress", "udp", **span(1, 1023))],
        "numbers": [own(1, "ingress", "6", **span(22, 22)), own(2, "ingress", number), own(3, "egress", "89")],
        "icmp": [own(1, "ingress", "icmp"), own(2, "egress", "icmp", **span(request, 0))],
        "types": [
            own(1, "ingress", "icmp", port_range_min=answer, port_range_max=None),
            own(2, "egress", "icmp", port_range_min=3, port_range_max=None),
        ],
        "prefixes": [
            own(1, "ingress", "tcp", remote_ip_prefix=near),
            own(2, "ingress", "udp", remote_ip_prefix=everywhere),
            own(3, "egress", None, remote_ip_prefix=abroad),
        ],
        "a remote group": [own(1, "ingress", "tcp", **health), own(2, "egress", None, **health)],
        "remote groups": [
            own(1, "ingress", "tcp", **health, **span(9000, 9999)),
            own(2, "ingress", "udp", remote_group_id=REMOTE_GROUP),
            own(3, "ingress", "icmp", **health, port_range_min=request, port_range_max=None),
        ],
        "an address group": [own(1, "ingress", None, **offices), own(2, "egress", "tcp", **offices, **span(443, 443))],
    }


Case = tuple[security.Way, str, str, int]


def grid(family: topology.IpVersion) -> list[Case]:
    """Return the packets that are tried: direction, the other end, protocol, and port or ICMP type."""
    ways: tuple[security.Way, ...] = ("ingress", "egress")
    remotes = (topology.SOURCE.address(family), OFFICE[family], ABROAD[family])
    services = [("tcp", 22), ("tcp", 443), ("tcp", 9443), ("udp", 53), ("udp", 5555), ("89", 0)]
    sent = [*services, *(("icmp", type_) for type_ in ICMP[family])]
    return [(way, remote, name, detail) for way, remote, (name, detail) in itertools.product(ways, remotes, sent)]


def packet(case: Case) -> rules.Packet:
    way, remote, protocol, detail = case
    family = 6 if ":" in remote else 4
    own, number = topology.GUEST.address(family), rules.number(protocol, family)
    assert number is not None
    has_ports, is_icmp = number in (6, 17), number in (1, 58)
    return rules.Packet(
        source_mac=topology.GUEST.mac if way == "egress" else topology.SOURCE.mac,
        source=own if way == "egress" else remote,
        destination=remote if way == "egress" else own,
        protocol=number,
        source_port=40000 if has_ports else None,
        destination_port=detail if has_ports else None,
        icmp_type=detail if is_icmp else None,
        icmp_code=0 if is_icmp else None,
    )


def judged(lab: hosts.Lab, family: topology.IpVersion) -> list[bool | None]:
    """Evaluate the rules for each packet of the grid."""
    cloud = lab.description
    raw = lab.port("guest")
    port = path.Port(
        id=raw["id"],
        name=raw["name"],
        mac=raw["mac_address"],
        addresses=tuple(one["ip_address"] for one in raw["fixed_ips"]),
        security_groups=(path.SecurityGroup(id=topology.AMPHORA_GROUP, name="lb-mgmt-sec-grp"),),
    )
    group = next(one for one in cloud["security_groups"] if one["id"] == topology.AMPHORA_GROUP)
    known = [groups.Group.model_validate(group)]
    judges = {"egress": security.egress, "ingress": security.ingress}
    members = description.members(cloud)
    return [judges[case[0]](port, packet(case), known, members).passes for case in grid(family)]


def traced(family: topology.IpVersion) -> list[bool | None]:
    """Trace each packet of the grid on the host that this runs on."""
    switch, ports = database.read(), datapath.read_ports()
    interface = switch.port_of(topology.GUEST.port)
    assert interface is not None
    found: list[bool | None] = []
    for case in grid(family):
        if case[0] == "egress":
            found.append(filtered.egress(interface, packet(case), topology.SOURCE.mac).passes)
        else:
            found.append(filtered.ingress(interface, packet(case), topology.GUEST.mac, switch, ports).passes)
    return found


@pytest.mark.parametrize("family", [4, 6])
def test_the_evaluation_agrees_with_what_the_flows_of_the_same_rules_do(lab: hosts.Lab, family: topology.IpVersion):
    networks = ["2001:db8::/64", "10.99.0.0/24"]
    lab.description["address_groups"] = [{"id": ADDRESS_GROUP, "name": "offices", "addresses": networks}]
    fixed = [{"subnet_id": topology.SUBNET6, "ip_address": one} for one in OFFICE.values()]
    another = {
        "id": "another",
        "mac_address": "fa:16:3e:00:00:77",
        "security_groups": [REMOTE_GROUP],
        "fixed_ips": fixed,
    }
    lab.description["ports"].append({**lab.port("guest"), **another})
    program = f"import json; from tests.lab import test_security; print(json.dumps(test_security.traced({family})))"
    environment = {"PYTHONPATH": "lib:src:.", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **lab.destination.env}
    passed: list[int] = []
    for name, made in rule_sets(family).items():
        replace(lab, made)
        lab.apply("br-int")

        done = subprocess.run(
            [*lab.destination.enter, sys.executable, "-c", program],
            capture_output=True, text=True, check=True, cwd=hosts.CHECKOUT, env=environment, timeout=120,
        )  # fmt: skip

        by_rules = judged(lab, family)
        both = zip(grid(family), by_rules, json.loads(done.stdout), strict=True)
        assert [case for case in both if case[1] != case[2]] == [], name
        passed.append(by_rules.count(True))
    assert passed[:2] == [0, len(grid(family))]
    assert all(0 < count < len(grid(family)) for count in passed[2:]), passed
