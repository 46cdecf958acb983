"""Nova v2.1: servers."""

import re

from tests.lab.cloud import description, message

_PAGE = 1000
"""`osapi_max_limit`."""


def answer(request: message.Request, cloud: description.Description) -> message.Answer:
    """Answer a request with a valid token, or one for the versions."""
    version = {
        "id": "v2.1",
        "status": "CURRENT",
        "version": "2.93",
        "min_version": "2.1",
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": f"{request.url}/v2.1/"}],
    }
    if request.path == "":
        return message.Answer(200, {"versions": [version]})
    if request.path == "/v2.1":
        return message.Answer(200, {"version": version})
    if request.path in ("/v2.1/servers", "/v2.1/servers/detail"):
        return _list(request, cloud)
    identifier = request.path.removeprefix("/v2.1/servers/")
    for server in cloud.objects("servers"):
        if server["id"] == identifier and request.path.startswith("/v2.1/servers/"):
            return message.Answer(200, {"server": server})
    sentence = f"Instance {identifier} could not be found."
    return message.Answer(404, {"itemNotFound": {"code": 404, "message": sentence}})


def _list(request: message.Request, cloud: description.Description) -> message.Answer:
    try:
        # Where its database is MySQL, Nova takes `|` for the character itself.
        name = re.compile((request.first("name") or "").replace("|", r"\|"))
    except re.error:
        sentence = f"Invalid input for query parameters name. Value: {request.first('name')}. 'is not a 'regex'"
        return message.Answer(400, {"badRequest": {"code": 400, "message": sentence}})
    found = [server for server in cloud.objects("servers") if name.search(server.get("name", ""))]
    if (request.first("all_tenants") or "0").lower() not in ("1", "true"):
        # Without all_tenants Nova shows the servers of the token's own project.
        project = cloud.account.project_id
        found = [server for server in found if server.get("tenant_id", project) == project]
    for key in ("host", "status", "ip"):
        wanted = request.first(key)
        attribute = "OS-EXT-SRV-ATTR:host" if key == "host" else key
        found = [server for server in found if wanted is None or server.get(attribute) == wanted]
    marker = request.first("marker")
    if marker:
        places = [number for number, server in enumerate(found) if server["id"] == marker]
        if not places:
            sentence = f"marker [{marker}] not found"
            return message.Answer(400, {"badRequest": {"code": 400, "message": sentence}})
        found = found[places[0] + 1 :]
    found = found[: min(request.limit or _PAGE, _PAGE)]
    if not request.path.endswith("/detail"):
        found = [{key: server.get(key) for key in ("id", "name", "links")} for server in found]
    return message.Answer(200, {"servers": found})
