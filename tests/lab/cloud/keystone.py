"""Keystone v3: discovery and tokens."""

import datetime
import uuid
from typing import Any

from tests.lab.cloud import description, message

_PATHS = {
    "identity": "/v3",
    "network": "/network",
    "compute": "/compute/v2.1",
    "load-balancer": "/load-balancer",
}
_NAMES = {"identity": "keystone", "network": "neutron", "compute": "nova", "load-balancer": "octavia"}
_REGION = "RegionOne"


def answer(request: message.Request, cloud: description.Description, tokens: set[str]) -> message.Answer:
    """Answer a request; `request.url` is the stand-in's own address."""
    if request.path == "/v3/auth/tokens" and request.method == "POST":
        return _token(request, cloud, tokens)
    version = {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{request.url}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }
    if request.path == "/v3":
        return message.Answer(200, {"version": version})
    if request.path == "":
        return message.Answer(300, {"versions": {"values": [version]}})
    return _error(404, "Not Found", f"Could not find: {request.path}.")


def unauthorised() -> message.Answer:
    """Answer as keystonemiddleware does, in every service, without a valid token."""
    return _error(401, "Unauthorized", "The request you have made requires authentication.")


def _error(code: int, title: str, sentence: str) -> message.Answer:
    return message.Answer(code, {"error": {"code": code, "message": sentence, "title": title}})


def _token(request: message.Request, cloud: description.Description, tokens: set[str]) -> message.Answer:
    account = cloud.account
    try:
        user = request.json["auth"]["identity"]["password"]["user"]
        project = request.json["auth"]["scope"]["project"]
        given = (user["name"], user["password"], user["domain"]["name"])
        scope = (project["name"], project["domain"]["name"])
    except (KeyError, TypeError, ValueError):
        return _error(400, "Bad Request", "Expecting to find auth in request body.")
    if given != (account.username, account.password, account.domain) or scope != (
        account.project,
        account.domain,
    ):
        return unauthorised()
    token = f"gAAAA{uuid.uuid4().hex}"
    tokens.add(token)
    return message.Answer(201, {"token": _body(request.url, cloud)}, {"X-Subject-Token": token})


def _body(url: str, cloud: description.Description) -> dict[str, Any]:
    account, now = cloud.account, datetime.datetime.now(datetime.timezone.utc)
    domain = {"id": "default", "name": account.domain}
    return {
        "methods": ["password"],
        "user": {"id": "b6c73e7bb1b64bb68a69e9a4aaa54c3d", "name": account.username, "domain": domain},
        "project": {"id": account.project_id, "name": account.project, "domain": domain},
        "roles": [{"id": "3f6ea8f4b3e94b3c8c0cc0a4f5a6f9d1", "name": "Admin"}],
        "is_domain": False,
        "audit_ids": [uuid.uuid4().hex[:22]],
        "issued_at": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}",
        "expires_at": f"{now + datetime.timedelta(hours=1):%Y-%m-%dT%H:%M:%S.%fZ}",
        "catalog": [_service(url, kind) for kind in cloud.services],
    }


def _service(url: str, kind: str) -> dict[str, Any]:
    endpoints = [
        {
            "id": uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{interface}").hex,
            "interface": interface,
            "region": _REGION,
            "region_id": _REGION,
            "url": url + _PATHS[kind],
        }
        for interface in ("public", "internal", "admin")
    ]
    return {
        "id": uuid.uuid5(uuid.NAMESPACE_URL, kind).hex,
        "type": kind,
        "name": _NAMES[kind],
        "endpoints": endpoints,
    }
