import functools
from typing import Any

import pydantic
import pytest

from ovs_pathfinder import errors, path
from ovs_pathfinder.evidence import host
from ovs_pathfinder.inspection import plugged, ports, sought
from ovs_pathfinder.report import view
from ovs_pathfinder.vswitch import database
from tests.unit import recorded
from tests.unit.cloud import sky
from tests.unit.inspection import asking

GUEST_MAC = "fa:16:3e:0d:9a:cf"


@functools.cache
def switch(folder: str = "healthy-gre-l2pop/octavia") -> database.Switch:
    """Return a recorded switch."""
    names = ("Open_vSwitch", "Bridge", "Port", "Interface")
    return database.parse("".join(recorded.text(f"{folder}.list-{name}.json").strip() + "\n" for name in names))


def links(found: database.Switch) -> tuple[host.Link, ...]:
    """Return the devices that the recorded switch's host has."""
    real = [one for one in found.interfaces if one.type in ("", "internal")]
    return tuple(host.Link(name=one.name, mac=one.mac, mtu=one.mtu or 0, up=True, carrier=True) for one in real)


@pytest.fixture(autouse=True)
def octavias_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on the host whose switch was recorded."""
    monkeypatch.setattr(database, "read", switch)
    monkeypatch.setattr(host, "links", lambda: links(database.read()))


def find(clouds: sky.Sky | None, what: str) -> ports.Answer:
    return ports.run(ports.Query.model_validate({"what": what}), asking.context_of(clouds))


@pytest.mark.parametrize(
    ("text", "kind", "address", "macs", "start"),
    [
        ("FC00::F816:3EFF:FE0D:9ACF", "address", "fc00::f816:3eff:fe0d:9acf", (GUEST_MAC,), ""),
        ("[fc00:0:0::1]", "address", "fc00::1", (), ""),
        ("192.168.77.9/24", "address", "192.168.77.9", (), ""),
        ("::ffff:192.168.77.9", "address", "192.168.77.9", (), ""),
        ("fe80::f816:3eff:fe0d:9acf%o-hm0", "mac", "fe80::f816:3eff:fe0d:9acf", (GUEST_MAC,), ""),
        ("fe80::1", "address", "fe80::1", (), ""),
        ("FA-16-3E-0D-9A-CF", "mac", "", (GUEST_MAC,), ""),
        ("fa16.3e0d.9acf", "mac", "", (GUEST_MAC,), ""),
        ("fa163e0d9acf", "mac", "", (GUEST_MAC,), ""),
        ("fe:16:3e:0d:9a:cf", "mac", "", ("fe:16:3e:0d:9a:cf", GUEST_MAC), ""),
        ("octavia/2", "unit", "", (), ""),
        (sky.GUEST_PORT.upper(), "id", "", (), sky.GUEST_PORT),
        ("tap8aff7663-c9", "start", "", (), "8aff7663-c9"),
        ("qvo8aff7663-c9", "start", "", (), "8aff7663-c9"),
        ("8aff7663", "start", "", (), "8aff7663"),
        ("8aff7663-c921-46", "start", "", (), "8aff7663-c921-46"),
        ("8aff7663-c92146", "name", "", (), ""),
        ("o-hm0", "name", "", (), ""),
        ("dead", "name", "", (), ""),
        ("lb-mgmt-Ü", "name", "", (), ""),
    ],
)
def test_a_text_is_taken_for_what_it_is(text: str, kind: str, address: str, macs: tuple[str, ...], start: str) -> None:
    found = sought.read(text)

    assert (found.kind, found.address, found.macs, found.start) == (kind, address, macs, start)


@pytest.mark.parametrize(
    ("what", "requests"),
    [
        (sky.GUEST_ADDRESS.upper(), 4),
        (GUEST_MAC, 4),
        ("fe:16:3e:0d:9a:cf", 4),
        (sky.GUEST_PORT, 6),
        (sky.GUEST_NAME, 5),
        ("tap8aff7663-c9", 7),
        ("8aff76", 7),
    ],
)
def test_a_guests_port_is_found_by_many_names(clouds: sky.Sky, what: str, requests: int) -> None:
    answer = find(clouds, what)

    (found,) = answer.ports
    assert found.port is not None
    assert (found.port.id, found.port.mac) == (sky.GUEST_PORT, GUEST_MAC)
    assert found.network == ports.Network(
        id=sky.MANAGEMENT, name="lb-mgmt-net", type="gre", segmentation_id=753, mtu=1458
    )
    assert (found.server, found.unit, found.principal) == (sky.SERVER_NAME, "ovs-pathfinder/1", "nova-compute/0")
    assert [one.name for one in found.port.security_groups] == ["lb-mgmt-sec-grp"]
    assert (found.here, found.devices, found.problems) == (False, (), ())
    assert answer.next == (f"juju run ovs-pathfinder/1 find-port what={sky.GUEST_PORT}",)
    assert len(asking.requests(clouds)) == requests


@pytest.mark.parametrize("what", ["lb-mgmt-net", sky.MANAGEMENT])
def test_a_network_has_all_its_ports(clouds: sky.Sky, what: str) -> None:
    found = find(clouds, what)

    assert {row.port.id for row in found.ports if row.port} >= {sky.OHM_PORT, sky.GUEST_PORT}
    assert {row.network.id for row in found.ports if row.network} == {sky.MANAGEMENT}
    assert "It is a network: these are the ports on it." in found.notes


@pytest.mark.parametrize(("what", "requests"), [(sky.SERVER, 6), (sky.SERVER_NAME, 5), (sky.AMPHORA, 7)])
def test_a_server_and_an_amphora_have_all_their_ports(clouds: sky.Sky, what: str, requests: int) -> None:
    answer = find(clouds, what)

    assert {one.port.id for one in answer.ports if one.port} == {sky.GUEST_PORT, sky.VRRP_PORT}
    assert len(asking.requests(clouds)) == requests


@pytest.mark.parametrize("what", ["octavia/2", "o-hm0", sky.OHM_ADDRESS, "f6ee6c02-4e", "fa:16:3e:a8:7e:f6"])
def test_a_port_of_this_host_is_shown_with_its_device(clouds: sky.Sky, what: str) -> None:
    (found,) = find(clouds, what).ports

    (device,) = found.devices
    assert (found.here, found.unit, found.problems) == (True, "ovs-pathfinder/0", ())
    assert (device.name, device.bridge, device.ofport, device.tag) == ("o-hm0", "br-int", 2, 1)
    assert (device.attached_mac, device.iface_status, device.link_state) == ("fa:16:3e:a8:7e:f6", "active", "up")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mac_address": GUEST_MAC}, f"Neutron has the MAC address {GUEST_MAC}, but the switch was told fa:16:3e:a8"),
        ({"binding:host_id": sky.COMPUTE_HOST}, f"Neutron has the port on {sky.COMPUTE_HOST}, but o-hm0 on "),
        ({"status": "DOWN"}, "Neutron has the port DOWN, but o-hm0 is up."),
    ],
)
def test_where_cloud_and_switch_disagree_both_are_shown(clouds: sky.Sky, changes: dict[str, Any], problem: str) -> None:
    clouds.port(sky.OHM_PORT).update(changes)

    answer = find(clouds, "o-hm0")

    assert any(one.startswith(problem) for one in answer.ports[0].problems)
    assert "Something is wrong with it." in answer.summary


def test_a_device_in_another_namespace_is_not_accused(clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = [
        one.model_copy(update={"link_state": "down", "mac": "", "mtu": None} if one.name == "o-hm0" else {})
        for one in switch().interfaces
    ]
    monkeypatch.setattr(database, "read", lambda: switch().model_copy(update={"interfaces": tuple(moved)}))
    monkeypatch.setattr(host, "links", lambda: [one for one in links(switch()) if one.name != "o-hm0"])

    answer = find(clouds, sky.OHM_PORT)

    (found,) = answer.ports
    assert found.problems == ()
    assert "in another network namespace" in found.devices[0].out_of_sight
    assert "out of sight: o-hm0 is in another network" in " ".join(str(view.view(answer)["report"]).split())


def test_a_device_whose_port_neutron_does_not_know_is_left_over(clouds: sky.Sky) -> None:
    clouds.content["ports"] = [one for one in clouds.content["ports"] if one["id"] != sky.OHM_PORT]

    (found,) = find(clouds, "o-hm0").ports

    assert found.port is None
    assert found.problems[0] == f"o-hm0 carries the port {sky.OHM_PORT}, which Neutron does not know: it is left over."


def test_a_port_without_its_device_is_told(clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = switch().model_copy(update={"interfaces": ()})
    monkeypatch.setattr(database, "read", lambda: bare)

    (found,) = find(clouds, "octavia/2").ports

    assert found.problems == (
        f"Neutron has the port on this host, but no device of its switch carries {sky.OHM_PORT}.",
    )


def device(**changes: Any) -> plugged.Device:
    plain: dict[str, Any] = {"name": "tap1", "bridge": "br-int", "ofport": 2, "tag": 1, "iface_id": "1", "up": True}
    return plugged.Device.model_validate(plain | changes)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tag": 4095}, "tap1 has the VLAN tag 4095, which is dead: the agent did not wire the port."),
        ({"tag": None}, "tap1 has no VLAN tag: the agent has not wired the port yet."),
        ({"up": None}, "The switch has tap1, but this host has no such device."),
        (
            {"ofport": -1, "error": "could not open network device tap1 (No such device)"},
            "The switch does not have tap1 open (ofport -1): could not open network device tap1 (No such device).",
        ),
    ],
)
def test_what_is_wrong_with_a_device_is_said(changes: dict[str, Any], problem: str) -> None:
    assert plugged.about_devices("1", [device(**changes)]) == [problem]


def test_two_devices_for_one_port_are_said() -> None:
    (said,) = plugged.about_devices("1", [device(), device(name="tap2")])

    assert said == "Several devices of the switch carry the port 1: tap1, tap2."


def test_a_device_that_sends_from_another_mac_is_said() -> None:
    port = path.Port(id="1", name="", mac=GUEST_MAC, addresses=(), host="here")

    (said,) = plugged.disagreements(port, True, "here", [device(type="internal", mac="fa:16:3e:00:00:01")])

    assert "tap1 sends from fa:16:3e:00:00:01" in said


@pytest.mark.parametrize("what", ["o-hm0", "f6ee6c02", sky.OHM_PORT, "fa:16:3e:a8:7e:f6", sky.OHM_ADDRESS, "octavia/2"])
def test_without_credentials_the_switch_alone_answers(what: str) -> None:
    answer = find(None, what)

    assert (answer.asked, answer.ports[0].devices[0].iface_id) == (False, sky.OHM_PORT)
    assert answer.ports[0].problems == ()
    assert "there are no credentials" in answer.notes[0]


def test_a_failing_cloud_leaves_the_switch_to_answer(clouds: sky.Sky) -> None:
    clouds.content["failures"] = [{"service": "network", "path": "/ports", "status": 500}]

    answer = find(clouds, "o-hm0")

    assert (answer.asked, answer.ports[0].devices[0].name) == (False, "o-hm0")
    assert "HTTP 500" in answer.notes[0]


@pytest.mark.parametrize("service", ["compute", "load-balancer"])
def test_a_failing_service_leaves_the_port_known(clouds: sky.Sky, service: str) -> None:
    clouds.content["failures"] = [{"service": service, "status": 500}]

    (found,) = find(clouds, sky.GUEST_PORT).ports

    assert found.port is not None
    assert found.port.id == sky.GUEST_PORT


def test_ten_thousand_matches_are_bounded_by_the_server(clouds: sky.Sky) -> None:
    clouds.content["ports"] = [
        sky.port(f"{number:08x}-0000-4000-8000-000000000000", name="web") for number in range(10_000)
    ]

    answer = find(clouds, "web")

    assert len(answer.ports) == 100
    assert "There may be more ports than these 100: name one by its id." in answer.notes
    assert len(asking.requests(clouds)) == 3


@pytest.mark.parametrize(("start", "requests"), [("0000000", 5), ("ffff00", 5), ("7fff00", 10)])
def test_part_of_an_id_is_searched_from_the_nearer_end(clouds: sky.Sky, start: str, requests: int) -> None:
    clouds.content["ports"] = [
        sky.port(f"{number * 429_496:08x}-0000-4000-8000-000000000000") for number in range(10_000)
    ] + [sky.port("ffff0000-0000-4000-8000-000000000000"), sky.port("7fff0000-0000-4000-8000-000000000000")]

    (found,) = find(clouds, start).ports

    assert found.port is not None
    assert found.port.id.startswith(start)
    assert len(asking.requests(clouds)) <= requests


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("10.9.9.9", "looked for among the fixed addresses of Neutron's ports .* and on the switch of juju-"),
        ("172.20.0.209", "172.20.0.209 is the tunnel address of ovs-pathfinder/1 and its host"),
        ("no such thing", "nothing has 'no such thing', taken for a name"),
        ("octavia/7", "octavia-health-manager-octavia-7-listen-port"),
        (sky.NOWHERE, "among Octavia's amphorae"),
    ],
)
def test_what_nobody_has_is_one_sentence_that_says_where_it_was_looked_for(
    clouds: sky.Sky, what: str, sentence: str
) -> None:
    with pytest.raises(errors.PathfinderError, match=sentence):
        find(clouds, what)


@pytest.mark.parametrize("query", [{}, {"what": ""}, {"what": "a\x00"}, {"what": "a" * 256}, {"what": "a", "more": 1}])
def test_bad_parameters_are_refused(query: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        ports.Query.model_validate(query)


def test_blanks_name_nothing(clouds: sky.Sky) -> None:
    with pytest.raises(errors.PathfinderError, match="what is empty"):
        find(clouds, "  ")


@pytest.mark.parametrize("what", ["o-hm0", sky.SERVER, "fe:16:3e:0d:9a:cf", "patch-tun"])
def test_the_page_fits_a_terminal(clouds: sky.Sky, what: str) -> None:
    clouds.port(sky.OHM_PORT)["mac_address"] = "fa:16:3e:00:00:01"

    page = view.view(find(clouds, what))["report"]

    assert [line for line in page.splitlines() if len(line) > 80] == []
    assert "\n\n\n" not in page
