"""Rules for what may lose packets lawfully: meters, policers, queues. It is looked at before the switch is accused."""

from collections.abc import Sequence

from .. import path
from ..evidence import record
from . import case as case_
from . import reading, stretch, verdict


def rate(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """A rate limit on the way dropped packets while the probe's were lost there."""
    trace = stretch.trace(case, segment)
    if trace is not None and trace.outcome in ("dropped", "misdirected", "failed"):
        return None
    limit = max(_on_way(case, segment), key=lambda one: one.dropped or 0, default=None)
    if limit is None or not limit.dropped:
        return None
    loss = segment.loss
    enough = limit.dropped >= loss.lost
    step = _step(trace, limit)
    return case_.finding(
        case,
        "rate-limited",
        case_.hop(segment.role, case.place(step.bridge) if step is not None else "br-int"),
        segment.direction,
        case.certainty(segment.role) if enough else "likely",
        f"A rate limit on {stretch.who(case, segment)} drops packets: {limit} dropped {limit.dropped} while "
        f"{loss.lost} of the probe's {loss.of} were lost in that switch.",
        (
            stretch.counts(case, segment),
            f"{limit}: {limit.dropped} packets dropped during the probe",
            *reading.quote(case, trace, step),
        ),
        () if enough else (f"The limit dropped fewer packets than the {loss.lost} that were lost.",),
    )


def unseen(case: case_.Case, segment: case_.Segment) -> tuple[str, ...]:
    """Say of what may have lost the packets lawfully that it could not be looked at."""
    evidence = case.evidence(segment.role)
    found = [f"{one} may lose packets, and does not say how many." for one in _on_way(case, segment) if not _told(one)]
    if evidence is not None and evidence.conntrack_full:
        found += [f"A conntrack table had no room: {one}." for one in evidence.conntrack_full]
    return tuple(found)


def ends(evidence: Sequence[record.Evidence]) -> frozenset[path.Role]:
    """Return the ends of the path at whose br-int a limit of the flows stands, which a trial with flows goes around."""
    return frozenset(role for one in evidence for role in one.roles if any(limit.bridge for limit in one.limits))


def _told(limit: record.Limit) -> bool:
    return limit.dropped is not None


def _on_way(case: case_.Case, segment: case_.Segment) -> list[record.Limit]:
    evidence = case.evidence(segment.role)
    return [one for one in evidence.limits if one.direction == segment.direction] if evidence is not None else []


def _step(trace: record.Trace | None, limit: record.Limit) -> record.Step | None:
    """Return the flow that holds a limit, as far as the trace shows it."""
    if trace is None or not limit.step:
        return None
    return next((one for one in trace.steps if str(one) == limit.step), None)
