"""What a report says, whatever its form: templates lay it out, and decide nothing."""

import collections
import dataclasses
import datetime
from collections.abc import Iterator

from .. import path
from ..diagnosis import verdict
from . import outcome

_NAMES: dict[path.Hop, str] = {
    "source-port": "source port",
    "source-br-int": "source br-int",
    "source-br-tun": "source br-tun",
    "source-br-phys": "source br-phys",
    "source-underlay": "source underlay",
    "underlay": "underlay",
    "destination-underlay": "dest. underlay",
    "destination-br-phys": "dest. br-phys",
    "destination-br-tun": "dest. br-tun",
    "destination-br-int": "dest. br-int",
    "destination-port": "dest. port",
    "guest": "guest",
}
_UNRESOLVED = (
    "The neighbour did not resolve, so no packet of the probe could be sent. Counted are the questions for it (ARP or "
    "neighbour discovery) and their answers."
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One direction of one hop."""

    theory: str
    seen: str
    """The count, with a mark where packets are lost."""
    is_lost: bool


@dataclasses.dataclass(frozen=True)
class Row:
    """One hop."""

    hop: str
    unit: str
    device: str
    forward: Cell
    reply: Cell


@dataclasses.dataclass(frozen=True)
class Section:
    """A title with what stands below it."""

    title: str
    lines: tuple[str, ...]
    is_quoted: bool = False
    """Whether the lines are what tools said, to be shown as they are."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is the matter."""

    title: str
    """Code and certainty."""
    summary: str
    sections: tuple[Section, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    """One path."""

    run: str
    verdict: verdict.Verdict
    mark: str
    """The verdict as it stands in the head."""
    ends: str
    about: tuple[str, ...]
    """What was sent, on which network, when, and between which hosts."""
    summary: str
    headline: str
    """Code, certainty and place of the first finding; empty where nothing is the matter."""
    note: str
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...]
    """What follows the findings."""


@dataclasses.dataclass(frozen=True)
class Path:
    """One line of a table of paths, and the report below."""

    source: str
    destination: str
    note: str
    verdict: verdict.Verdict
    mark: str
    run: str
    code: str
    hop: str
    line: str
    """What is the matter, in a line; empty where nothing is."""
    message: str
    """The same as a sentence."""
    seconds: float
    report: Report | None
    more: tuple[Section, ...]
    """What is known beside the report."""


@dataclasses.dataclass(frozen=True)
class Paths:
    """All paths of one command."""

    title: str
    paths: tuple[Path, ...]
    has_table: bool
    shown: tuple[Path, ...]
    """Those whose reports are told."""
    counted: str
    failures: int
    errors: int
    seconds: float


def of(plan: path.Plan, diagnosis: verdict.Diagnosis) -> Report:
    """Say what a report of one path says."""
    return Report(
        run=diagnosis.run,
        verdict=diagnosis.verdict,
        mark=_mark(diagnosis.verdict),
        ends=f"{plan.source.label} → {plan.destination.label}",
        about=tuple(_about(plan, diagnosis)),
        summary=diagnosis.summary,
        headline=headline(diagnosis),
        note=_UNRESOLVED if diagnosis.carrier == "neighbour" else "",
        rows=tuple(_row(diagnosis, hop) for hop in diagnosis.hops),
        findings=tuple(map(_finding, diagnosis.findings)),
        sections=_sections(
            Section("Trial", tuple(one.summary for one in _untold(diagnosis))),
            Section("Mind", (*plan.warnings, *diagnosis.missing)),
        ),
    )


def of_all(found: outcome.Outcomes) -> Paths:
    """Say what a document of several paths says: a single one has its report in any case, and no table."""
    paths = tuple(map(_path, found.paths))
    judged = collections.Counter(one.verdict for one in paths)
    many = f"{len(paths)} path{'' if len(paths) == 1 else 's'}"
    return Paths(
        title=f"{paths[0].source} → {paths[0].destination}" if len(paths) == 1 else many,
        paths=paths,
        has_table=len(paths) > 1 or any(one.report is None for one in paths),
        shown=tuple(one for one in paths if one.report and (one.verdict != "ok" or len(paths) == 1)),
        counted=f"{many}: {judged['ok']} ok, {judged['degraded']} degraded, {judged['broken']} broken, "
        f"{judged['cannot-tell']} cannot tell",
        failures=judged["broken"] + judged["degraded"],
        errors=judged["cannot-tell"],
        seconds=sum(one.seconds for one in paths),
    )


def headline(diagnosis: verdict.Diagnosis) -> str:
    """Return code, certainty and place of what is the matter; empty where nothing is, or it is not known."""
    if diagnosis.code in ("path-ok", "cannot-tell"):
        return ""
    unit = f" ({diagnosis.unit})" if diagnosis.unit else ""
    where = f": {_place(diagnosis, diagnosis.hop)}" if diagnosis.hop else ""
    return f"{diagnosis.code}, {diagnosis.certainty}{where}{unit}"


def _place(diagnosis: verdict.Diagnosis, hop: path.Hop) -> str:
    if not diagnosis.lost:
        return f"at {hop}, in the {diagnosis.direction} direction" if diagnosis.direction else f"at {hop}"
    packets = f"{diagnosis.direction} packets" if diagnosis.direction else "packets"
    if diagnosis.lost < diagnosis.of:
        return f"{diagnosis.lost} of {diagnosis.of} {packets} are lost at {hop}"
    return f"{packets} stop at {hop}"


def _mark(judged: verdict.Verdict) -> str:
    return judged.replace("-", " ").upper()


def _about(plan: path.Plan, diagnosis: verdict.Diagnosis) -> Iterator[str]:
    port = f" port {plan.port}" if plan.port else ""
    yield f"{plan.protocol}{port} from {plan.source.address} to {plan.destination.address}"
    yield f"network {plan.network.name}, {plan.network}, {plan.stretch}"
    probed = next((one.started for one in diagnosis.hosts if one.started), "")
    yield f"planned {_time(plan.created)}" + (f", probed {_time(probed)}" if probed else "")
    for one in diagnosis.hosts:
        known = (
            f"Open vSwitch {one.ovs_version}" if one.ovs_version else "",
            f"datapath {one.datapath_type}" if one.datapath_type else "",
            f"kernel {one.kernel}" if one.kernel else "",
        )
        unit = f" ({one.unit})" if one.unit else ""
        said = ", ".join(filter(None, known)) if one.started else "no evidence"
        yield f"{' and '.join(one.roles)} on {one.name or 'an unknown host'}{unit}" + (f": {said}" if said else "")


def _time(text: str) -> str:
    """Return a time as an operator writes it, UTC; as it came, where it is none."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return text
    if found.tzinfo is None:
        return text
    return f"{found.astimezone(datetime.timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def _row(diagnosis: verdict.Diagnosis, hop: verdict.HopState) -> Row:
    forward = hop.lost in ("forward", "both")
    reply = hop.lost in ("reply", "both")
    return Row(
        hop=_NAMES[hop.hop],
        unit=hop.unit,
        device=hop.device,
        forward=_cell(diagnosis, hop.theory_forward, hop.forward, is_lost=forward),
        reply=_cell(diagnosis, hop.theory_reply, hop.reply, is_lost=reply),
    )


def _cell(diagnosis: verdict.Diagnosis, theory: str, seen: int | None, *, is_lost: bool) -> Cell:
    """Mark a hop where packets are lost: with the count, where packets were counted there."""
    is_lost = is_lost and diagnosis.verdict in ("broken", "degraded")
    count = "" if seen is None else f"{seen}/{diagnosis.sent}"
    if not is_lost:
        return Cell(theory, count, is_lost=False)
    if not count and diagnosis.lost:
        count = f"{diagnosis.lost} lost" if diagnosis.lost < diagnosis.of else "lost"
    return Cell(theory, f"✗ {count}".rstrip(), is_lost=True)


def _finding(found: verdict.Finding) -> Finding:
    return Finding(
        title=f"{found.code}, {found.certainty}",
        summary=found.summary,
        sections=_sections(
            Section("Proof", found.evidence, is_quoted=True),
            Section("Against it", found.against),
            Section("Next", found.next),
        ),
    )


def _sections(*found: Section) -> tuple[Section, ...]:
    return tuple(one for one in found if one.lines)


def _untold(diagnosis: verdict.Diagnosis) -> list[verdict.Trial]:
    """Return the trials that no finding quotes."""
    told = {line for one in diagnosis.findings for line in (*one.evidence, *one.against)}
    return [one for one in diagnosis.trials if one.summary not in told]


def _path(one: outcome.Outcome) -> Path:
    seen = one.diagnosis
    problems = "; ".join(one.problems)
    return Path(
        source=one.source,
        destination=one.destination,
        note=one.note,
        verdict=one.verdict,
        mark=_mark(one.verdict),
        run=seen.run if seen else "",
        code=seen.code if seen else "cannot-tell",
        hop=(seen.hop or "") if seen else "",
        line=_line(seen) if seen else problems,
        message=seen.summary if seen else problems,
        seconds=one.seconds,
        report=of(one.plan, seen) if one.plan and seen else None,
        more=_sections(
            Section("Went wrong", one.problems),
            Section("More can be told by", one.next, is_quoted=True),
        ),
    )


def _line(diagnosis: verdict.Diagnosis) -> str:
    return headline(diagnosis) or ("" if diagnosis.verdict == "ok" else diagnosis.code)
