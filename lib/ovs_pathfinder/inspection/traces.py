"""What would this host's switch do with a packet, and is it what should happen? (`trace-packet`)."""

import concurrent.futures
import itertools
from collections.abc import Sequence
from typing import ClassVar

from .. import process
from ..vswitch import defects, trace, tracing
from . import answer, captured, subjects, traced, typed
from . import context as context_


class Query(subjects.Wanted):
    """Of trace-packet."""


class Answer(answer.Answer):
    """Of trace-packet."""

    action: ClassVar[str] = "trace-packet"
    subject: str
    """What was traced, in words."""
    ovs_version: str = ""
    warnings: tuple[str, ...] = ()
    """Whole sentences on what was typed and is traced as it is."""
    traces: tuple[traced.Traced, ...] = ()

    def like(self, one: traced.Traced) -> traced.Traced | None:
        """Return the first trace of the same direction, if it is another one and came to the same end."""
        first = next(each for each in self.traces if each.direction == one.direction)
        is_same = (first.outcome, first.outputs) == (one.outcome, one.outputs)
        return first if first is not one and is_same and not one.megaflow else None


def run(query: Query, context: context_.Context) -> Answer:
    """Trace a packet in each direction and under each conntrack state that it may have.

    Raises:
        PathfinderError: What is asked for is not here, or the switch does not answer.
    """
    subject = _subject(query, context)
    context.log(f"tracing {subject.text} ({len(subject.asked)} traces)")
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        traces = tuple(pool.map(_trace, subject.asked, itertools.repeat(subject)))
    return Answer(
        summary=summary(traces),
        subject=subject.text,
        ovs_version=subject.version,
        warnings=subject.warnings,
        traces=traces,
        notes=(*subject.notes, *notes(traces, subject.version)),
    )


def _subject(query: Query, context: context_.Context) -> subjects.Subject:
    if query.file:
        return captured.of_capture(query, context)
    if query.megaflow:
        return subjects.of_megaflow(query)
    if query.destination:
        return typed.of_port(query, context)
    return subjects.of_run(query, context.plan(query.run), context.unit)


def _trace(asked: subjects.Asked, subject: subjects.Subject) -> traced.Traced:
    try:
        found = trace.run(asked.bridge, asked.flow, asked.ct_next)
    except tracing.Untraced as error:
        return traced.blank(asked, subject, str(error))
    except process.ProcessError as error:
        return traced.blank(asked, subject, " ".join(error.stderr.split())[:300] or str(error))
    return traced.judge(found, asked, subject)


def summary(traces: Sequence[traced.Traced]) -> str:
    """Say in one sentence what becomes of the packet; where conntrack's state decides, that comes first."""
    if all(one.megaflow for one in traces):
        return _of_megaflows(traces)
    groups = [list(group) for _, group in itertools.groupby(traces, key=lambda one: one.direction)]
    text = "; ".join(_of_direction(group) for group in groups)
    return f"{text[:1].upper()}{text[1:]}."


def _of_direction(traces: Sequence[traced.Traced]) -> str:
    first = traces[0]
    if not traced.differ(traces):
        states = ", whatever conntrack has said of it" if len(traces) > 1 else ""
        label = "the packet" if first.direction == "given" else first.direction
        return f"{label}{states}: {first.verdict}"
    cases: dict[str, list[str]] = {}
    for one in traces:
        cases.setdefault(one.verdict, []).append(one.ct_state or "untracked")
    said = ", ".join(f"{' and '.join(states)}: {verdict}" for verdict, states in cases.items())
    label = "the packet" if first.direction == "given" else f"the {first.direction} packet"
    return f"the way of {label} depends on what conntrack has said of it ({said})"


def _of_megaflows(traces: Sequence[traced.Traced]) -> str:
    odd, unclear = ([one for one in traces if one.agrees is each] for each in (False, None))
    if len(traces) == 1:
        return f"The datapath flow {traces[0].verdict}."
    if not odd and not unclear:
        return f"All {len(traces)} datapath flows do what the tables say."
    if not odd:
        return f"Of {len(unclear)} of {len(traces)} datapath flows it is not known whether they do what the tables say."
    return f"{len(odd)} of {len(traces)} datapath flows do not do what the tables say; one {odd[0].verdict}."


def notes(traces: Sequence[traced.Traced], version: str) -> list[str]:
    """Say what was not understood, and which known defect of Open vSwitch may be behind what was."""
    return [*_misunderstood(traces), *_defect(traces, version)]


def _misunderstood(traces: Sequence[traced.Traced]) -> list[str]:
    lines = [line for one in traces for line in one.unknown]
    if not lines:
        return []
    return [f"{len(lines)} lines of the traces were not understood, and are in the raw text: {lines[0][:200]}"]


def _defect(traces: Sequence[traced.Traced], version: str) -> list[str]:
    """Name the defect of Open vSwitch that goes round in a circle with tracked packets."""
    is_circle = any(one.outcome == "failed" and one.ct_state for one in traces)
    bug = defects.CT_CLEAR
    return (
        [f"Open vSwitch {version} has a known bug: {bug.title}. {bug.fix}"]
        if is_circle and bug.affects(version)
        else []
    )
