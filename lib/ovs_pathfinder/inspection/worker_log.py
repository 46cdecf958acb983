"""What Octavia's worker on this host says of amphorae that it cannot reach (/var/log/octavia/octavia-worker.log).

Source: `octavia/amphorae/drivers/haproxy/rest_api_driver.py`; the exception is appended by oslo.log's formatter.
"""

import dataclasses
import functools
import ipaddress
import pathlib
import re
from collections.abc import Iterator, Sequence

from .. import path

FILES = (pathlib.Path("/var/log/octavia/octavia-worker.log.1"), pathlib.Path("/var/log/octavia/octavia-worker.log"))
"""The older one first."""
MAX_BYTES = 8_000_000
"""Of both files together; the latest are read."""

_START = re.compile(r"^(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?)\b")
_SAID = re.compile(r"Could\s+not\s+connect\s+to\s+instance|The\s+amphora\s+is\s+unavailable")
_GIVEN_UP = re.compile(r"The\s+amphora\s+is\s+unavailable")
_HOST = re.compile(r"""host=u?(?P<quote>['"])(?P<address>[^'"]+)(?P=quote)""")
_EXCEPTION = re.compile(r"Retrying\.:? (?P<name>[A-Za-z_][\w.]*)")
_FOLLOWING = 12
"""Lines without a time that still belong to the one before; tracebacks are longer and say nothing more."""


class Trouble(path.Model):
    """The failed attempts to reach one address; times are of the log's own clock and zone."""

    address: str
    first: str
    latest: str
    count: int
    """Attempts that failed."""
    given_up: str = ""
    """When the worker stopped trying, the latest time; empty where it did not."""
    exception: str = ""
    """The latest one's name, such as `requests.exceptions.ConnectTimeout`."""
    line: str = ""
    """The latest line, shortened."""


class Log(path.Model):
    """What was read, and what it says."""

    file: str
    present: bool
    bytes: int = 0
    """How many were read, of the current file and the one before."""
    whole: bool = True
    """Whether all of both was read."""
    since: str = ""
    """The earliest time in what was read."""
    until: str = ""
    """The latest time in what was read."""
    troubles: tuple[Trouble, ...] = ()
    nameless: int = 0
    """Failed attempts whose line names no address."""
    problem: str = ""
    """Why a file could not be read."""


def read(files: Sequence[pathlib.Path] | None = None, limit: int = MAX_BYTES) -> Log:
    """Read the latest bytes of the log, across the file and the one that was rotated before it."""
    wanted = FILES if files is None else files
    left, parts, whole, problem, present = limit, list[str](), True, "", False
    for file in reversed(wanted):
        try:
            size = file.stat().st_size
            with file.open("rb") as stream:
                stream.seek(max(0, size - left))
                # What is written meanwhile is not waited for.
                found = stream.read(min(size, left))
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = f"{file} cannot be read ({error.strerror or error})"
            continue
        present = True
        whole = whole and len(found) == size
        left -= len(found)
        parts.insert(0, found.decode(errors="replace"))
    log = parse("\n".join(parts))
    changes = {"file": str(wanted[-1]), "present": present, "bytes": limit - left, "whole": whole, "problem": problem}
    return log.model_copy(update=changes)


def parse(text: str) -> Log:
    """Read lines of the log; those that belong to no address are counted."""
    troubles: dict[str, _Counted] = {}
    nameless, since, until = 0, "", ""
    for time, record in _records(text):
        since, until = since or time, time
        if not _SAID.search(record):
            continue
        found = _HOST.search(record)
        if found is None:
            nameless += 1
            continue
        address = _canonical(found["address"])
        known = troubles.setdefault(address, _Counted(first=time))
        known.latest = time
        if _GIVEN_UP.search(record):
            known.given_up = time
        else:
            known.count, known.record = known.count + 1, record
    shown = tuple(_trouble(address, known) for address, known in troubles.items())
    return Log(file="", present=True, since=since, until=until, troubles=shown, nameless=nameless)


@dataclasses.dataclass
class _Counted:
    """What is known of an address so far: a log can have tens of thousands of such lines."""

    first: str
    latest: str = ""
    count: int = 0
    given_up: str = ""
    record: str = ""
    """The latest one that failed."""


def _trouble(address: str, known: _Counted) -> Trouble:
    said = " ".join(known.record.split())
    named = _EXCEPTION.search(said)
    return Trouble(
        address=address,
        first=known.first,
        latest=known.latest,
        count=known.count,
        given_up=known.given_up,
        exception=named["name"] if named else "",
        line=said[:300],
    )


def _records(text: str) -> Iterator[tuple[str, str]]:
    """Yield what was logged with its time; a record may have further lines, which bear none."""
    time, record, more = "", list[str](), 0
    for line in text.splitlines():
        start = _START.match(line)
        if start is None:
            more += 1
            if more <= _FOLLOWING:
                record.append(line)
            continue
        if time:
            yield time, "\n".join(record)
        time, record, more = start["time"], [line], 0
    if time:
        yield time, "\n".join(record)


@functools.lru_cache(maxsize=4096)
def _canonical(address: str) -> str:
    text = address.strip("[]").partition("%")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return address
