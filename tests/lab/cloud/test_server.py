"""The stand-in answers as the real services do, as far as plans and port security need it."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator
from typing import Any

import pytest

from tests.lab.cloud import server

_PASSWORD = {
    "auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": "ovs-pathfinder", "password": "secret", "domain": {"name": "default"}}},
        },
        "scope": {"project": {"name": "services", "domain": {"name": "default"}}},
    }
}


class _Client:
    """A client that has signed in; it returns the status and the decoded body."""

    def __init__(self, file: pathlib.Path, url: str) -> None:
        self.file, self.url, self.token = file, url, ""
        status, body, headers = self._send("POST", "/v3/auth/tokens", _PASSWORD)
        assert status == 201
        self.token = headers["X-Subject-Token"]
        self.catalogue = {entry["type"]: entry["endpoints"] for entry in body["token"]["catalog"]}

    def _send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        data = None if body is None else json.dumps(body).encode()
        more = {"X-Auth-Token": self.token, "Content-Type": "application/json"}
        more |= {key.replace("_", "-"): value for key, value in headers.items()}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=more)  # noqa: S310
        try:
            answer = urllib.request.urlopen(request, timeout=10)  # noqa: S310 - the stand-in's own address
        except urllib.error.HTTPError as failure:
            answer = failure
        with answer:
            text = answer.read().decode()
            status = answer.status or 0
            kind = answer.headers["Content-Type"]
            return (
                status,
                json.loads(text) if kind == "application/json" else text,
                dict(answer.headers.items()),
            )

    def get(self, path: str) -> tuple[int, Any]:
        return self._send("GET", path)[:2]

    def put(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        return self._send("PUT", path, body, **headers)[:2]

    def ids(self, path: str) -> list[str]:
        """Return the ids of a list of Neutron's."""
        status, body = self.get(f"/network/v2.0/{path}")
        assert status == 200, body
        (key,) = (key for key in body if not key.endswith("_links"))
        return [entry["id"] for entry in body[key]]


def _port(number: int, **changes: Any) -> dict[str, Any]:
    fixed = [{"subnet_id": f"s{number}", "ip_address": f"10.0.0.{number}"}]
    return {"id": f"p{number}", "name": f"port {number}", "fixed_ips": fixed, "revision_number": 3} | changes


@pytest.fixture
def client(tmp_path: pathlib.Path) -> Generator[_Client]:
    file = tmp_path / "description.json"
    ports = [_port(1), _port(2, admin_state_up=False), _port(3, security_groups=["g"])]
    amphorae = [{"id": "a1", "status": "BOOTING"}, {"id": "a2", "status": "ALLOCATED"}]
    servers = [
        {"id": "v1", "name": "web", "status": "ACTIVE"},
        {"id": "v2", "name": "web2", "tenant_id": "another"},
    ]
    file.write_text(json.dumps({"ports": ports, "amphorae": amphorae, "servers": servers}))
    with server.Server(file) as stand_in:
        yield _Client(file, stand_in.url)


def test_the_command_serves_until_it_is_told_to_end(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "description.json"
    file.write_text("{}")
    command = [sys.executable, "-m", "tests.lab.cloud", "--description", str(file), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        assert set(_Client(file, line.split()[-1]).catalogue) == {
            "identity",
            "network",
            "compute",
            "load-balancer",
        }
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_the_catalogue_has_each_interface_of_each_service(client: _Client) -> None:
    for endpoints in client.catalogue.values():
        assert {endpoint["interface"] for endpoint in endpoints} == {"public", "internal", "admin"}
        assert {endpoint["region"] for endpoint in endpoints} == {"RegionOne"}
    assert client.catalogue["network"][0]["url"] == f"{client.url}/network"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 300),
        ("/v3", 200),
        ("/network/", 200),
        ("/compute/v2.1", 200),
        ("/load-balancer", 200),
        ("/compute/v2.1/servers/none", 404),
        ("/load-balancer/v2.0/octavia/amphorae/none", 404),
        ("/network/v2.0/ports/none", 404),
        ("/network/v2.0/floatingips", 404),
        ("/image/v2", 404),
    ],
)
def test_paths_have_the_status_of_the_real_services(client: _Client, path: str, status: int) -> None:
    assert client.get(path)[0] == status


def test_errors_have_the_shape_of_each_service(client: _Client) -> None:
    _, neutron = client.get("/network/v2.0/security-groups/none")
    assert neutron["NeutronError"]["type"] == "SecurityGroupNotFound"
    _, nova = client.get("/compute/v2.1/servers/none")
    assert nova["itemNotFound"]["code"] == 404
    _, octavia = client.get("/load-balancer/v2.0/octavia/amphorae/none")
    assert octavia["faultstring"] == "Amphora none not found."
    client.token = "stale"  # noqa: S105 - no token at all
    status, keystone = client.get("/network/v2.0/ports")
    assert (status, keystone["error"]["code"]) == (401, 401)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["p1", "p2", "p3"]),
        ("name=port%202", ["p2"]),
        ("id=p1&id=p3", ["p1", "p3"]),
        ("id=p1&name=port%202", []),
        ("admin_state_up=false", ["p2"]),
        ("security_groups=g", ["p3"]),
        ("fixed_ips=ip_address%3D10.0.0.2", ["p2"]),
        ("fixed_ips=ip_address%3D10.0.0.2&fixed_ips=ip_address%3D10.0.0.3", ["p2", "p3"]),
        ("fixed_ips=ip_address%3D10.0.0.2&fixed_ips=subnet_id%3Ds1", []),
        ("fixed_ips=ip_address_substr%3D0.0", ["p1", "p2", "p3"]),
        ("limit=2", ["p1", "p2"]),
        ("limit=2&marker=p2", ["p3"]),
    ],
)
def test_ports_are_filtered_as_by_neutron(client: _Client, query: str, found: list[str]) -> None:
    assert client.ids(f"ports?{query}") == found


def test_an_unknown_filter_is_refused(client: _Client) -> None:
    status, body = client.get("/network/v2.0/ports?colour=red")
    assert (status, body["NeutronError"]["type"]) == (400, "HTTPBadRequest")


def test_a_page_names_the_next(client: _Client) -> None:
    _, body = client.get("/network/v2.0/ports?limit=2&fields=id")
    assert body["ports"] == [{"id": "p1"}, {"id": "p2"}]
    (link,) = body["ports_links"]
    _, rest = client.get(link["href"].removeprefix(client.url))
    assert rest == {"ports": [{"id": "p3"}]}
    assert client.ids("ports?limit=2&sort_key=id&sort_dir=desc&marker=p3") == ["p2", "p1"]


def test_servers_are_found_by_a_regular_expression_in_all_projects_if_asked_for(client: _Client) -> None:
    for query, found in (
        ("name=web", ["v1"]),
        ("name=web&all_tenants=1", ["v1", "v2"]),
        ("name=%5Eweb%24", ["v1"]),
    ):
        _, body = client.get(f"/compute/v2.1/servers/detail?{query}")
        assert [entry["id"] for entry in body["servers"]] == found
    assert client.get("/compute/v2.1/servers/detail?name=%28")[0] == 400
    _, rest = client.get("/compute/v2.1/servers/detail?all_tenants=1&marker=v1")
    assert [entry["id"] for entry in rest["servers"]] == ["v2"]
    assert client.get("/compute/v2.1/servers/detail?marker=v9")[0] == 400


def test_amphorae_are_filtered(client: _Client) -> None:
    _, body = client.get("/load-balancer/v2.0/octavia/amphorae?status=BOOTING&fields=id")
    assert body["amphorae"] == [{"id": "a1"}]
    _, body = client.get("/load-balancer/v2.0/octavia/amphorae?limit=1")
    assert len(body["amphorae"]) == 1


def test_load_balancers_are_filtered(client: _Client) -> None:
    balancers = [{"id": "b1", "name": "lb1"}, {"id": "b2", "name": "lb2"}]
    client.file.write_text(json.dumps({"loadbalancers": balancers}))

    _, body = client.get("/load-balancer/v2.0/lbaas/loadbalancers?name=lb2&fields=id")

    assert body["loadbalancers"] == [{"id": "b2"}]


def test_a_changed_description_is_read_again(client: _Client) -> None:
    for number in (7, 8):
        # The same size each time, and perhaps the same tick of the clock: the new inode tells.
        draft = client.file.with_name("draft")
        draft.write_text(json.dumps({"ports": [_port(number)]}))
        draft.replace(client.file)
        assert client.ids("ports") == [f"p{number}"]


def test_requests_are_listed_and_forgotten(client: _Client) -> None:
    client.ids("ports?name=a%20b")
    _, log = client.get("/-/requests")
    assert [request["path"] for request in log] == ["/v3/auth/tokens", "/network/v2.0/ports"]
    assert log[-1] == {"method": "GET", "path": "/network/v2.0/ports", "query": "name=a%20b"}
    client._send("DELETE", "/-/requests")  # pyright: ignore[reportPrivateUsage] - of this module
    assert client.get("/-/requests") == (200, [])


def test_a_change_of_a_port_counts_its_revision_and_is_written(client: _Client) -> None:
    status, body = client.put("/network/v2.0/ports/p1", {"port": {"port_security_enabled": False}})
    assert (status, body["port"]["revision_number"]) == (200, 4)
    assert json.loads(client.file.read_text())["ports"][0]["port_security_enabled"] is False
    assert client.get("/network/v2.0/ports/p1")[1]["port"]["revision_number"] == 4


def test_a_stale_revision_is_refused(client: _Client) -> None:
    change = {"port": {"name": "new"}}
    assert client.put("/network/v2.0/ports/p1", change, If_Match="revision_number=2")[0] == 412
    assert client.put("/network/v2.0/ports/p1", change, If_Match="revision_number=3")[0] == 200


def test_port_security_stays_on_with_security_groups(client: _Client) -> None:
    status, body = client.put("/network/v2.0/ports/p3", {"port": {"port_security_enabled": False}})
    assert (status, body["NeutronError"]["type"]) == (409, "PortSecurityPortHasSecurityGroup")
    off = {"port": {"port_security_enabled": False, "security_groups": list[str]()}}
    assert client.put("/network/v2.0/ports/p3", off)[0] == 200


def test_failures_spoil_answers(client: _Client) -> None:
    content = json.loads(client.file.read_text())
    content["failures"] = [{"service": "network", "path": "ports/p1", "status": 500, "body": "<html></html>"}]
    client.file.write_text(json.dumps(content))
    os.utime(client.file)
    assert client.get("/network/v2.0/ports/p1") == (500, "<html></html>")
    assert client.get("/network/v2.0/ports/p2")[0] == 200


def _fail(client: _Client, **failure: Any) -> None:
    content = json.loads(client.file.read_text()) | {"failures": [failure | {"service": "network"}]}
    draft = client.file.with_name("draft")
    draft.write_text(json.dumps(content))
    draft.replace(client.file)


def test_failures_have_the_shape_of_neutrons_errors(client: _Client) -> None:
    _fail(client, status=404)
    status, body = client.get("/network/v2.0/ports/p1")
    assert (status, body["NeutronError"]["type"]) == (404, "HTTPNotFound")


def test_failures_spoil_some_of_the_requests_of_a_method(client: _Client) -> None:
    _fail(client, method="GET", skip=1, times=2, status=500)
    assert [client.get("/network/v2.0/ports")[0] for _ in range(4)] == [200, 500, 500, 200]
    assert client.put("/network/v2.0/ports/p1", {"port": {}})[0] == 200
    client._send("DELETE", "/-/requests")  # pyright: ignore[reportPrivateUsage] - of this module
    assert [client.get("/network/v2.0/ports")[0] for _ in range(4)] == [200, 500, 500, 200]


@pytest.mark.parametrize("effect", ["before", "after", "begun"])
def test_failures_can_spoil_the_answer_alone(client: _Client, effect: str) -> None:
    _fail(client, method="PUT", status=500, effect=effect)
    assert client.put("/network/v2.0/ports/p1", {"port": {"name": "new"}})[0] == 500
    assert client.get("/network/v2.0/ports/p1")[1]["port"]["name"] == "new"


@pytest.mark.parametrize(
    ("changes", "status", "kind"),
    [
        ({"security_groups": ["none"]}, 404, "SecurityGroupNotFound"),
        ({"port_security_enabled": False, "security_groups": ["g"]}, 400, "PortSecurityAndIPRequiredForSecurityGroups"),
        (
            {"allowed_address_pairs": [{"mac_address": "m", "ip_address": "1.2.3.4"}] * 2},
            400,
            "DuplicateAddressPairInRequest",
        ),
        (
            {"port_security_enabled": False, "allowed_address_pairs": [{"mac_address": "m", "ip_address": "1.2.3.4"}]},
            409,
            "AddressPairAndPortSecurityRequired",
        ),
    ],
)
def test_settings_that_ml2_does_not_allow_are_refused(
    client: _Client, changes: dict[str, Any], status: int, kind: str
) -> None:
    found, body = client.put("/network/v2.0/ports/p3", {"port": changes})
    assert (found, body["NeutronError"]["type"]) == (status, kind)


def test_groups_that_a_port_has_already_are_not_looked_for(client: _Client) -> None:
    assert client.put("/network/v2.0/ports/p3", {"port": {"security_groups": ["g"]}})[0] == 200


@pytest.mark.parametrize(("effect", "name"), [("after", "port 1"), ("begun", "new")])
def test_updates_that_have_begun_have_passed_the_check_of_their_revision(
    client: _Client, effect: str, name: str
) -> None:
    _fail(client, method="PUT", effect=effect)
    client.put("/network/v2.0/ports/p1", {"port": {"name": "new"}}, If_Match="revision_number=2")
    assert client.get("/network/v2.0/ports/p1")[1]["port"]["name"] == name
