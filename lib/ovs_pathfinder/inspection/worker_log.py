"""What Octavia's services on this host log of amphorae that they cannot reach (/var/log/octavia).

The worker builds and deletes amphorae, the health manager fails them over; both reach them by the same driver.
Source: `octavia/amphorae/drivers/haproxy/rest_api_driver.py`; the exception is appended by oslo.log's formatter.
"""

import dataclasses
import functools
import ipaddress
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

from .. import files as files_
from .. import path

FILES = (pathlib.Path("/var/log/octavia/octavia-worker.log.1"), pathlib.Path("/var/log/octavia/octavia-worker.log"))
"""The worker's, the older one first."""
HEALTH_FILES = (
    pathlib.Path("/var/log/octavia/octavia-health-manager.log.1"),
    pathlib.Path("/var/log/octavia/octavia-health-manager.log"),
)
"""The health manager's, the older one first."""
MAX_BYTES = 8_000_000
"""Of both files of a service together; the latest are read."""

_SYSLOG = r"(?:<\d+>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ [^:\s]+: "
"""What a log daemon puts before a line (RFC 3164, or rsyslog's own format): its time, the host, the program."""
_START = re.compile("^(?:" + _SYSLOG + r")?(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?)\b")
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
    understood: int = 0
    """Records that were understood; where something was read and this is 0, the log says nothing."""
    problem: str = ""
    """Why a file could not be read."""


def read() -> Log:
    """Read the logs of the worker and of the health manager."""
    return _together([read_one(FILES), read_one(HEALTH_FILES)])


def _together(logs: Sequence[Log]) -> Log:
    found = [one for one in logs if one.present or one.problem] or logs[:1]
    troubles: dict[str, Trouble] = {}
    for one in (trouble for log in found for trouble in log.troubles):
        known = troubles.get(one.address)
        troubles[one.address] = one if known is None else _joined(known, one)
    return Log(
        file=" and ".join(one.file for one in found),
        present=any(one.present for one in found),
        bytes=sum(one.bytes for one in found),
        whole=all(one.whole for one in found),
        since=min((one.since for one in found if one.since), default=""),
        until=max(one.until for one in found),
        troubles=tuple(troubles.values()),
        nameless=sum(one.nameless for one in found),
        understood=sum(one.understood for one in found),
        problem="; ".join(one.problem for one in found if one.problem),
    )


def _joined(one: Trouble, other: Trouble) -> Trouble:
    """Put together what two services say of one address."""
    early, late = sorted((one, other), key=lambda trouble: trouble.latest)
    return Trouble(
        address=one.address,
        first=min(one.first, other.first),
        latest=late.latest,
        count=one.count + other.count,
        given_up=max(one.given_up, other.given_up),
        exception=late.exception or early.exception,
        line=late.line or early.line,
    )


def read_one(files: Sequence[pathlib.Path], limit: int = MAX_BYTES) -> Log:
    """Read the latest bytes of one service's log, across the file and the one that was rotated before it."""
    left, parts, whole, problem, present = limit, list[str](), True, "", False
    for file in reversed(files):
        try:
            with files_.open_regular(file) as stream:
                size = os.fstat(stream.fileno()).st_size
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
    changes = {"file": str(files[-1]), "present": present, "bytes": limit - left, "whole": whole, "problem": problem}
    return log.model_copy(update=changes)


def parse(text: str) -> Log:
    """Read lines of the log; those that belong to no address are counted."""
    troubles: dict[str, _Counted] = {}
    nameless, since, until, understood = 0, "", "", 0
    for time, record in _records(text):
        understood += 1
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
    return Log(
        file="", present=True, since=since, until=until, troubles=shown, nameless=nameless, understood=understood
    )


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
