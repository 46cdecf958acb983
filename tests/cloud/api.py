"""The cloud's APIs, asked from the test's own process: raw answers, nothing sent twice."""

import contextlib
import ctypes
import json
import os
import pathlib
import socket
import urllib.error
import urllib.request
from collections.abc import Generator
from typing import Any

from tests.lab import topology

PROJECT, USER, PASSWORD = "services", "ovs-pathfinder", "secret"
"""The one account: the services use it too."""
REGION = "RegionOne"
PORTS = {
    "identity": (topology.CLOUD_PORT, "/v3"),
    "network": (9696, ""),
    "compute": (8774, "/v2.1"),
    "placement": (8778, ""),
    "load-balancer": (9876, ""),
    "image": (9292, ""),
}
"""Where each service listens, and the path of its endpoint in the catalogue."""
_LIMIT = 60.0
"""Seconds that a request may take on a busy machine."""
_libc = ctypes.CDLL(None, use_errno=True)


class RefusedError(RuntimeError):
    """A service has answered with an error."""


@contextlib.contextmanager
def inside(namespace: str) -> Generator[None]:
    """Let this thread open its sockets in a network namespace for a while."""
    with pathlib.Path("/proc/thread-self/ns/net").open() as home, pathlib.Path("/run/netns", namespace).open() as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(home.fileno())


def listens(namespace: str, service: str) -> bool:
    """Say whether a service takes connections."""
    with inside(namespace), contextlib.suppress(OSError):
        socket.create_connection((topology.CONTROL_ADDRESS, PORTS[service][0]), timeout=5).close()
        return True
    return False


def endpoint(service: str) -> str:
    """Return the address of a service as the catalogue has it."""
    port, path = PORTS[service]
    return f"http://{topology.CONTROL_ADDRESS}:{port}{path}"


class Api:
    """The account, signed in."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._token = ""

    def get(self, service: str, path: str) -> Any:
        """Get something."""
        return self._call("GET", service, path)

    def post(self, service: str, path: str, body: Any) -> Any:
        """Make something."""
        return self._call("POST", service, path, body)

    def put(self, service: str, path: str, body: Any) -> Any:
        """Change something."""
        return self._call("PUT", service, path, body)

    def delete(self, service: str, path: str) -> None:
        """Delete something."""
        self._call("DELETE", service, path)

    def _call(self, method: str, service: str, path: str, body: Any = None) -> Any:
        if not self._token:
            self._token = self._sign_in()
        headers = {"X-Auth-Token": self._token, "OpenStack-API-Version": "compute 2.79"}
        return json.loads(self._send(method, endpoint(service) + path, body, headers)[1] or b"null")

    def _sign_in(self) -> str:
        user = {"name": USER, "password": PASSWORD, "domain": {"id": "default"}}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"name": PROJECT, "domain": {"id": "default"}}},
            }
        }
        return self._send("POST", endpoint("identity") + "/auth/tokens", body, {})[0]

    def _send(self, method: str, url: str, body: Any, headers: dict[str, str]) -> tuple[str, bytes]:
        """Send a request; return the token, where the answer has one, and what it says."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - the cloud's own address
            url, data, {"Content-Type": "application/json", **headers}, method=method
        )
        try:
            with inside(self._namespace), self._opener.open(request, timeout=_LIMIT) as answer:
                return answer.headers.get("X-Subject-Token", ""), answer.read()
        except urllib.error.HTTPError as error:
            raise RefusedError(f"{method} {url}: {error.code}: {error.read().decode(errors='replace')}") from None


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
