"""Nova's servers, as far as a name needs them."""

import re

import pydantic

from . import answer, connection


class Server(answer.Object):
    """A server, and what tells it from others of its name."""

    id: str
    name: answer.Text
    status: answer.Text = ""
    host: answer.Text = pydantic.Field("", alias="OS-EXT-SRV-ATTR:host")


def servers(cloud: connection.Cloud, name: str) -> tuple[Server, ...]:
    """Return the servers of all projects with exactly this name, which Nova takes as a regular expression."""
    # re.escape() escapes more than the regular expressions of all of Nova's databases allow.
    pattern = re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", name)
    body = cloud.get("compute", "/servers/detail", {"name": [f"^{pattern}$"], "all_tenants": ["1"]})
    found = answer.many("Nova", Server, body or {}, "servers")
    # MySQL compares without regard to case.
    return tuple(server for server in found if server.name == name)
