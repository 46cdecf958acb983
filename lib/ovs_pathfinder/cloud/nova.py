"""Nova's servers, as far as a name needs them."""

import re
import urllib.parse
from collections.abc import Collection

import pydantic

from . import answer, connection

_PAGES = 5
"""Of 1,000 servers each, where Nova's own limit was not changed."""


class Server(answer.Object):
    """A server, and what tells it from others of its name."""

    id: str
    name: answer.Text
    status: answer.Text = ""
    host: answer.Text = pydantic.Field("", alias="OS-EXT-SRV-ATTR:host")


def servers(cloud: connection.Cloud, name: str) -> tuple[Server, ...]:
    """Return the servers of all projects with exactly this name, which Nova takes as a regular expression."""
    found = _page(cloud, f"^{_escaped(name)}$")
    # MySQL compares without regard to case.
    return tuple(server for server in found if server.name == name)


def servers_of_names(cloud: connection.Cloud, names: Collection[str], prefix: str) -> tuple[Server, ...]:
    """Return the servers of all projects with these names, which all begin with `prefix`.

    One name is one request. More are as many as Nova needs pages for all servers with the prefix, five at most: where
    its database is MySQL, Nova takes `|` for the character itself, so that no pattern stands for several names.
    """
    if len(names) == 1:
        return servers(cloud, *names)
    found: list[Server] = []
    for _ in range(_PAGES if names else 0):
        page = _page(cloud, f"^{_escaped(prefix)}", found[-1].id if found else "")
        found += page
        if not page or set(names) <= {server.name for server in found}:
            break
    return tuple(server for server in found if server.name in names)


def server(cloud: connection.Cloud, identifier: str) -> Server | None:
    """Return the server of an id; None if there is none."""
    body = cloud.get("compute", f"/servers/{urllib.parse.quote(identifier, safe='')}")
    return None if body is None else answer.one("Nova", Server, body, "server")


def _page(cloud: connection.Cloud, pattern: str, marker: str = "") -> tuple[Server, ...]:
    parameters = {"name": [pattern], "all_tenants": ["1"], **({"marker": [marker]} if marker else {})}
    body = cloud.get("compute", "/servers/detail", parameters)
    return answer.many("Nova", Server, body or {}, "servers")


def _escaped(name: str) -> str:
    # re.escape() escapes more than the regular expressions of all of Nova's databases allow.
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", name)
