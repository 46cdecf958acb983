"""A snapshot of a switch as a file: readable by a person, by this module, and by ovs-ofctl.

Text, a line each; a line that begins with `#` is a comment to ovs-ofctl. The order is fixed:

    # ovs-pathfinder snapshot 1
    # …                           two lines for the reader
    # state {…}                   `state.State` without what follows, as JSON
    # bridge {…}                  `state.Bridge`, with its groups and meters; one line a bridge
    # port {…}                    `state.Port`; one line a port
    # flows {"bridge": …}         heads the flows of a bridge
     cookie=…                     a flow as `ovs-ofctl --no-names dump-flows` printed it
    # flows-end {"bridge": …, "openflow": …, "flows": N}   the version of OpenFlow spoken, and how many there were
    # end {"flows": {…}}          how many flows each bridge has; where it is missing, the file is cut off
"""

import bisect
import contextlib
import json
import os
import pathlib
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import IO, Any, Protocol

import pydantic

from .. import errors, files
from . import dump, state

VERSION = 1
_FIRST = b"# ovs-pathfinder snapshot "
_FOR_READERS = (
    "# Lines with a # describe the switch (JSON); the others are flows, as ovs-ofctl dump-flows prints them.",
    '# The flows of one bridge alone: sed -n \'/^# flows {"bridge": "br-int"}/,/^# flows-end/p\' FILE',
)
_CHUNK = 1 << 20
_LONGEST_LINE = 16 << 20
_COMMENT = re.compile(rb"^(#[^\n]*)\n", re.MULTILINE)


class Source(Protocol):
    """A switch at one time: the live one, or a snapshot of one."""

    @property
    def switch(self) -> state.State:
        """All but the flows."""
        ...

    def flows(self) -> "Iterator[tuple[Flows, Iterator[bytes]]]":
        """Yield each bridge with its flows, in chunks of whole lines; they must be read before the next bridge."""
        ...


class Flows:
    """The flows of one bridge, told as they are read."""

    def __init__(self, bridge: str) -> None:
        self.bridge = bridge
        self.openflow = ""
        """The version that was spoken; known at the end."""
        self.error = ""
        """Why they could not be read, in whole or in part; known at the end."""


class Live:
    """The switch of this host, now."""

    def __init__(self, unit: str, label: str = "") -> None:
        """Ask for its state; the flows follow.

        Raises:
            PathfinderError: ovsdb-server does not answer.
        """
        self._switch = state.read(unit, label)

    @property
    def switch(self) -> state.State:
        """All but the flows."""
        return self._switch

    def flows(self) -> Iterator[tuple[Flows, Iterator[bytes]]]:
        """Ask each bridge for its flows; what cannot be read of one is an error of that one."""
        for bridge in self._switch.bridges:
            found = Flows(bridge.name)
            yield found, _live(found)


def _live(found: Flows) -> Iterator[bytes]:
    flows = dump.Flows(found.bridge)
    try:
        yield from flows
        found.error = flows.unread()
    except errors.PathfinderError as error:
        found.error = str(error)
    found.openflow = flows.openflow


class Written:
    """What a snapshot holds, once it is written."""

    def __init__(self) -> None:
        self.flows: dict[str, int] = {}
        """How many flows each bridge has."""
        self.openflow: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        """Why a bridge's flows could not be read."""


def write(
    source: Source, put: Callable[[bytes], object], seen: Callable[[str, bytes], object] = lambda bridge, chunk: None
) -> Written:
    """Write a snapshot, a chunk at a time.

    Args:
        source: The switch.
        put: Takes what is to be written.
        seen: Is told of each bridge's chunks of flows, so that they need not be read again.
    """
    written = Written()
    for line in _head(source.switch):
        put(line.encode() + b"\n")
    for found, chunks in source.flows():
        put(_comment("flows", {"bridge": found.bridge}))
        count = 0
        for chunk in chunks:
            put(chunk)
            count += chunk.count(b"\n")
            seen(found.bridge, chunk)
        about = {"bridge": found.bridge, "openflow": found.openflow, "flows": count, "error": found.error}
        put(_comment("flows-end", about))
        written.flows[found.bridge] = count
        written.openflow[found.bridge] = found.openflow
        if found.error:
            written.errors[found.bridge] = found.error
    put(_comment("end", {"flows": written.flows}))
    return written


def _head(about: state.State) -> Iterator[str]:
    yield f"{_FIRST.decode()}{VERSION}"
    yield from _FOR_READERS
    yield "# state " + about.model_dump_json(exclude={"bridges", "ports"})
    for bridge in about.bridges:
        yield "# bridge " + bridge.model_dump_json()
    for port in about.ports:
        yield "# port " + port.model_dump_json()


def _comment(kind: str, about: Mapping[str, Any]) -> bytes:
    return f"# {kind} {json.dumps(about)}\n".encode()


class Snapshot:
    """A snapshot in a file, checked to be whole."""

    def __init__(self, file: pathlib.Path) -> None:
        """Read all but the flows.

        Raises:
            PathfinderError: It is no snapshot, cannot be read, is cut off, or is of a version that is not known here.
        """
        self.file = file
        with self._opened() as stream:
            self._check_first(stream)
            self._check_last(stream)
            self._switch = self._read_switch()

    @property
    def switch(self) -> state.State:
        """All but the flows."""
        return self._switch

    def flows(self) -> Iterator[tuple[Flows, Iterator[bytes]]]:
        """Yield each bridge with its flows.

        Raises:
            PathfinderError: The file is damaged.
        """
        pieces = self._pieces()
        for kind, content in pieces:
            if kind == "flows":
                found = Flows(str(self._json(content).get("bridge", "")))
                yield found, self._until_end(found, pieces)

    def _until_end(self, found: Flows, pieces: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
        count = 0
        for kind, content in pieces:
            if kind == "flows-end":
                about = self._json(content)
                if about.get("flows") != count:
                    break
                found.openflow, found.error = str(about.get("openflow", "")), str(about.get("error", ""))
                return
            if kind:
                break
            count += content.count(b"\n")
            yield content
        raise self._damaged(f"it does not hold as many flows of {found.bridge} as it says")

    def lines(self, wanted: Mapping[str, set[int]]) -> dict[tuple[str, int], bytes]:
        """Return flows by bridge and number, counted from 0 in each bridge."""
        found: dict[tuple[str, int], bytes] = {}
        for about, chunks in self.flows():
            numbers = sorted(wanted.get(about.bridge, ()))
            start = place = 0
            for chunk in chunks:
                end = start + chunk.count(b"\n")
                until = bisect.bisect_left(numbers, end)
                if until > place:
                    lines = chunk.split(b"\n")
                    found |= {(about.bridge, one): lines[one - start] for one in numbers[place:until]}
                start, place = end, until
        return found

    @contextlib.contextmanager
    def _opened(self) -> Generator[IO[bytes]]:
        """Open a regular file, and nothing that could block or do something when it is opened."""
        try:
            with files.open_kept(self.file, buffering=0) as stream:
                yield stream
        except files.NotRegularError as error:
            message = f"{self.file} is no regular file, so it is no snapshot; name a file"
            raise errors.PathfinderError(message) from error
        except OSError as error:
            raise errors.PathfinderError(f"the snapshot {self.file} cannot be read: {error.strerror}") from error

    def _check_first(self, stream: IO[bytes]) -> None:
        first = stream.read(100).partition(b"\n")[0].rstrip(b"\r")
        version = first.removeprefix(_FIRST).decode(errors="replace")
        if not first.startswith(_FIRST) or not version.isdecimal():
            raise errors.PathfinderError(
                f"{self.file} is no snapshot of ovs-pathfinder: it does not begin as one; name one that snapshot-flows "
                "has written"
            )
        if int(version) != VERSION:
            raise errors.PathfinderError(
                f"{self.file} is a snapshot of version {version}, and this charm knows version {VERSION}; use the "
                "charm that wrote it, or a newer one"
            )

    def _check_last(self, stream: IO[bytes]) -> None:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - (1 << 16)))
        last = stream.read().rstrip(b"\r\n").rpartition(b"\n")[2]
        if not (last.startswith(b"# end {") and last.endswith(b"}}")):  # it holds an object in an object
            raise errors.PathfinderError(
                f"the snapshot {self.file} is cut off: its last line is missing; fetch or take it again"
            )

    def _read_switch(self) -> state.State:
        about: dict[str, Any] = {}
        bridges: list[Any] = []
        ports: list[Any] = []
        for kind, content in self._pieces():
            if kind == "state":
                about = self._json(content)
            elif kind == "bridge":
                bridges.append(self._json(content))
            elif kind == "port":
                ports.append(self._json(content))
            elif kind in ("flows", "end"):
                break
        if not about:
            raise self._damaged("it does not say of which switch it is")
        try:
            return state.State.model_validate({**about, "bridges": bridges, "ports": ports})
        except pydantic.ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise self._damaged(f"what it says of the switch is not as it should be ({where})") from error

    def _pieces(self) -> Iterator[tuple[str, bytes]]:
        """Yield comments with their kind, and chunks of flows with an empty one."""
        with self._opened() as stream:
            for chunk in _whole_lines(stream):
                parts = _COMMENT.split(chunk) if chunk.startswith(b"#") or b"\n#" in chunk else [chunk]
                for number, part in enumerate(parts):
                    if number % 2:
                        kind, _, content = part[2:].partition(b" ")
                        yield kind.decode(errors="replace") or "#", content
                    elif part:
                        yield "", part

    def _json(self, content: bytes) -> dict[str, Any]:
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._damaged("a line that describes the switch is no JSON") from error
        if not isinstance(found, dict):
            raise self._damaged("a line that describes the switch is not as it should be")
        return {str(key): value for key, value in found.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]

    def _damaged(self, how: str) -> errors.PathfinderError:
        return errors.PathfinderError(f"the snapshot {self.file} is damaged: {how}; fetch or take it again")


def _whole_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield large chunks that end where a line does; the ends of lines may be those of a terminal."""
    rest = b""
    is_of_a_terminal: bool | None = None
    while piece := stream.read(_CHUNK):
        end = piece.rfind(b"\n") + 1
        if end:
            chunk = rest + piece[:end]
            if is_of_a_terminal is None:
                is_of_a_terminal = chunk[: chunk.index(b"\n")].endswith(b"\r")
            yield chunk.replace(b"\r\n", b"\n") if is_of_a_terminal else chunk
            rest = piece[end:]
        elif len(rest) < _LONGEST_LINE:
            rest += piece
        else:
            return
    if rest:
        yield rest.rstrip(b"\r") + b"\n"
