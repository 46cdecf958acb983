"""Requests and answers, as the services see them."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Request:
    """A request to one service."""

    method: str
    path: str
    """Below the service's own part of the address, without a slash at its end: `/v2.0/ports`."""
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes
    url: str
    """The service's address: `http://127.0.0.1:1234/network`."""

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body or b"null")

    def first(self, key: str) -> str | None:
        """Return the first value of a key of the query."""
        return self.query.get(key, [None])[0]

    @property
    def limit(self) -> int | None:
        """The size of a page; None for everything on one."""
        limit = self.first("limit")
        return int(limit) if limit else None


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer of a service; a body that is no text is sent as JSON."""

    status: int
    body: Any
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])

    @property
    def content(self) -> bytes:
        """The bytes to send."""
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()

    @property
    def content_type(self) -> str:
        """The media type to send."""
        return "text/html" if isinstance(self.body, str) else "application/json"


def unknown(path: str) -> Answer:
    """Answer as a web server does where no service listens."""
    return Answer(404, f"<html><head><title>404 Not Found</title></head><body>{path} was not found.</body></html>")


def text(value: Any) -> str:
    """Return a value as it stands in a query; truth values in lower case."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def matches(value: Any, wanted: list[str]) -> bool:
    """Tell whether an attribute has one of the values wanted; a list has them if one of its items does."""
    if isinstance(value, bool):
        return text(value) in [want.lower() for want in wanted]
    items: list[Any] = [*value] if isinstance(value, list) else [value]
    return any(text(item) in wanted for item in items)
