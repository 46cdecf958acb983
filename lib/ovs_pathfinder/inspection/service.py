"""Does anything answer on a port, and if not, who says so? From the right device (tcp(7), udp(7), ip(7))."""

from collections import Counter
from typing import Annotated, ClassVar, Literal

import pydantic

from .. import words
from ..evidence import host
from . import answer, attempts, context, origin
from . import query as query_

_RETRY = 0.9
"""Seconds after which a connection came about by the kernel's second SYN, which it sends after one (RFC 6298)."""


class Query(query_.Query):
    """Of check-port."""

    destination: origin.OptionalAddress = ""
    port: Annotated[int, pydantic.Field(ge=1, le=65535)]
    protocol: Literal["tcp", "udp"] = "tcp"
    run: query_.OptionalText = ""
    device: origin.OptionalDevice = ""
    count: Annotated[int, pydantic.Field(ge=1, le=50)] = 3

    @pydantic.model_validator(mode="after")
    def _is_clear(self) -> "Query":
        if self.run and self.device:
            raise ValueError("run and device each say where to send from; give one of them")
        if not self.destination and not self.run:
            raise ValueError("no destination is given; give an address, or a run whose destination is meant")
        return self


class Answer(answer.Answer):
    """What became of each attempt."""

    action: ClassVar[str] = "check-port"
    destination: str
    port: int
    protocol: Literal["tcp", "udp"]
    device: str
    source: str
    why: str
    """How the device was chosen."""
    command: str
    """The same by hand, in one attempt."""
    attempts: tuple[attempts.Attempt, ...]
    connected: int
    """Attempts that were connected; with UDP, answered."""
    refused: int
    silent: int
    unreachable: int
    neighbour: str
    """The address whose MAC address was needed: the destination's or the gateway's."""
    neighbour_before: host.Neighbour
    neighbour_after: host.Neighbour
    meaning: str
    """What the outcome says of the path and of the service."""


def run(query: Query, context: context.Context) -> Answer:
    """Connect, or send datagrams, and say what came of it.

    Raises:
        PathfinderError: Nothing can be sent from here.
    """
    plan = origin.plan_of(context, query.run)
    destination = origin.destination_of(query.destination, plan)
    start = origin.find(context, destination, device=query.device, plan=plan)
    before = host.neighbour_entry(start.neighbour, start.device)
    context.log(f"trying {query.protocol} port {query.port} of {destination} from {start.device}")
    made = attempts.make(start, destination, query.protocol, query.port, query.count)
    counted = Counter(one.outcome for one in made)
    flags = "-zuvw2" if query.protocol == "udp" else "-zvw2"
    found = Answer(
        summary="",
        destination=destination,
        port=query.port,
        protocol=query.protocol,
        device=start.device,
        source=start.source,
        why=start.why,
        command=words.pasted("nc", flags, "-s", start.source, destination, str(query.port)),
        attempts=tuple(made),
        connected=counted["connected"] + counted["answered"],
        refused=counted["refused"],
        silent=counted["silent"],
        unreachable=counted["unreachable"],
        neighbour=start.neighbour,
        neighbour_before=before,
        neighbour_after=host.neighbour_entry(start.neighbour, start.device),
        meaning="",
    )
    found = found.model_copy(update={"meaning": explain(found), "notes": _notes(found)})
    return found.model_copy(update={"summary": summarize(found)})


def _is_unresolved(found: Answer) -> bool:
    return found.neighbour_after.state in ("INCOMPLETE", "FAILED")


def explain(found: Answer) -> str:
    """Say what the outcome means."""
    where = f"{found.destination} port {found.port}"
    if found.connected:
        what = "Something listens there and answers" if found.protocol == "udp" else "Something listens there"
        return f"{what}, and packets pass in both directions." + (
            " Not every time, though: packets are lost, or the service is overloaded."
            if found.connected < len(found.attempts)
            else ""
        )
    if found.refused:
        how = next(one for one in found.attempts if one.outcome == "refused")
        who = f"{how.sender} says {how.message!r}" if how.message else "a reset (RST) came back"
        return (
            f"The host is reached and nothing listens on {where}: {who}. A firewall that rejects rather than drops "
            "looks the same."
        )
    if found.unreachable and not _is_unresolved(found):
        first = next(one for one in found.attempts if one.outcome == "unreachable")
        said = f"{first.sender} says {first.message!r}" if first.message else f"this host's kernel says {first.error}"
        return f"No packet gets there: {said}."
    if _is_unresolved(found):
        return (
            f"{found.neighbour} did not tell its MAC address (neighbour {found.neighbour_after.state}), so no packet "
            f"for the port could leave {found.device}: this says nothing about the port."
        )
    if found.protocol == "udp":
        return (
            "This says little: a service need not answer a datagram that it does not understand, and a filter or a "
            "loss on the way looks the same. Only a refusal would tell that nothing listens."
        )
    return (
        "A filter drops the packets or their answers (a security group, the guest's firewall), or they are lost on the "
        "way; if the address answers to ping, it is a filter for this port."
    )


def summarize(found: Answer) -> str:
    """Answer the question in one sentence."""
    tried = len(found.attempts)
    parts = [
        (found.connected, "answered" if found.protocol == "udp" else "connected"),
        (found.refused, "refused"),
        (found.silent, "silent"),
        (found.unreachable, "unreachable"),
    ]
    said = ", ".join(f"{count} {name}" for count, name in parts if count)
    what = "datagrams" if found.protocol == "udp" else "connections"
    where = f"{found.protocol} port {found.port} of {found.destination} from {found.device}"
    return f"Of {tried} {what} to {where}: {said}. {found.meaning}"


def _notes(found: Answer) -> tuple[str, ...]:
    late = sum(
        one.outcome == "connected" and one.milliseconds is not None and one.milliseconds > _RETRY * 1000
        for one in found.attempts
    )
    if not late:
        return ()
    return (
        f"{late} of the connections took longer than {_RETRY:g} s: their first packet, or its answer, was lost, and "
        "the kernel sent it again.",
    )
