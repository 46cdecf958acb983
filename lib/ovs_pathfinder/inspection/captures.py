"""Which packets pass a place on this host? Captured into a file, with a summary of who spoke with whom."""

import contextlib
import pathlib
from collections.abc import Generator
from typing import Annotated, ClassVar, Literal

import pydantic

from .. import errors
from ..evidence import headers, pcap
from ..temporary import mirror, protocol
from . import answer, context, conversations, filters, origin, recording, savefiles, spots, storage
from . import query as query_

_HEADERS = {"port": 96, "tunnel": 96, "device": 96, "underlay": 192}
"""Bytes that are kept of a packet: Ethernet, IPv6, TCP; on the underlay, those in VXLAN in IPv6 in Ethernet."""
_WHOLE = 65_535
_MIRRORED = 1280
"""Bytes that a mirror copies of each packet (`temporary.mirror`)."""
_SLACK = 15.0
"""Seconds that making and undoing a mirror, and beginning and ending tcpdump, may take beside the capture."""
_FOLDER = "captures"


class Query(query_.Query):
    """Of capture."""

    at: Literal["", "port", "tunnel", "underlay"] = ""
    run: query_.OptionalText = ""
    port: query_.OptionalText = ""
    device: origin.OptionalDevice = ""
    protocol: filters.Protocol = ""
    host: origin.OptionalAddress = ""
    service_port: Annotated[int, pydantic.Field(ge=1, le=65535)] | None = None
    duration: Annotated[int, pydantic.Field(ge=1, le=120)] = 10
    packets: Annotated[int, pydantic.Field(ge=1, le=10_000)] = 100
    full: bool = False

    @pydantic.model_validator(mode="after")
    def _is_clear(self) -> "Query":
        if self.device and (self.at or self.port or self.run):
            raise ValueError("device is a place by itself; leave out at, run and port, or leave out device")
        if not (self.device or self.at or self.port):
            raise ValueError("no place is given; give at=port, at=tunnel or at=underlay with run, or port, or device")
        if self.port and self.at not in ("", "port"):
            raise ValueError(f"port belongs to at=port, not to at={self.at}; leave one of them out")
        if self.at == "port" and not (self.run or self.port):
            raise ValueError("at=port does not say whose port; give run, or port")
        if self.service_port is not None and self.protocol in ("icmp", "arp"):
            raise ValueError(f"{self.protocol} has no ports; leave out service-port, or give tcp or udp")
        if (bound := self.limits("port").bytes) > savefiles.MOST_BYTES:
            raise ValueError(
                f"{self.packets} packets in full may take {bound} bytes, more than the {savefiles.MOST_BYTES} that are "
                "kept; lower packets or leave out full"
            )
        return self

    @property
    def role(self) -> spots.Role:
        """The kind of place that is asked for."""
        return "device" if self.device else self.at or "port"

    def limits(self, role: spots.Role) -> recording.Limits:
        """Return what bounds the capture at a place."""
        snap = _WHOLE if self.full else _HEADERS[role]
        return recording.Limits(seconds=self.duration, packets=self.packets, snap_length=snap)


class Answer(answer.Answer):
    """The file, and what is in it."""

    action: ClassVar[str] = "capture"
    role: spots.Role
    device: str
    """The device that packets were captured on."""
    mirrored: str = ""
    """The port whose packets a temporary mirror copied to that device; empty where none was needed."""
    wanted: str
    """The packets that were asked for, in words."""
    expression: str
    """What the kernel filtered by, as pcap-filter(7) has it."""
    command: str
    end: recording.End
    """What ended the capture."""
    seconds: float
    captured: int
    """Whole packets in the file."""
    received: int | None = None
    """Packets that passed the filter; None where tcpdump did not say, as the next one."""
    dropped: int | None = None
    """Packets that the kernel had no room for."""
    path: str
    bytes: int
    sha256: str
    link_type: int
    snap_length: int
    """Bytes that were kept of each packet at the most."""
    first: float | None = None
    """When the first packet came, in seconds since the epoch; None where none came."""
    flows: tuple[conversations.Flow, ...] = ()
    more: int = 0
    """How many flows are left out."""
    undone: str = ""
    """How the mirror was taken away."""
    fetch: str
    """The command that copies the file to where it is run."""
    trace: str = ""
    """The command that traces the file's first packet; empty where there is none, or it never was in the switch."""


def run(query: Query, context: context.Context) -> Answer:
    """Capture, and tell what came.

    Raises:
        PathfinderError: Nothing can be captured there.
    """
    plan = origin.plan_of(context, query.run)
    asked = filters.Wanted(hosts=(query.host,) if query.host else (), protocol=query.protocol, port=query.service_port)
    spot = spots.find(context, query.role, asked, plan=plan, device=query.device, port=query.port)
    if plan is not None and not asked.hosts:
        asked = asked.model_copy(update={"hosts": (plan.source.address, plan.destination.address)})
    limits = query.limits(spot.role)
    if spot.bridge:
        limits = limits.model_copy(update={"snap_length": min(limits.snap_length, _MIRRORED)})
    folder = context.folder / _FOLDER
    file = savefiles.create(folder, context.unit, spot.device, limits.bytes)
    try:
        with _listening_post(query, spot, context) as post:
            recorded = _record(post.device, spot.expression, file, limits, context)
            if not query.full:
                pcap.shorten(file, lambda data: headers.end(data, spot.tunnel_ports))
    except errors.PathfinderError:
        file.unlink(missing_ok=True)  # nothing was captured
        raise
    found = _tell(context, spot, asked, post, recorded, file, limits, query.run)
    removed = savefiles.prune(folder, file)
    if removed:
        note = (
            f"{len(removed)} older captures were removed, as the {savefiles.KEPT} newest are kept, of 200 MB at most."
        )
        found = found.model_copy(update={"notes": (*found.notes, note)})
    return found


class _Post:
    """The device to listen on, and the mirror behind it, if any."""

    def __init__(self, device: str, made: protocol.Made | None = None) -> None:
        self.device = device
        self.made = made


@contextlib.contextmanager
def _listening_post(query: Query, spot: spots.Spot, context: context.Context) -> Generator[_Post]:
    """Provide a device: the place's own, or that of a mirror, which goes with the context."""
    if not spot.bridge:
        yield _Post(spot.device)
        return
    seconds = query.duration + _SLACK
    if seconds > context.longest:
        raise errors.PathfinderError(
            f"the mirror of {spot.device} may live for {seconds:.0f} s, and max-change-duration allows "
            f"{context.longest:.0f} s; lower duration, or raise max-change-duration"
        )
    change = mirror.new(spot.bridge, spot.device, query.run)
    context.log(f"making {change.describe()}")
    with protocol.temporarily(context.book, change, seconds=seconds, action="capture", run=query.run) as made:
        yield _Post(change.device, made)


def _record(
    device: str, expression: str, file: pathlib.Path, limits: recording.Limits, context: context.Context
) -> recording.Recorded:
    """Capture, and tell when it has begun."""

    def listening() -> None:
        context.log(f"capturing on {device} for {limits.seconds:g} s, {limits.packets} packets at most, into {file}")

    return recording.record(device, expression, file, limits, listening)


def _tell(
    context: context.Context,
    spot: spots.Spot,
    asked: filters.Wanted,
    post: _Post,
    recorded: recording.Recorded,
    file: pathlib.Path,
    limits: recording.Limits,
    run: str,
) -> Answer:
    """Read the file and describe it."""
    whole = True
    link_type, first, cut = pcap.ETHERNET, None, ""
    summary = conversations.Summary(packets=0, flows=())
    try:
        with pcap.reading(file) as reader:
            link_type = reader.link_type
            summary = conversations.summarize(reader, spot.tunnel_ports)
            first, cut = summary.first, reader.cut
    except errors.PathfinderError as error:  # a full disk took not even the header
        whole, cut = False, f"{error}."
    found = Answer(
        summary="",
        role=spot.role,
        device=post.device,
        mirrored=spot.device if post.made else "",
        wanted=str(asked),
        expression=spot.expression,
        command=recorded.command,
        end=recorded.end,
        seconds=recorded.seconds,
        captured=summary.packets,
        received=recorded.received,
        dropped=recorded.dropped,
        path=str(file),
        bytes=file.stat().st_size,
        sha256=savefiles.sha256(file),
        link_type=link_type,
        snap_length=limits.snap_length,
        first=first,
        flows=summary.flows,
        more=summary.more,
        undone=post.made.outcome.text if post.made and post.made.outcome else "",
        fetch=storage.fetch(context.unit, file),
        trace=_trace(context, spot, run, file) if whole and summary.packets else "",
    )
    notes = (*spot.notes, *_notes(found, summary, recorded, cut, post))
    return found.model_copy(update={"summary": _summarize(found), "notes": notes})


def _trace(context: context.Context, spot: spots.Spot, run: str, file: pathlib.Path) -> str:
    """Return the command that traces the first packet, with what says where it came in; empty where nothing does."""
    if not spot.is_on_switch:
        return ""
    entry = [f"run={run}"] if run else [] if spot.role == "underlay" else [f"port={spot.device}"]
    return context.command(context.unit, "trace-packet", f"file={file}", "packet=1", *entry)


def _notes(
    found: Answer, summary: conversations.Summary, recorded: recording.Recorded, cut: str, post: _Post
) -> list[str]:
    """Say what is missing from the file, and what else was touched."""
    notes: list[str] = []
    if found.end == "device":
        why = f" ({recorded.said[:200]})" if recorded.said else ""
        notes.append(
            f"The capture ended after {found.seconds:.1f} s, before its time: the device {found.device} went away or "
            f"was brought down, or tcpdump could not go on{why}."
        )
    if recorded.captured is not None and recorded.captured > summary.packets:
        notes.append(
            f"tcpdump captured {recorded.captured} packets, and the file holds {summary.packets}: the disk took no "
            f"more (is {pathlib.Path(found.path).parent} full?)."
        )
    if cut:
        notes.append(cut)
    if found.dropped:
        notes.append(f"The kernel dropped {found.dropped} packets that passed the filter, as they came too fast.")
    if summary.unknown:
        notes.append(f"{summary.unknown} of the packets are of kinds that are told by their protocol only.")
    if post.made is not None:
        notes.append(
            f"A mirror copied all packets of {found.mirrored} to {found.device} while the capture ran, {_MIRRORED} "
            "bytes of each at most, whatever the filter; it is the switch that pays for it."
        )
        if post.made.left:
            notes.append(f"Run clean-up: {post.made.left}.")
        elif post.made.outcome is not None and post.made.outcome.state == "gone":
            notes.append("The mirror was gone before the capture had ended (did the switch restart?): try again.")
    return notes


def _summarize(found: Answer) -> str:
    where = f"{found.mirrored} (mirrored to {found.device})" if found.mirrored else found.device
    place = f"the {found.role} {where}" if found.role in ("port", "tunnel") else where
    place = f"the underlay's {where}" if found.role == "underlay" else place
    if not found.captured:
        return (
            f"Of {found.wanted}, none passed {place} within {found.seconds:.1f} s: none came there, or there was none "
            "to come."
        )
    largest = found.flows[0]
    most = f"{largest.protocol} {largest.kind}".strip()
    return (
        f"Of {found.wanted}, {found.captured} passed {place} within {found.seconds:.1f} s; the largest of "
        f"{len(found.flows) + found.more} flows is {most} from {largest.source} to {largest.destination}."
    )
