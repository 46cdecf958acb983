"""The connection to the cloud: openstacksdk signs in, knows the catalogue and sends every request."""

import base64
import contextlib
import logging
import os
import urllib.parse
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import pydantic

from .. import errors, path

if TYPE_CHECKING:
    import openstack.connection

_SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"
"""The host's own certificates, where the cloud's CA is installed too; requests would use a bundle of its own."""
_TIMEOUT = 10.0
"""Seconds that a request may take."""

_INTERFACES = ["internal", "public"]
"""The catalogue's endpoints in the order of preference: units of a cloud reach the internal ones."""

_NAMES = {"network": "Neutron", "compute": "Nova", "load_balancer": "Octavia"}
"""The services that are asked, by openstacksdk's names of them."""

_TALKATIVE = ("keystoneauth", "openstack", "stevedore", "urllib3")
"""Loggers that tell of every request, which a charm's root logger hands to Juju one process a line."""

Parameters = Mapping[str, Sequence[str]]
"""What a list is filtered by; several values of one key mean any of them."""


class Credentials(path.Model):
    """How to sign in to Keystone v3."""

    auth_url: str
    """Keystone's address, with or without `/v3`."""
    username: str
    password: pydantic.SecretStr
    project: str
    user_domain: str
    project_domain: str
    region: str = ""
    """The catalogue's region; empty for any."""
    ca_cert: str = ""
    """Certificates in PEM that the cloud's TLS certificates must lead to; empty for the system's own."""


class Unanswered(errors.PathfinderError):
    """A service is not in the catalogue, does not answer, or refuses to."""


class Missing(Unanswered):
    """A service is not in the catalogue."""


class Refused(Unanswered):
    """A service has answered, and with an error."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status
        """HTTP's."""


class _Answer(Protocol):
    status_code: int
    headers: Mapping[str, str]
    url: str

    def json(self) -> Any: ...


class _Adapter(Protocol):
    """The part of openstacksdk's proxies that is used: it sends exactly the filters that it is given."""

    def request(self, url: str, method: str, **options: Any) -> _Answer: ...


class Cloud:
    """A cloud that has accepted the credentials. Threads may share it."""

    def __init__(self, connection: "openstack.connection.Connection", region: str) -> None:
        self._connection: Any = connection
        self._region = region
        # The first look at a proxy is not safe in threads, and without Neutron there is no plan.
        self._adapter("network")

    def get(self, service: str, url: str, parameters: Parameters | None = None) -> dict[str, Any] | None:
        """Ask a service (`network`, `compute`, `load_balancer`) for something.

        Returns:
            The decoded answer; None where the service says that there is no such thing (404).

        Raises:
            Unanswered: the service is missing, does not answer, refuses, or answers something else than JSON.

        """
        answer = self._send(service, "GET", url, params=parameters or {})
        if answer.status_code == 404 and _is_unknown(service, _decoded(answer)):
            return None
        return _accept(_NAMES[service], answer)

    def put(
        self, service: str, url: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Change something, and return the decoded answer.

        It is sent once. keystoneauth would send it again after any failed connection, also one that ended after the
        request was received; and what was done must not be done again on top of what others did next.

        Raises:
            Refused: the service answers with an error, whose status says whether anything was changed.
            Unanswered: it does not answer, and may have made the change; or it answers something else than JSON.

        """
        answer = self._send(service, "PUT", url, json=body, headers=headers or {}, connect_retries=0)
        return _accept(_NAMES[service], answer)

    def _send(self, service: str, method: str, url: str, **options: Any) -> _Answer:
        """Send a request, and return its answer whatever its status is.

        A token that is not accepted (401) is replaced by keystoneauth, and the request sent once more.
        """
        import keystoneauth1.exceptions

        adapter = self._adapter(service)
        try:
            return adapter.request(url, method, **options)
        except keystoneauth1.exceptions.Unauthorized:
            raise Unanswered(
                f"{_NAMES[service]} no longer accepts the token, and Keystone gives no new one (HTTP 401): check "
                "whether the user's password or role was changed meanwhile."
            ) from None
        except _failures() as failure:
            raise Unanswered(_unreachable(_NAMES[service], failure)) from None

    def _adapter(self, service: str) -> _Adapter:
        import keystoneauth1.exceptions

        name = _NAMES[service]
        try:
            # What openstacksdk's proxy does where the catalogue lacks the service depends on the version.
            self._connection.session.get_endpoint(
                service_type=service.replace("_", "-"),
                interface=_INTERFACES,
                region_name=self._region or None,
                skip_discovery=True,
            )
            return getattr(self._connection, service)
        except keystoneauth1.exceptions.EndpointNotFound:
            where = f"the catalogue's region {self._region}" if self._region else "the catalogue"
            raise Missing(f"{name} is not in {where}: check the endpoints that Keystone lists.") from None
        except _failures() as failure:
            raise Unanswered(_unreachable(name, failure)) from None


@contextlib.contextmanager
def connect(credentials: Credentials) -> Generator[Cloud]:
    """Sign in to the cloud, for as long as the context lasts.

    Raises:
        errors.PathfinderError: Keystone does not answer or refuses, or the catalogue has no Neutron.

    """
    with contextlib.ExitStack() as stack:
        verify: bool | str = _SYSTEM_CA if os.path.exists(_SYSTEM_CA) else True  # noqa: PTH110
        if credentials.ca_cert:
            # A file in memory: port security is put back from a disk that cannot be written, too (memfd_create(2)).
            file = stack.enter_context(os.fdopen(os.memfd_create("ovs-pathfinder.pem"), "w"))
            file.write(_pem(credentials.ca_cert))
            file.flush()
            verify = f"/proc/self/fd/{file.fileno()}"
        connection = _sign_in(credentials, verify)
        stack.callback(connection.close)
        yield Cloud(connection, credentials.region)


def _sign_in(credentials: Credentials, verify: bool | str) -> "openstack.connection.Connection":
    """Ask Keystone for a token; from here on openstacksdk is loaded."""
    import keystoneauth1.exceptions
    import keystoneauth1.identity.v3
    import keystoneauth1.session
    import openstack.connection

    for name in _TALKATIVE:
        if not logging.getLogger(name).level:
            logging.getLogger(name).setLevel(logging.ERROR)
    url = _v3(credentials.auth_url)
    # The plug-in of v3, not the generic one, which would ask for Keystone's versions first.
    plugin = keystoneauth1.identity.v3.Password(
        auth_url=url,
        username=credentials.username,
        password=credentials.password.get_secret_value(),
        project_name=credentials.project,
        user_domain_name=credentials.user_domain,
        project_domain_name=credentials.project_domain,
    )
    session = keystoneauth1.session.Session(auth=plugin, verify=verify, timeout=_TIMEOUT, app_name="ovs-pathfinder")
    # An existing session keeps openstacksdk from reading clouds.yaml and the environment.
    connection = openstack.connection.Connection(
        session=session,
        region_name=credentials.region or None,
        interface=_INTERFACES,
        connect_retries=1,
        connect_retry_delay=0.2,
        status_code_retries=0,
    )
    try:
        session.get_token()
    except (keystoneauth1.exceptions.Unauthorized, keystoneauth1.exceptions.Forbidden) as failure:
        raise errors.PathfinderError(
            f"Keystone at {url} refuses the user {credentials.username} of domain {credentials.user_domain} "
            f"for the project {credentials.project} (HTTP {failure.http_status}): "
            "check the username, the password, the project and the domains."
        ) from None
    except keystoneauth1.exceptions.NotFound:
        raise errors.PathfinderError(f"There is no Keystone v3 at {url}: check the address.") from None
    except _failures() as failure:
        raise errors.PathfinderError(_unreachable(f"Keystone at {url}", failure)) from None
    return connection


def _pem(certificates: str) -> str:
    """Return certificates as PEM: some charms hand them over in base64 once more."""
    if "-----BEGIN" in certificates:
        return certificates
    try:
        return base64.b64decode(certificates, validate=True).decode()
    except ValueError:
        raise errors.PathfinderError(
            "the CA certificate of the cloud is neither PEM nor its base64; look at the option os-cacert, or at "
            "ca_cert in keystone's relation data"
        ) from None


def _v3(url: str) -> str:
    try:
        parts = urllib.parse.urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound, parts = False, urllib.parse.urlsplit("")
    if not sound:
        raise errors.PathfinderError(f"{url!r} is not the address of a Keystone: give http:// or https:// and a host.")
    stem = parts.path.rstrip("/")
    return urllib.parse.urlunsplit((parts.scheme, parts.netloc, stem.removesuffix("/v3") + "/v3", "", ""))


def _failures() -> tuple[type[Exception], ...]:
    """Return all that openstacksdk and the libraries below it raise; requests raises OSError."""
    import keystoneauth1.exceptions
    import openstack.exceptions

    return (keystoneauth1.exceptions.ClientException, openstack.exceptions.SDKException, OSError, ValueError)


def _unreachable(name: str, failure: Exception) -> str:
    """Say why there is no answer."""
    import keystoneauth1.exceptions

    if isinstance(failure, keystoneauth1.exceptions.SSLError):
        return f"The TLS certificate of {name} is not trusted: check the CA certificate of the credentials."
    if isinstance(failure, keystoneauth1.exceptions.ConnectTimeout):
        return f"{name} did not answer within {_TIMEOUT:g} s: check that it runs and can be reached."
    if isinstance(failure, keystoneauth1.exceptions.ConnectFailure):
        return f"{name} cannot be reached: check its address and that it runs."
    if isinstance(failure, keystoneauth1.exceptions.HttpError):
        return f"{name} fails with HTTP {failure.http_status}: look at its log."
    return f"{name} cannot be asked ({type(failure).__name__}): check its endpoint and its certificate."


def _decoded(answer: _Answer) -> dict[str, Any] | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return cast(dict[str, Any], body) if isinstance(body, dict) else None


def _is_unknown(service: str, body: dict[str, Any] | None) -> bool:
    """Return whether a 404 is the service's own word that there is no such thing, and not that of another server."""
    if service != "network":
        return body is not None
    # HTTPNotFound: no such resource, or one that the user may not see.
    kind = _neutron_error(body).get("type", "HTTPNotFound")
    return str(kind).endswith("NotFound") and kind != "HTTPNotFound"


def _neutron_error(body: dict[str, Any] | None) -> dict[str, Any]:
    error = (body or {}).get("NeutronError")
    return cast(dict[str, Any], error) if isinstance(error, dict) else {}


def _accept(name: str, answer: _Answer) -> dict[str, Any]:
    """Return what an answer holds, unless it is an error."""
    body = _decoded(answer)
    if answer.status_code >= 400:
        raise Refused(_refusal(name, answer, body), answer.status_code)
    if body is None:
        kind = answer.headers.get("Content-Type", "nothing")
        raise Unanswered(
            f"{name} answers {kind} instead of JSON for {_place(answer.url)}: check that endpoint in the catalogue."
        )
    return body


_REFUSALS = {
    404: "does not know all that is named",
    409: "refuses what contradicts other settings",
    412: "refuses a change of what others have changed meanwhile",
}


def _refusal(name: str, answer: _Answer, body: dict[str, Any] | None) -> str:
    """Say why a service refuses, in Neutron's own words where there are any."""
    status, where = answer.status_code, f"(HTTP {answer.status_code} for {_place(answer.url)})"
    if status == 401:
        return (
            f"{name} does not accept a new token of Keystone's either {where}: check [keystone_authtoken] in its "
            "configuration, and the clocks of both."
        )
    if status == 403:
        return f"{name} refuses to answer {where}: the credentials need the admin role."
    said = " ".join(str(_neutron_error(body).get("message", "")).split())[:300]
    if status >= 500 or not said:
        return f"{name} fails with HTTP {status} for {_place(answer.url)}: look at its log."
    return f"{name} {_REFUSALS.get(status, 'refuses the request')} {where}: {said}"


def _place(url: str) -> str:
    """Return an address without its query, which can be long."""
    return url.partition("?")[0]
