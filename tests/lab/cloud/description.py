"""The cloud's objects, read from a file that may change at any time."""

import contextlib
import dataclasses
import datetime
import json
import pathlib
import threading
from typing import Any, Literal

Object = dict[str, Any]
"""One object of a real API, as its JSON says."""


@dataclasses.dataclass(frozen=True)
class Account:
    """The one account that Keystone knows."""

    username: str = "ovs-pathfinder"
    password: str = "secret"  # noqa: S105 - of a cloud that lives for one test
    project: str = "services"
    domain: str = "default"
    project_id: str = "74333ef2bac5444ea3bd6fd7b663dfa0"


@dataclasses.dataclass(frozen=True)
class Failure:
    """An answer to spoil; the package says what the fields mean."""

    service: str
    path: str = ""
    method: str = ""
    skip: int = 0
    times: int | None = None
    effect: Literal["", "before", "after", "begun"] = ""
    status: int = 503
    body: str | None = None
    delay: float = 0
    drop: bool = False


SERVICES = ("identity", "network", "compute", "load-balancer")


class Description:
    """The objects of the file, as of its latest change."""

    def __init__(self, file: pathlib.Path) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._seen: tuple[int, int, int] | None = None
        self._content: dict[str, Any] = json.loads(file.read_text())

    def _read(self) -> dict[str, Any]:
        with self._lock:
            status = self._file.stat()
            # Two writes can fall into one tick of the clock; the inode and the size tell them apart.
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                # Half of a file that is being written leaves the latest whole one in force.
                with contextlib.suppress(json.JSONDecodeError):
                    self._content = json.loads(self._file.read_text())
                    self._seen = seen
            return self._content

    def objects(self, kind: str) -> list[Object]:
        """Return the objects of one kind, such as `ports`."""
        return self._read().get(kind, [])

    @property
    def account(self) -> Account:
        """The account that may ask for a token."""
        return Account(**self._read().get("credentials", {}))

    @property
    def services(self) -> tuple[str, ...]:
        """The services that the catalogue names."""
        return tuple(self._read().get("services", SERVICES))

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The answers to spoil."""
        return tuple(Failure(**failure) for failure in self._read().get("failures", []))

    def update(self, kind: str, identifier: str, changes: Object) -> Object:
        """Change one object, in the file too, and count its revision."""
        with self._lock:
            content = self._read()
            (changed,) = (entry for entry in content[kind] if entry["id"] == identifier)
            changed |= changes | {"revision_number": changed.get("revision_number", 0) + 1}
            if "updated_at" in changed:
                changed["updated_at"] = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
            draft = self._file.with_name(f"{self._file.name}.new")
            draft.write_text(json.dumps(content))
            draft.replace(self._file)
            return changed
