import functools
from typing import Any

import pydantic
import pytest

from ovs_pathfinder import path
from ovs_pathfinder.evidence import host
from ovs_pathfinder.inspection import agents, tunnel_faults, tunnels
from ovs_pathfinder.report import view
from ovs_pathfinder.vswitch import database, tunnel
from tests.unit import recorded
from tests.unit.cloud import sky
from tests.unit.inspection import asking

THIRD = path.Unit(
    name="ovs-pathfinder/2", principal="nova-compute/1", hostnames=("third.example",), tunnel_address="172.20.0.244"
)


@functools.cache
def switch(folder: str = "healthy-gre-3computes-v4/octavia") -> database.Switch:
    """Return a recorded switch."""
    names = ("Open_vSwitch", "Bridge", "Port", "Interface")
    return database.parse("".join(recorded.text(f"{folder}.list-{name}.json").strip() + "\n" for name in names))


@pytest.fixture(autouse=True)
def octavias_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on the host whose switch was recorded, with the underlay that it had; ovs-vswitchd does not answer."""
    link = host.Link(name="br-phy", addresses=("172.20.0.139",), mtu=1500, up=True, carrier=True)

    def routes(wanted: Any) -> dict[tuple[str, str], host.Route]:
        return {pair: host.Route(device="br-phy", source="172.20.0.139") for pair in wanted}

    def neighbours() -> dict[tuple[str, str], host.Neighbour]:
        return {("172.20.0.209", "br-phy"): host.Neighbour(state="REACHABLE", mac="52:54:00:00:00:d1")}

    monkeypatch.setenv("OVS_RUNDIR", "/nonexistent")
    monkeypatch.setattr(database, "read", switch)
    monkeypatch.setattr(host, "links", lambda: (link,))
    monkeypatch.setattr(host, "routes", routes)
    monkeypatch.setattr(host, "neighbours", neighbours)


def show(clouds: sky.Sky | None, units: tuple[path.Unit, ...] = (*sky.UNITS, THIRD), **query: Any) -> tunnels.Answer:
    return tunnels.run(tunnels.Query.model_validate(query), asking.context_of(clouds, units))


def spoilt(name: str, **changes: Any) -> database.Switch:
    """Return the recorded switch with another state of one tunnel."""
    kept = [one for one in switch().interfaces if one.name != name]
    (one,) = (one for one in switch().interfaces if one.name == name)
    options = {**one.options, **changes.pop("options", {})}
    return switch().model_copy(update={"interfaces": (*kept, one.model_copy(update={"options": options, **changes}))})


def test_a_recorded_host_has_its_tunnels_and_their_far_ends(clouds: sky.Sky) -> None:
    answer = show(clouds)

    assert [(one.name, one.remote_address, one.remote_unit) for one in answer.tunnels] == [
        ("gre-ac1400d1", "172.20.0.209", "ovs-pathfinder/1"),
        ("gre-ac1400f4", "172.20.0.244", "ovs-pathfinder/2"),
    ]
    first = answer.tunnels[0]
    assert (first.up, first.ofport, first.key, first.inner_mtu) == (True, 2, "flow", 1458)
    assert (first.device, first.neighbour, first.agent_alive) == ("br-phy", "REACHABLE", True)
    assert first.counters.tx_packets > 0
    assert all(one.problems == () for one in answer.tunnels)
    assert answer.summary == "2 gre tunnels: nothing wrong can be seen from this end."
    assert answer.l2population is True


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"options": {"remote_ip": "172.20.0.210"}}, "Neutron's agent would call it gre-ac1400d2."),
        ({"options": {"remote_ip": "172.20.0.210"}}, "No unit and no agent of Neutron's has the address 172.20.0.210"),
        ({"options": {"remote_ip": "172.20.0.244"}}, "gre-ac1400f4 leads to 172.20.0.244 too: only one of them can"),
        ({"options": {"remote_ip": "172.20.0.139"}}, "Its remote address 172.20.0.139 is this host's own."),
        ({"options": {"local_ip": "172.20.0.1"}}, "No device of this host has its local address 172.20.0.1."),
        ({"options": {"local_ip": "172.20.0.1"}}, "but the agent here told Neutron 172.20.0.139."),
        ({"ofport": -1, "error": "could not add (File exists)"}, "(ofport -1): could not add (File exists)."),
        ({"ofport": None}, "ovs-vswitchd has not taken it up"),
        ({"link_state": "down", "status": {"tunnel_egress_iface": "br-phy"}}, "so is its underlay device br-phy."),
        ({"bfd": {"enable": "true"}, "bfd_status": {"state": "down", "diagnostic": "No Diagnostic"}}, "state down"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_tunnel_is_said(
    clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], problem: str
) -> None:
    broken = spoilt("gre-ac1400d1", **changes)
    monkeypatch.setattr(database, "read", lambda: broken)

    answer = show(clouds)

    (found,) = (one for one in answer.tunnels if one.name == "gre-ac1400d1")
    assert problem in " ".join(found.problems)
    assert answer.tunnels[0].problems
    assert "gre-ac1400d1" in answer.summary


def without(name: str) -> database.Switch:
    return switch().model_copy(update={"interfaces": tuple(one for one in switch().interfaces if one.name != name)})


def test_with_l2population_a_tunnel_is_missing_only_where_a_network_is_shared(
    clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch
) -> None:
    ohm = next(one.external_ids["iface-id"] for one in switch().interfaces if one.name == "o-hm0")
    clouds.port(sky.OHM_PORT)["id"] = ohm
    clouds.content["agents"].append(sky.agent("elsewhere.example", "172.20.0.99"))
    monkeypatch.setattr(database, "read", lambda: without("gre-ac1400d1"))

    answer = show(clouds)

    (missing,) = answer.missing
    assert (missing.address, missing.unit) == ("172.20.0.209", "ovs-pathfinder/1")
    assert "both hosts have ports on one network" in missing.why
    assert answer.summary == "1 gre tunnel: 1 is missing."
    assert len(asking.requests(clouds)) == 4


def test_ports_of_networks_without_tunnels_need_none(clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    ohm = next(one.external_ids["iface-id"] for one in switch().interfaces if one.name == "o-hm0")
    clouds.port(sky.OHM_PORT)["id"] = ohm
    clouds.content["networks"][0]["provider:network_type"] = "vlan"
    monkeypatch.setattr(database, "read", lambda: without("gre-ac1400d1"))

    assert show(clouds).missing == ()


def test_without_l2population_every_living_agent_needs_a_tunnel(clouds: sky.Sky) -> None:
    for agent in clouds.content["agents"]:
        agent["configurations"]["l2_population"] = False
    clouds.content["agents"].append(sky.agent("elsewhere.example", "172.20.0.99"))
    clouds.content["agents"].append(sky.agent("dead.example", "172.20.0.98", alive=False))

    assert [one.address for one in show(clouds).missing] == ["172.20.0.99"]


def test_nobody_is_accused_where_neutron_was_not_asked() -> None:
    answer = show(None, units=sky.UNITS)

    assert [one.problems for one in answer.tunnels] == [(), ()]
    assert (answer.missing, answer.l2population) == ((), None)
    assert "Neutron was not asked" in answer.notes[0]


def test_counters_of_the_database_stand_in_where_the_switch_does_not_answer(clouds: sky.Sky) -> None:
    answer = show(clouds)

    assert answer.tunnels[0].counters.rx_packets == switch().tunnels("gre")[0].statistics["rx_packets"]
    assert "may be old" in " ".join(answer.notes)


@pytest.mark.parametrize(
    ("counters", "hint"),
    [({"tx_packets": 7}, "Ever 7 packets sent, and none received."), ({"rx_packets": 7}, "Ever 7 packets received,")],
)
def test_packets_of_one_way_are_a_hint(
    clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch, counters: dict[str, int], hint: str
) -> None:
    broken = spoilt("gre-ac1400d1", statistics=counters)
    monkeypatch.setattr(database, "read", lambda: broken)

    answer = show(clouds)

    assert answer.tunnels[0].hints[0].startswith(hint)
    assert answer.next == ("juju run ovs-pathfinder/1 show-tunnels",)


def test_a_silent_agent_is_a_hint(clouds: sky.Sky) -> None:
    clouds.content["agents"][1]["alive"] = False

    assert "does not report to Neutron" in show(clouds).tunnels[0].hints[0]


@pytest.mark.parametrize(
    ("route", "device", "neighbour", "problem"),
    [
        (None, None, host.Neighbour(), "no route to 10.0.0.1"),
        (host.Route(device="eth0"), host.Link(name="eth0", up=True), host.Neighbour(), "eth0 is without carrier"),
        (host.Route(device="eth0"), host.Link(name="eth0"), host.Neighbour(), "eth0 is switched off"),
        (
            host.Route(device="eth0", gateway="10.0.9.1"),
            host.Link(name="eth0", up=True, carrier=True),
            host.Neighbour(state="FAILED"),
            "The next hop 10.0.9.1 does not answer on eth0: FAILED.",
        ),
    ],
)
def test_what_is_wrong_with_the_way_is_said(
    route: host.Route | None, device: host.Link | None, neighbour: host.Neighbour, problem: str
) -> None:
    (said,) = tunnel_faults.of_way("10.0.0.1", route, device, neighbour)

    assert problem in said


def test_a_tunnel_whose_flows_decide_where_it_leads_is_not_accused() -> None:
    one = database.Interface(name="ovn-0", bridge="br-int", type="geneve", options={"remote_ip": "flow"}, ofport=1)

    assert tunnel_faults.of_name(one) == []
    assert tunnel_faults.of_remote(one, "", False, agents.View(asked=True), sky.UNITS[0]) == []
    assert tunnel_faults.of_way("flow", None, None, host.Neighbour()) == []


def test_a_name_of_an_ipv6_tunnel_is_checked() -> None:
    good = tunnel.name("vxlan", "fd00::1")
    one = database.Interface(name=good, bridge="br-tun", type="vxlan", options={"remote_ip": "fd00::2"}, ofport=1)

    (said,) = tunnel_faults.of_name(one)

    assert "its name does not belong to that address" in said


@pytest.mark.parametrize("query", [{"changed": -1}, {"changed": 61}, {"changed": float("nan")}, {"other": 1}])
def test_bad_parameters_are_refused(query: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        tunnels.Query.model_validate(query)


def test_a_host_without_tunnels_is_told_so(clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "read", lambda: switch().model_copy(update={"interfaces": ()}))

    assert show(clouds).summary == "This host has no tunnels."


def test_the_page_fits_a_terminal(clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = spoilt("gre-ac1400d1", options={"remote_ip": "172.20.0.210"}, statistics={"tx_packets": 1}, ofport=-1)
    monkeypatch.setattr(database, "read", lambda: broken)

    page = view.view(show(clouds))["report"]

    assert [line for line in page.splitlines() if len(line) > 80] == []
    assert "\n\n\n" not in page
