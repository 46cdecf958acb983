"""explain-security of a small cloud, asked for over HTTP; the flows have their tests in the lab."""

import dataclasses
from typing import Any

import pydantic
import pytest

from ovs_pathfinder import errors, path
from ovs_pathfinder.evidence import filtered
from ovs_pathfinder.inspection import context, security
from ovs_pathfinder.report import view
from ovs_pathfinder.vswitch import trace
from tests.unit import recorded
from tests.unit.cloud import sky
from tests.unit.inspection import asking

PORT = {"port": sky.GUEST_PORT, "remote": sky.OHM_ADDRESS}
TCP = {"protocol": "tcp", "destination-port": 9443}
REMOTE = "33333333-0000-4000-8000-000000000003"
ADDRESS_GROUP = "44444444-0000-4000-8000-000000000004"
STRANGER = "fc00:5896:ff23:44dc::77"
LONGEST = 80


def rule(identifier: str, group: str, direction: str, protocol: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return a rule as the API prints it."""
    return {
        "id": identifier,
        "security_group_id": group,
        "direction": direction,
        "ethertype": "IPv6",
        "protocol": protocol,
        "port_range_min": None,
        "port_range_max": None,
        "remote_ip_prefix": None,
        "remote_group_id": None,
        "remote_address_group_id": None,
        "normalized_cidr": None,
        **changes,
    }


def group(identifier: str, name: str, *rules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": identifier, "name": name, "stateful": True, "security_group_rules": list(rules), **changes}


def ports(number: int) -> dict[str, Any]:
    return {"port_range_min": number, "port_range_max": number}


@pytest.fixture(autouse=True)
def rules(clouds: sky.Sky) -> None:
    """Let the amphora's agent be reached, by all."""
    clouds.content["security_groups"] = [
        group(sky.HEALTH_GROUP, "lb-health-mgr-sec-grp", rule("out", sky.HEALTH_GROUP, "egress")),
        group(
            sky.MANAGEMENT_GROUP,
            "lb-mgmt-sec-grp",
            rule("api", sky.MANAGEMENT_GROUP, "ingress", "tcp", **ports(9443)),
            rule("ping", sky.MANAGEMENT_GROUP, "ingress", "ipv6-icmp"),
            rule("all-out", sky.MANAGEMENT_GROUP, "egress"),
        ),
    ]


def context_of(clouds: sky.Sky | None, plan: path.Plan | None = None) -> context.Context:
    def planned(run: str) -> path.Plan:
        if plan is None or plan.run != run:
            raise errors.PathfinderError(f"there is no plan of run {run}")
        return plan

    return dataclasses.replace(asking.context_of(clouds), plan=planned)


def ask(clouds: sky.Sky, **query: Any) -> security.Answer:
    return security.run(security.Query.model_validate({**PORT, **query}), context_of(clouds))


def change(clouds: sky.Sky, number: int, **changes: Any) -> None:
    """Change one of the management group's rules."""
    clouds.content["security_groups"][1]["security_group_rules"][number] |= changes


def test_a_packet_passes_by_a_rule_at_either_end_and_its_answer_by_conntrack(clouds: sky.Sky) -> None:
    found = ask(clouds, **TCP)

    assert found.passes is True
    assert found.summary == (
        f"tcp 9443 from {sky.OHM_ADDRESS} to {sky.GUEST_ADDRESS} passes: out by rule out of lb-health-mgr-sec-grp "
        f"({sky.HEALTH_GROUP}) (egress IPv6 any protocol to anywhere), in by rule api of lb-mgmt-sec-grp "
        f"({sky.MANAGEMENT_GROUP}) (ingress IPv6 tcp 9443 from anywhere); its answer by conntrack, as the request did."
    )
    assert [(one.what, one.way, one.port_id) for one in found.checks] == [
        ("request", "out", sky.OHM_PORT),
        ("request", "in", sky.GUEST_PORT),
        ("reply", "out", sky.GUEST_PORT),
        ("reply", "in", sky.OHM_PORT),
    ]


def test_the_missing_rule_comes_as_a_command_with_those_that_nearly_match(clouds: sky.Sky) -> None:
    found = ask(clouds, protocol="tcp", **{"destination-port": 22})

    assert found.passes is False
    assert f"is dropped on the way into {sky.GUEST_NAME}, as no ingress rule of lb-mgmt-sec-grp" in found.summary
    stopped = found.checks[-1].verdict
    assert [one.id for one in stopped.near] == ["api", "ping"]
    assert stopped.missing == (
        "openstack security group rule create --ingress --ethertype IPv6 --protocol tcp --dst-port 22 "
        f"--remote-ip {sky.OHM_ADDRESS}/128 {sky.MANAGEMENT_GROUP}"
    )
    page = view.view(found)["report"]
    assert "it is for port 9443" in page
    assert "what would let it pass:" in page


def test_a_plan_of_a_run_is_asked_for_as_it_is_now(clouds: sky.Sky) -> None:
    plan = clouds.plan(protocol="tcp", port=9443)
    clouds.port(sky.GUEST_PORT)["security_groups"] = []

    query = security.Query.model_validate({"run": plan.run})
    found = security.run(query, context_of(clouds, plan))

    assert found.subject == f"tcp 9443 from {sky.OHM_ADDRESS} to {sky.GUEST_ADDRESS}"
    assert found.checks[-1].verdict.kind == "no-group"


@pytest.mark.parametrize(
    ("query", "most"),
    [
        ({"run": sky.RUN}, ["ports", "security-groups"]),
        ({**PORT, **TCP}, ["ports", "ports", "security-groups"]),
        ({**PORT, **TCP, "remote": STRANGER}, ["ports", "ports", "security-groups"]),
    ],
)
def test_few_requests_are_sent_each_filtered_by_the_server(
    clouds: sky.Sky, query: dict[str, Any], most: list[str]
) -> None:
    plan = clouds.plan(protocol="tcp", port=9443)

    security.run(security.Query.model_validate(query), context_of(clouds, plan))

    asked = asking.requests(clouds)
    assert [one.rpartition("/")[2] for one in asked] == most
    queries = [one["query"] for one in clouds.stand_in.requests if "network" in one["path"]]
    assert all("id=" in one or "fixed_ips=" in one for one in queries)
    assert all("fields=" in one for one in queries)


def test_a_member_of_a_remote_group_that_is_the_other_end_needs_no_request(clouds: sky.Sky) -> None:
    change(clouds, 0, remote_group_id=sky.HEALTH_GROUP)

    found = ask(clouds, **TCP)

    assert found.passes is True
    assert len(asking.requests(clouds)) == 3


@pytest.mark.parametrize(
    ("pairs", "fixed", "passes", "count"),
    [
        ([], [STRANGER], True, 3),  # whoever has the address is looked up in any case
        ([{"mac_address": "fa:16:3e:00:00:07", "ip_address": "fc00:5896:ff23:44dc::70/124"}], [], True, 5),
        ([{"mac_address": "fa:16:3e:00:00:07", "ip_address": "fc00:5896:ff23:44dc::78"}], [], False, 5),
    ],
)
def test_a_remote_group_has_the_addresses_and_pairs_of_its_members(
    clouds: sky.Sky, pairs: list[dict[str, str]], fixed: list[str], passes: bool, count: int
) -> None:
    change(clouds, 0, remote_group_id=REMOTE)
    member = sky.port(
        "55555555-0000-4000-8000-000000000005",
        network_id=sky.PRIVATE,
        security_groups=[REMOTE],
        fixed_ips=[sky.fixed(one) for one in fixed] or [sky.fixed("10.0.0.5")],
        allowed_address_pairs=pairs,
        port_security_enabled=False,
    )
    clouds.content["ports"].append(member)
    query = {**TCP, "remote": STRANGER}

    found = ask(clouds, **query)

    assert found.passes == passes
    assert len(asking.requests(clouds)) == count
    if not passes:
        assert f"it is for the group {REMOTE}, which does not have {STRANGER}" in view.view(found)["report"].replace(
            "\n    ", " "
        )


@pytest.mark.parametrize(("addresses", "passes"), [(["fc00::/8"], True), (["10.0.0.0/8"], False), (None, None)])
def test_a_remote_address_group_has_its_networks(
    clouds: sky.Sky, addresses: list[str] | None, passes: bool | None
) -> None:
    change(clouds, 0, remote_address_group_id=ADDRESS_GROUP)
    if addresses is not None:
        clouds.content["address_groups"] = [{"id": ADDRESS_GROUP, "name": "offices", "addresses": addresses}]

    found = ask(clouds, **TCP)

    assert found.passes is passes
    assert asking.requests(clouds)[-1].endswith("/address-groups")


def test_a_group_of_another_project_that_is_not_shown_leaves_the_answer_open(clouds: sky.Sky) -> None:
    del clouds.content["security_groups"][1]

    found = ask(clouds, **TCP)

    assert found.passes is None
    assert found.summary == (
        f"Whether tcp 9443 from {sky.OHM_ADDRESS} to {sky.GUEST_ADDRESS} passes cannot be told, as security group "
        f"{sky.MANAGEMENT_GROUP} is not shown to these credentials."
    )


def test_answers_need_a_rule_where_a_group_is_stateless(clouds: sky.Sky) -> None:
    clouds.content["security_groups"][0]["stateful"] = False

    found = ask(clouds, **TCP)

    assert found.passes is False
    assert found.summary.startswith("The answer to tcp 9443")
    assert "is stateless, so answers need a rule of their own" in found.notes[0]


def test_the_other_end_may_be_no_port_at_all(clouds: sky.Sky) -> None:
    found = ask(clouds, **TCP, remote=STRANGER)

    assert [one.way for one in found.checks] == ["in", "out"]
    assert (
        found.notes[0]
        == f"Neutron knows no port with the address {STRANGER}: only port {sky.GUEST_PORT} was looked at."
    )


def test_a_port_can_be_looked_at_from_the_other_side(clouds: sky.Sky) -> None:
    found = ask(clouds, direction="egress", **TCP)

    assert found.subject == f"tcp 9443 from {sky.GUEST_ADDRESS} to {sky.OHM_ADDRESS}"
    assert "no ingress rule of lb-health-mgr-sec-grp" in found.summary


@pytest.mark.parametrize("name", [sky.GUEST_PORT, sky.GUEST_NAME, sky.GUEST_ADDRESS])
def test_a_port_is_named_by_id_name_or_address(clouds: sky.Sky, name: str) -> None:
    assert ask(clouds, port=name).checks[1].port_id == sky.GUEST_PORT


def test_a_spoofed_address_is_not_let_out(clouds: sky.Sky) -> None:
    found = ask(clouds, direction="egress", address=STRANGER)

    assert found.checks[0].verdict.kind == "spoofed"
    assert "is neither an address of port" in found.summary


def test_a_port_with_the_same_address_on_another_network_is_told(clouds: sky.Sky) -> None:
    far = sky.port("66666666-0000-4000-8000-000000000006", network_id=sky.PRIVATE, fixed_ips=[sky.fixed(STRANGER)])
    clouds.content["ports"].append(far)

    found = ask(clouds, **TCP, remote=STRANGER)

    assert found.notes[0] == f"{STRANGER} is on another network, {sky.PRIVATE}: its packets take a router."
    assert found.checks[0].verdict.kind == "no-group"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nobody's port": ({"port": "fc00::dead"}, "Neutron knows no port with the address fc00::dead"),
    "a name that nobody has": ({"port": "a;reboot"}, "Neutron knows no port with the name 'a;reboot'"),
    "two versions": ({"remote": "10.0.0.5"}, "has no IPv4 address to go with 10.0.0.5"),
    "two versions by address": ({"address": "10.0.0.1"}, "are of two IP versions"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_neutron_does_not_have_is_said_in_one_sentence(clouds: sky.Sky, name: str) -> None:
    query, said = BAD[name]

    with pytest.raises(errors.PathfinderError) as raised:
        ask(clouds, **query)

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_ambiguous_port_is_refused(clouds: sky.Sky) -> None:
    twin = sky.port("77777777-0000-4000-8000-000000000007", name=sky.GUEST_NAME)
    clouds.content["ports"].append(twin)

    with pytest.raises(errors.PathfinderError, match=r"is ambiguous: port .* name one by its id"):
        ask(clouds, port=sky.GUEST_NAME)


def test_a_port_of_a_run_that_is_gone_says_to_plan_again(clouds: sky.Sky) -> None:
    plan = clouds.plan()
    clouds.content["ports"] = [one for one in clouds.content["ports"] if one["id"] != sky.GUEST_PORT]

    with pytest.raises(errors.PathfinderError, match="plan the path again with plan-path"):
        security.run(security.Query.model_validate({"run": plan.run}), context_of(clouds, plan))


@pytest.mark.parametrize("query", [{"run": "20260101t000000-abcdef"}, PORT])
def test_an_unknown_run_or_a_cloud_without_credentials_is_an_error(query: dict[str, Any]) -> None:
    with pytest.raises(errors.PathfinderError, match=r"there is no plan of run|there are no credentials"):
        security.run(security.Query.model_validate(query), context_of(None))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({"port": "", "remote": ""}, "give either run, or port"),
    "both": ({"run": "r"}, "give either run, or port"),
    "no other end": ({"remote": ""}, "port needs remote as well"),
    "no destination port": ({"protocol": "tcp"}, "the protocol tcp needs destination-port"),
    "a number beyond protocols": ({"protocol": "256"}, "end at 255"),
    "no protocol": ({"protocol": "quic"}, "it is no protocol that Neutron knows"),
    "any protocol": ({"protocol": "any"}, "it is no protocol that Neutron knows"),
    "a port beyond ports": ({"protocol": "tcp", "destination-port": 70000}, "less than or equal to 65535"),
    "an address that is none": ({"remote": "fc00::5; reboot"}, "it is no IP address"),
    "a type beyond octets": ({"icmp-type": 256}, "less than or equal to 255"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_question_that_makes_no_sense_is_refused(name: str) -> None:
    query, said = REFUSED[name]

    with pytest.raises(pydantic.ValidationError, match=said):
        security.Query.model_validate({**PORT, **query})


JUDGED = {
    "octavia.trace.icmp6-echo-request.txt": ("egress", True, 72),
    "octavia.trace.icmp6-antispoof-drop-mac.txt": ("egress", False, 71),
    "octavia.trace.icmp6-ct-next-inv.txt": ("egress", False, 72),
    "octavia.trace.ns-multicast.txt": ("egress", True, 71),
    "compute.trace.from-tunnel-tcp-9443.txt": ("ingress", True, 82),
    "compute.trace.from-tunnel-tcp-8080-no-rule-drop.txt": ("ingress", False, 82),
}


@pytest.mark.parametrize("name", JUDGED)
def test_recorded_traces_say_whether_the_firewall_lets_it_pass(name: str) -> None:
    way, passes, table = JUDGED[name]
    text = recorded.text(f"healthy-gre-l2pop/{name}")

    found = filtered.judge(trace.parse(text), "egress" if way == "egress" else "ingress", "5")

    assert found.passes == passes
    assert found.where.startswith(f"br-int table {table} (")


def test_a_translation_that_was_given_up_tells_nothing() -> None:
    found = filtered.judge(trace.parse(recorded.text("versions/2.16.0.trace.tracked.txt")), "egress", "")

    assert (found.passes, found.where) == (None, "the trace ends with: Recursion too deep")


def test_only_words_that_cannot_be_broken_are_wider_than_a_terminal(clouds: sky.Sky) -> None:
    pages = [view.view(ask(clouds, **TCP))["report"], view.view(ask(clouds, direction="egress", **TCP))["report"]]

    wide = [line for page in pages for line in page.splitlines() if len(line) > LONGEST]
    assert all(" " not in line.strip().rstrip("\\ ") for line in wide), wide
