"""Signing in, and services that do not answer as they should."""

import datetime
import ipaddress
import pathlib
import socket
from collections.abc import Generator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ovs_pathfinder import cloud, errors
from ovs_pathfinder.cloud import connection
from tests.lab.cloud import server
from tests.unit.cloud import sky


def _sign_in(clouds: sky.Sky, **changes: Any) -> None:
    clouds.serve()
    clouds.stand_in.requests.clear()
    with cloud.connect(clouds.credentials(**changes)):
        pass


def _refusal(clouds: sky.Sky, **changes: Any) -> str:
    with pytest.raises(errors.PathfinderError) as raised:
        _sign_in(clouds, **changes)
    return str(raised.value)


@pytest.mark.parametrize("suffix", ["", "/", "/v3", "/v3/"])
def test_signing_in_takes_one_request(clouds: sky.Sky, suffix: str) -> None:
    _sign_in(clouds, auth_url=clouds.stand_in.url + suffix)
    assert [request["path"] for request in clouds.stand_in.requests] == ["/v3/auth/tokens"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "hunter2-wrong"},
        {"username": "nobody"},
        {"project": "nothing"},
        {"user_domain": "nowhere"},
        {"project_domain": "nowhere"},
    ],
)
def test_wrong_credentials_are_told_without_the_password(clouds: sky.Sky, wrong: dict[str, str]) -> None:
    message = _refusal(clouds, **wrong)
    assert "refuses the user" in message
    assert "HTTP 401" in message
    assert "secret" not in message
    assert "hunter2" not in message


def test_the_password_is_not_in_what_is_printed_of_the_credentials(clouds: sky.Sky) -> None:
    credentials = clouds.credentials()
    assert credentials.password.get_secret_value() == "secret"
    assert "secret" not in repr(credentials) + str(credentials)


@pytest.mark.parametrize("address", ["keystone", "ftp://keystone/v3", "http:///v3", "http://[::1", "http://a:b/"])
def test_what_is_no_address_is_refused(clouds: sky.Sky, address: str) -> None:
    assert "is not the address of a Keystone" in _refusal(clouds, auth_url=address)


def test_an_address_without_keystone_is_told(clouds: sky.Sky) -> None:
    message = _refusal(clouds, auth_url=f"{clouds.stand_in.url}/elsewhere")
    assert message.startswith(f"There is no Keystone v3 at {clouds.stand_in.url}/elsewhere/v3")


def test_an_address_where_nothing_listens_is_told(clouds: sky.Sky) -> None:
    with socket.socket() as idle:
        idle.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{idle.getsockname()[1]}"
        assert f"Keystone at {address}/v3 cannot be reached" in _refusal(clouds, auth_url=address)


def test_a_name_that_does_not_resolve_is_told(clouds: sky.Sky) -> None:
    assert "cannot be reached" in _refusal(clouds, auth_url="http://keystone.invalid:5000/v3")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ({"status": 503}, "Keystone at .* fails with HTTP 503"),
        ({"status": 403}, "refuses the user"),
        ({"status": 200, "body": "<html>Welcome</html>"}, "Keystone at .* cannot be asked"),
        ({"status": 500, "body": "<html>Oops</html>"}, "Keystone at .* fails with HTTP 500"),
        ({"drop": True}, "Keystone at .* cannot be reached"),
    ],
)
def test_a_keystone_that_fails_is_told(clouds: sky.Sky, failure: dict[str, Any], message: str) -> None:
    clouds.content["failures"] = [failure | {"service": "identity"}]
    with pytest.raises(errors.PathfinderError, match=message):
        _sign_in(clouds)


def test_a_keystone_that_does_not_answer_is_not_waited_for(clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_TIMEOUT", 0.2)
    clouds.content["failures"] = [{"service": "identity", "delay": 60}]
    assert "did not answer within 0.2 s" in _refusal(clouds)


def test_a_cloud_without_neutron_is_refused(clouds: sky.Sky) -> None:
    clouds.content["services"] = ["identity", "compute"]
    assert _refusal(clouds).startswith("Neutron is not in the catalogue: ")


def test_the_region_is_named_where_it_has_no_neutron(clouds: sky.Sky) -> None:
    _sign_in(clouds, region="RegionOne")
    assert _refusal(clouds, region="Mars").startswith("Neutron is not in the catalogue's region Mars: ")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ({"status": 503}, "Neutron fails with HTTP 503 for http://127.*/ports: "),
        ({"status": 401}, "Neutron does not accept a new token of Keystone's either .*401 for .*keystone_authtoken"),
        ({"status": 403}, "Neutron refuses to answer .*403 .*the credentials need the admin role"),
        ({"status": 502, "body": "<html>Bad Gateway</html>"}, "Neutron fails with HTTP 502 for .*: look at its log"),
        ({"status": 200, "body": "<html>Welcome</html>"}, "Neutron answers text/html instead of JSON for "),
        ({"status": 404, "body": "<html>Nothing</html>"}, "Neutron fails with HTTP 404 for "),
        ({"status": 200, "body": "[]"}, "instead of JSON"),
        ({"status": 200, "body": "{}"}, "not understood"),
        ({"status": 200, "body": '{"ports": 7}'}, "not understood"),
        ({"status": 200, "body": '{"ports": ["x"]}'}, "not understood"),
        ({"drop": True}, "Neutron cannot be reached"),
    ],
)
def test_a_neutron_that_fails_is_told(clouds: sky.Sky, failure: dict[str, Any], message: str) -> None:
    clouds.content["failures"] = [failure | {"service": "network", "path": "ports"}]
    with pytest.raises(errors.PathfinderError, match=message):
        clouds.plan()


def test_a_neutron_that_does_not_answer_is_not_waited_for(clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_TIMEOUT", 0.2)
    clouds.content["failures"] = [{"service": "network", "path": "agents", "delay": 60}]
    with pytest.raises(errors.PathfinderError, match=r"Neutron did not answer within 0.2 s"):
        clouds.plan()


_TROUBLE: list[dict[str, Any]] = [
    {"status": 503},
    {"status": 403},
    {"drop": True},
    {"status": 200, "body": "<html>Welcome</html>"},
]


@pytest.mark.parametrize("failure", _TROUBLE)
@pytest.mark.parametrize(
    ("service", "name", "needed", "idle"),
    [
        ("compute", "Nova", sky.SERVER_NAME, sky.GUEST_NAME),
        ("load-balancer", "Octavia", sky.AMPHORA, sky.GUEST_PORT),
    ],
)
def test_a_service_is_only_missed_where_it_is_needed(
    clouds: sky.Sky, failure: dict[str, Any], service: str, name: str, needed: str, idle: str
) -> None:
    clouds.content["failures"] = [failure | {"service": service}]
    (warning,) = clouds.plan(destination=idle).warnings
    assert warning.startswith(name)
    with pytest.raises(errors.PathfinderError, match=f"is not known: {name} "):
        clouds.plan(destination=needed)
    assert clouds.plan(destination=sky.GUEST_ADDRESS).warnings == ()


def test_a_cloud_without_nova_and_octavia_is_no_matter_where_neither_is_needed(clouds: sky.Sky) -> None:
    clouds.content["services"] = ["identity", "network"]
    for destination in (sky.GUEST_ADDRESS, sky.GUEST_NAME, sky.GUEST_PORT, sky.SERVER):
        assert clouds.plan(destination=destination).warnings == ()
    with pytest.raises(errors.PathfinderError, match=r"is not known: Nova is not in the catalogue"):
        clouds.plan(destination=sky.SERVER_NAME)
    with pytest.raises(errors.PathfinderError, match=r"is not known: Octavia is not in the catalogue"):
        clouds.plan(destination=sky.AMPHORA)


def test_a_token_that_has_expired_is_replaced_once(clouds: sky.Sky) -> None:
    clouds.serve()
    with cloud.connect(clouds.credentials()) as connected:
        clouds.stand_in.tokens.clear()
        clouds.stand_in.requests.clear()
        found = connected.get("network", f"/ports/{sky.GUEST_PORT}")
    assert found is not None
    assert found["port"]["id"] == sky.GUEST_PORT
    asked = [request["path"].rpartition("/")[2] for request in clouds.stand_in.requests]
    assert asked == [sky.GUEST_PORT, "tokens", sky.GUEST_PORT]


@pytest.mark.parametrize("path", ["ports", "agents", "security-groups"])
def test_a_token_that_expires_in_the_midst_of_a_plan_does_not_end_it(clouds: sky.Sky, path: str) -> None:
    clouds.content["failures"] = [{"service": "network", "path": path, "status": 401, "times": 1}]
    assert clouds.plan().destination.port.id == sky.GUEST_PORT
    assert [request["path"] for request in clouds.stand_in.requests].count("/v3/auth/tokens") == 2


def test_a_second_refusal_of_the_token_ends_the_plan(clouds: sky.Sky) -> None:
    clouds.content["failures"] = [{"service": "network", "path": "ports", "status": 401, "times": 99}]
    with pytest.raises(errors.PathfinderError, match="Neutron does not accept a new token of Keystone's either"):
        clouds.plan(sky.OHM_PORT, sky.GUEST_ADDRESS)


def test_a_password_that_was_changed_meanwhile_is_told(clouds: sky.Sky) -> None:
    clouds.serve()
    with cloud.connect(clouds.credentials()) as connected:
        clouds.stand_in.tokens.clear()
        clouds.content["credentials"] = {"password": "another"}
        clouds.serve()
        with pytest.raises(connection.Unanswered) as raised:
            connected.get("network", f"/ports/{sky.GUEST_PORT}")
    assert "Neutron no longer accepts the token, and Keystone gives no new one (HTTP 401)" in str(raised.value)
    assert "secret" not in str(raised.value)


def _put(clouds: sky.Sky, changes: dict[str, Any], **headers: str) -> dict[str, Any]:
    clouds.serve()
    with cloud.connect(clouds.credentials()) as connected:
        clouds.stand_in.answer("DELETE", "/-/requests", {}, b"")
        return connected.put("network", f"/ports/{sky.GUEST_PORT}", {"port": changes}, headers)


def _refused(clouds: sky.Sky, changes: dict[str, Any], **headers: str) -> connection.Refused:
    with pytest.raises(connection.Refused) as raised:
        _put(clouds, changes, **headers)
    return raised.value


def test_an_update_returns_what_is_so_then(clouds: sky.Sky) -> None:
    port = _put(clouds, {"name": "new"}, **{"If-Match": "revision_number=3"})["port"]
    assert (port["name"], port["revision_number"]) == ("new", 4)


@pytest.mark.parametrize(
    ("changes", "headers", "status", "said"),
    [
        ({"security_groups": [sky.NOWHERE]}, {}, 404, f"Security group {sky.NOWHERE} does not exist"),
        (
            {"port_security_enabled": False, "security_groups": []},
            {},
            409,
            "Port Security must be enabled in order to have allowed address pairs on a port.",
        ),
        ({"name": "new"}, {"If-Match": "revision_number=2"}, 412, "Constrained to 2, but current revision is 3"),
        (
            {"port_security_enabled": False, "security_groups": [sky.HEALTH_GROUP], "allowed_address_pairs": []},
            {},
            400,
            "Port security must be enabled and port must have an IP address in order to use security groups.",
        ),
    ],
)
def test_an_update_that_neutron_refuses_is_told_with_its_status_and_words(
    clouds: sky.Sky, changes: dict[str, Any], headers: dict[str, str], status: int, said: str
) -> None:
    refusal = _refused(clouds, changes, **headers)
    assert refusal.status == status
    assert str(refusal).startswith("Neutron ")
    assert f"(HTTP {status} for {clouds.stand_in.url}/network/v2.0/ports/{sky.GUEST_PORT}): {said}" in str(refusal)


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ({"status": 401}, "Neutron does not accept a new token of Keystone's either .*401 "),
        ({"status": 403}, "Neutron refuses to answer .*403"),
        ({"status": 404, "body": "<html></html>"}, "Neutron fails with HTTP 404 for "),
        ({"status": 500}, "Neutron fails with HTTP 500 for .*: look at its log"),
        ({"status": 502, "body": "<html></html>"}, "Neutron fails with HTTP 502 for "),
    ],
)
def test_an_update_that_fails_is_told_with_its_status(clouds: sky.Sky, failure: dict[str, Any], message: str) -> None:
    clouds.content["failures"] = [failure | {"service": "network", "method": "PUT"}]
    with pytest.raises(connection.Refused, match=message) as raised:
        _put(clouds, {"name": "new"})
    assert raised.value.status == failure["status"]


@pytest.mark.parametrize("failure", [{"drop": True}, {"delay": 60}, {"status": 200, "body": "<html>Welcome</html>"}])
def test_an_update_without_an_answer_is_sent_once_and_has_no_status(
    clouds: sky.Sky, monkeypatch: pytest.MonkeyPatch, failure: dict[str, Any]
) -> None:
    monkeypatch.setattr(connection, "_TIMEOUT", 0.3)
    clouds.content["failures"] = [failure | {"service": "network", "method": "PUT", "effect": "before"}]
    with pytest.raises(connection.Unanswered) as raised:
        _put(clouds, {"name": "new"})
    assert not isinstance(raised.value, connection.Refused)
    assert [request["method"] for request in clouds.stand_in.requests] == ["PUT"]


def test_only_neutrons_own_word_says_that_there_is_no_such_thing(clouds: sky.Sky) -> None:
    clouds.serve()
    with cloud.connect(clouds.credentials()) as connected:
        assert connected.get("network", f"/ports/{sky.NOWHERE}") is None
        clouds.content["failures"] = [{"service": "network", "status": 404}]
        clouds.serve()
        with pytest.raises(connection.Refused) as raised:
            connected.get("network", f"/ports/{sky.NOWHERE}")
    assert raised.value.status == 404


def _certify() -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cloud")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return signed, signed + secret.decode()


@pytest.fixture(scope="module")
def certificate() -> tuple[str, str]:
    """Return a certificate of 127.0.0.1 that vouches for itself, and it with its key."""
    return _certify()


@pytest.fixture
def secure(tmp_path: pathlib.Path, certificate: tuple[str, str]) -> Generator[sky.Sky]:
    """Return a cloud that speaks TLS."""
    file, pem = tmp_path / "description.json", tmp_path / "certificate.pem"
    file.write_text("{}")
    pem.write_text(certificate[1])
    with server.Server(file, certificate=pem) as stand_in:
        yield sky.Sky(stand_in, file)


def test_the_ca_certificate_of_the_credentials_is_trusted(secure: sky.Sky, certificate: tuple[str, str]) -> None:
    _sign_in(secure, ca_cert=certificate[0])
    assert len(secure.stand_in.requests) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(secure: sky.Sky) -> None:
    assert "The TLS certificate of Keystone at https://127.0.0.1" in _refusal(secure)
    assert secure.stand_in.requests == []


def test_a_certificate_of_another_authority_than_the_credentials_name_is_refused(secure: sky.Sky) -> None:
    message = _refusal(secure, ca_cert=_certify()[0])
    assert "The TLS certificate of Keystone at https://127.0.0.1" in message
    assert message.endswith("is not trusted: check the CA certificate of the credentials.")
    assert secure.stand_in.requests == []


def test_a_ca_certificate_that_is_none_is_refused(secure: sky.Sky) -> None:
    assert "certificate" in _refusal(secure, ca_cert="no certificate")
