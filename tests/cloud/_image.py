"""The little of Glance that Nova asks for one image: `python _image.py ADDRESS PORT`."""

import http.server
import json
import sys
from typing import Any

IMAGE = "6b6ce6d8-5b7f-4a9c-9d3e-0123456789ab"
_DESCRIPTION: dict[str, Any] = {
    "id": IMAGE,
    "name": "amphora-x64-haproxy",
    "status": "active",
    "visibility": "public",
    "container_format": "bare",
    "disk_format": "qcow2",
    "min_disk": 0,
    "min_ram": 0,
    "size": 1048576,
    "checksum": "0" * 32,
    "protected": False,
    "tags": ["octavia-amphora"],
    "owner": None,
    "created_at": "2022-03-01T00:00:00Z",
    "updated_at": "2022-03-01T00:00:00Z",
    "virtual_size": None,
    "schema": "/v2/schemas/image",
    "file": f"/v2/images/{IMAGE}/file",
    "self": f"/v2/images/{IMAGE}",
}
_ANSWERS: dict[str, Any] = {
    f"/v2/images/{IMAGE}": _DESCRIPTION,
    "/v2/schemas/image": {
        "name": "image",
        "properties": {key: {} for key in _DESCRIPTION},
        "additionalProperties": {"type": "string"},
    },
}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, or say that there is none."""
        answer = _ANSWERS.get(self.path.split("?")[0].rstrip("/"))
        if self.path in ("/", "/versions"):
            links = [{"rel": "self", "href": f"http://{self.headers['Host']}/v2/"}]
            answer = {"versions": [{"id": "v2.9", "status": "CURRENT", "links": links}]}
        body = json.dumps(answer or {}).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), _Handler).serve_forever()
