"""Does an address answer to echo requests? From the right device (ping(8) of iputils)."""

import math
import re
from collections import Counter
from typing import Annotated, ClassVar, Literal

import pydantic

from .. import errors, path, process, words
from ..evidence import host
from . import answer, context, origin
from . import path_mtu as path_mtu_
from . import query as query_

_MAX_SECONDS = 120.0
_WAIT = 1.0
"""Seconds that the last answer is waited for."""
_SEARCH_WAIT = 0.4
_SEARCH_TRIES = 3

Kind = Literal["unreachable", "time-exceeded", "too-big", "redirected", "not-sent", "other"]

_ANSWER = re.compile(r"^\d+ bytes from (?P<sender>[^:\s]\S*?):? (?:\(.*?\): )?icmp_seq=(?P<sequence>\d+).*$")
_TROUBLE = re.compile(r"^From (?P<sender>\S+?):? (?:\(\S+\):? )?icmp_seq=(?P<sequence>\d+) (?P<reason>.+)$")
_LOCAL = re.compile(r"^(?:ping6?: )?(?:local error: |sendmsg: |send(?:to)?: )(?P<reason>.+)$")
_SUMMARY = re.compile(r"(?P<sent>\d+) packets transmitted, (?P<received>\d+)(?: packets)? received")
_TIMES = re.compile(
    r"(?:rtt|round-trip) min/avg/max/(?:mdev|stddev) = "
    r"(?P<min>[\d.]+)/(?P<avg>[\d.]+)/(?P<max>[\d.]+)/(?P<mdev>[\d.]+) ms"
)
_MTU = re.compile(r"mtu ?[=:] ?(?P<mtu>\d+)", re.IGNORECASE)
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("too-big", re.compile(r"too (big|long)|frag(mentation)? needed", re.IGNORECASE)),
    ("time-exceeded", re.compile(r"time to live|time exceeded|hop limit|reassembly", re.IGNORECASE)),
    ("redirected", re.compile(r"^redirect", re.IGNORECASE)),
    ("unreachable", re.compile(r"unreachable|filtered|prohibited|policy|reject route|no route", re.IGNORECASE)),
)


class Query(query_.Query):
    """Of ping."""

    destination: origin.OptionalAddress = ""
    run: query_.OptionalText = ""
    device: origin.OptionalDevice = ""
    port: query_.OptionalText = ""
    count: Annotated[int, pydantic.Field(ge=1, le=200)] = 5
    interval: Annotated[float, pydantic.Field(ge=0.05, le=5)] = 0.2
    size: Annotated[int, pydantic.Field(ge=path_mtu_.SMALLEST, le=8952)] = 56
    mtu_search: bool = False

    @pydantic.model_validator(mode="after")
    def _is_clear(self) -> "Query":
        named = [name for name in ("run", "device", "port") if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} each say where to send from; give one of them")
        if not self.destination and not self.run:
            raise ValueError("no destination is given; give an address, or a run whose destination is meant")
        seconds = self.count * self.interval
        if math.isnan(seconds) or seconds > _MAX_SECONDS:
            raise ValueError(
                f"count {self.count} times interval {self.interval:g} s is {seconds:g} s, more than "
                f"{_MAX_SECONDS:g} s; lower one of them"
            )
        return self


class Trouble(path.Model):
    """What came back in the place of answers, or kept packets from being sent."""

    kind: Kind
    reason: str
    """As ping words it."""
    sender: str = ""
    """Who said so; empty for this host's own kernel."""
    count: int
    mtu: int | None = None
    """Bytes of an IP packet, where the message names a limit."""

    def __str__(self) -> str:
        who = f"{self.sender} said" if self.sender else "this host said"
        return f"{self.count} × {self.kind}: {who} {self.reason!r}"


class Answer(answer.Answer):
    """What ping said."""

    action: ClassVar[str] = "ping"
    destination: str
    device: str
    source: str
    why: str
    """How the device was chosen."""
    command: str
    sent: int
    received: int
    lost: tuple[int, ...] = ()
    """Sequence numbers of those that were not answered, from 1."""
    duplicates: int = 0
    minimum: float | None = None
    """Milliseconds, as the next three; None where nothing was answered."""
    average: float | None = None
    maximum: float | None = None
    deviation: float | None = None
    troubles: tuple[Trouble, ...] = ()
    neighbour: str
    """The address whose MAC address was needed: the destination's or the gateway's."""
    neighbour_before: host.Neighbour
    neighbour_after: host.Neighbour
    path_mtu: path_mtu_.PathMtu | None = None
    output: str
    """What ping printed; its last 4,000 characters."""

    @property
    def lost_in_words(self) -> str:
        """The lost ones, as `2, 4-7`."""
        return ranges(self.lost)


class Printed(path.Model):
    """What was understood of ping's output."""

    sent: int | None = None
    """None where ping printed no summary."""
    answered: tuple[int, ...] = ()
    duplicates: int = 0
    times: tuple[float, float, float, float] | None = None
    """Milliseconds: smallest, average, largest, mean deviation."""
    troubles: tuple[Trouble, ...] = ()


def run(query: Query, context: context.Context) -> Answer:
    """Ping, and say what came of it.

    Raises:
        PathfinderError: Nothing can be sent from here.
    """
    plan = origin.plan_of(context, query.run)
    destination = origin.destination_of(query.destination, plan)
    start = origin.find(context, destination, device=query.device, port=query.port, plan=plan)
    before = host.neighbour_entry(start.neighbour, start.device)
    command = _command(start, destination, query.size, query.count, query.interval, _WAIT)
    context.log(f"sending {query.count} echo requests from {start.device} to {destination}")
    output = _ping(command, query.count * query.interval + _WAIT)
    found = parse(output)
    if found.sent is None:
        said = (output.strip().splitlines() or ["it printed nothing"])[-1]
        raise errors.PathfinderError(f"nothing could be sent from {start.device} to {destination}: {said[:300]}")
    after = host.neighbour_entry(start.neighbour, start.device)
    times = found.times or (None, None, None, None)
    result = Answer(
        summary="",
        destination=destination,
        device=start.device,
        source=start.source,
        why=start.why,
        command=words.pasted(*command.words),
        sent=found.sent,
        received=len(found.answered),
        lost=tuple(number for number in range(1, found.sent + 1) if number not in found.answered),
        duplicates=found.duplicates,
        minimum=times[0],
        average=times[1],
        maximum=times[2],
        deviation=times[3],
        troubles=found.troubles,
        neighbour=start.neighbour,
        neighbour_before=before,
        neighbour_after=after,
        output=output.strip()[-4000:],
    )
    notes: list[str] = []
    if query.mtu_search:
        result, notes = _search_too(result, start, plan, context)
    return result.model_copy(update={"summary": summarize(result), "notes": tuple(notes)})


def _command(
    start: origin.Origin, destination: str, size: int, count: int, interval: float, wait: float, *more: process.Word
) -> process.Command:
    options: list[process.Word] = ["-6" if ":" in destination else "-4", "-n", *more]
    sizes: list[process.Word] = [("-c", count), ("-i", float(interval)), ("-W", float(wait)), ("-s", size)]
    ends: list[process.Word] = [("-I", start.source), ("-I", start.device)]
    return process.Command(["ping", *options, *sizes, *ends], destination)


def _ping(command: process.Command, seconds: float) -> str:
    out, err = process.Running(command).finish(seconds + 3)
    return out + err


def parse(output: str) -> Printed:
    """Read what ping of iputils printed on stdout and stderr."""
    answered: dict[int, None] = {}
    duplicates = 0
    troubles: Counter[tuple[Kind, str, str, int | None]] = Counter()
    for line in output.splitlines():
        if found := _ANSWER.match(line):
            duplicates += "(DUP!)" in line
            answered[int(found["sequence"])] = None
        elif found := _TROUBLE.match(line) or _LOCAL.match(line):
            reason = found["reason"].strip()
            mtu = _MTU.search(reason)
            kind, sender = kind_of(reason), ""
            if found.re is _TROUBLE:
                sender = found["sender"]
            elif kind != "too-big":
                kind = "not-sent"  # a message of the kernel's own is no trouble on the way
            troubles[kind, reason, sender, int(mtu["mtu"]) if mtu else None] += 1
    summary, times = _SUMMARY.search(output), _TIMES.search(output)
    return Printed(
        sent=int(summary["sent"]) if summary else None,
        answered=tuple(answered),
        duplicates=duplicates,
        times=(float(times["min"]), float(times["avg"]), float(times["max"]), float(times["mdev"])) if times else None,
        troubles=tuple(
            Trouble(kind=kind, reason=reason, sender=sender, mtu=mtu, count=count)
            for (kind, reason, sender, mtu), count in troubles.most_common(20)
        ),
    )


def kind_of(reason: str) -> Kind:
    """Tell what kind of trouble ping's words mean."""
    for kind, pattern in _KINDS:
        if pattern.search(reason):
            return kind
    return "other"


def ranges(numbers: tuple[int, ...]) -> str:
    """Write sequence numbers short: `2, 4-7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def summarize(found: Answer) -> str:
    """Answer the question in one sentence."""
    where = f"{found.destination} from {found.device}"
    mtu = f" {found.path_mtu.text}" if found.path_mtu else ""
    if found.received == found.sent and found.sent:
        return f"{_many(found.sent)} answered by {where}, in {found.average:g} ms on average.{mtu}"
    if found.received:
        lost = f"lost: {found.lost_in_words}"
        return f"{found.received} of {found.sent} echo requests were answered by {where}; {lost}.{_because(found)}{mtu}"
    return f"No echo request of {found.sent} was answered by {where}.{_because(found)}{mtu}"


def _many(sent: int) -> str:
    return "The echo request was" if sent == 1 else f"All {sent} echo requests were"


def _because(found: Answer) -> str:
    """Say why some were not answered, as far as this host was told."""
    state = found.neighbour_after.state
    if state in ("FAILED", "INCOMPLETE") or not (state or found.received or found.troubles):
        known = f"neighbour {state}" if state else "it has no neighbour entry"
        return f" {found.neighbour} did not tell its MAC address ({known}), so no request could leave {found.device}."
    if found.troubles:
        first = found.troubles[0]
        return f" {first.sender or 'This host'} said: {first.reason}."
    if found.received:
        return ""
    return f" The MAC address of {found.neighbour} is known, so the requests left {found.device}."


def _search_too(
    result: Answer, start: origin.Origin, plan: path.Plan | None, context: context.Context
) -> tuple[Answer, list[str]]:
    """Look for the largest packet, where any is answered at all."""
    if not result.received:
        return result, ["The largest packet was not looked for: no packet is answered at all."]
    network = plan.network.mtu if plan is not None and plan.destination.address == result.destination else 0
    context.log(f"looking for the largest packet that {result.destination} answers")

    def ask(size: int) -> path_mtu_.Reply:
        command = _command(start, result.destination, size, _SEARCH_TRIES, 0.05, _SEARCH_WAIT, "-M", "do")
        found = parse(_ping(command, _SEARCH_TRIES * 0.05 + _SEARCH_WAIT))
        mtu = min((one.mtu for one in found.troubles if one.mtu), default=None)
        return path_mtu_.Reply(passed=bool(found.answered), mtu=mtu, pings=found.sent or 0)

    found = path_mtu_.find(ask, ip_version=6 if ":" in result.destination else 4, device=start.mtu, network=network)
    return result.model_copy(update={"path_mtu": found}), []
