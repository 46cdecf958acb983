"""Octavia v2.0: amphorae."""

from tests.lab.cloud import description, message

_PATHS = ("/v2.0/octavia/amphorae", "/v2/octavia/amphorae")


def answer(request: message.Request, cloud: description.Description) -> message.Answer:
    """Answer a request with a valid token, or one for the versions."""
    if request.path in ("", "/v2.0", "/v2"):
        # Octavia lists every minor version; the last one is the current one.
        versions = [
            {"id": f"v2.{minor}", "status": status, "links": [{"rel": "self", "href": f"{request.url}/v2"}]}
            for minor, status in ((0, "SUPPORTED"), (26, "CURRENT"))
        ]
        return message.Answer(200, {"versions": versions})
    amphorae = cloud.objects("amphorae")
    if request.path in _PATHS:
        filters = {key: values for key, values in request.query.items() if key not in ("fields", "limit", "marker")}
        found = [
            amphora
            for amphora in amphorae
            if all(message.matches(amphora.get(key), wanted) for key, wanted in filters.items())
        ]
        return message.Answer(200, {"amphorae": found[: request.limit], "amphorae_links": []})
    parent, _, identifier = request.path.rpartition("/")
    found = [amphora for amphora in amphorae if amphora["id"] == identifier]
    if parent in _PATHS and found:
        return message.Answer(200, {"amphora": found[0]})
    sentence = f"Amphora {identifier} not found."
    return message.Answer(404, {"faultcode": "Client", "faultstring": sentence, "debuginfo": None})
