"""Octavia v2.0: amphorae and load balancers."""

from tests.lab.cloud import description, message

_CONTROLS = ("fields", "limit", "marker", "sort", "sort_key", "sort_dir", "page_reverse")
_BALANCERS = ("/v2.0/lbaas/loadbalancers", "/v2/lbaas/loadbalancers")
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
        return _list(request, "amphorae", amphorae)
    if request.path in _BALANCERS:
        return _list(request, "loadbalancers", cloud.objects("loadbalancers"))
    parent, _, identifier = request.path.rpartition("/")
    found = [amphora for amphora in amphorae if amphora["id"] == identifier]
    if parent in _PATHS and found:
        return message.Answer(200, {"amphora": found[0]})
    sentence = f"Amphora {identifier} not found."
    return message.Answer(404, {"faultcode": "Client", "faultstring": sentence, "debuginfo": None})


def _list(request: message.Request, key: str, objects: list[description.Object]) -> message.Answer:
    """Answer with one page; of a filter that is given twice Octavia takes the last value."""
    filters = {name: values[-1:] for name, values in request.query.items() if name not in _CONTROLS}
    fields = request.query.get("fields", [])
    found = [
        entry for entry in objects if all(message.matches(entry.get(name), wanted) for name, wanted in filters.items())
    ]
    page = [{name: entry.get(name) for name in fields} if fields else entry for entry in found[: request.limit]]
    return message.Answer(200, {key: page, f"{key}_links": []})
