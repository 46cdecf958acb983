"""How known bugs are recognised in the evidence of a host."""

import dataclasses
from collections.abc import Callable

from ..evidence import record
from ..vswitch import defects
from . import case as case_
from . import reading, verdict


@dataclasses.dataclass(frozen=True)
class Struck:
    """Where a bug struck, and what shows it."""

    place: case_.Place
    proof: tuple[str, ...]
    certain: bool
    """Whether that alone proves it; else what ovs-vswitchd logs must."""


def _tracked_in_a_circle(case: case_.Case, segment: case_.Segment, evidence: record.Evidence) -> Struck | None:
    """Untracked the packets would pass; as the host's conntrack has seen them, table 71 sends them to itself."""
    plain = case.trace(segment.role, segment.direction)
    if segment.sender is None or plain is None or not plain.reaches:
        return None
    for trace in evidence.tracked(segment.direction):
        if trace.outcome == "failed" and trace.steps and reading.end(case, trace).table == 71:
            return Struck("br-int", reading.quote(case, trace), certain=False)
    return None


def _refused_tunnel(words: str) -> "Recognise":
    """Return what recognises a tunnel port that the switch does not take, by words of its error."""

    def recognise(case: case_.Case, segment: case_.Segment, evidence: record.Evidence) -> Struck | None:
        if case.plan.same_host or words not in evidence.tunnel_error:
            return None
        return Struck("br-tun", (f"{evidence.tunnel}: {evidence.tunnel_error}",), certain=True)

    return recognise


def hints(found: verdict.Finding, evidence: record.Evidence) -> tuple[str, ...]:
    """Name, as things to look at, the bugs of the host's agent that may be behind a finding; they accuse nobody.

    None of them empties a bridge.
    """
    return tuple(
        f"Neutron's agent {evidence.agent_version} there may have a known bug: {bug.title} (mended in {bug.releases}, "
        f"unless your distribution mended it before; {bug.source})."
        for bug in defects.AGENTS
        if bug.bridge not in evidence.empty_bridges
        and found.code in bug.codes
        and (found.hop or "").endswith(bug.bridge)
        and bug.affects(evidence.agent_version)
    )


Recognise = Callable[[case_.Case, case_.Segment, record.Evidence], Struck | None]

KNOWN: tuple[tuple[defects.Defect, Recognise], ...] = (
    (defects.CT_CLEAR, _tracked_in_a_circle),
    (defects.TWIN_TUNNEL, _refused_tunnel("File exists")),
    (defects.LEGACY_GRE6, _refused_tunnel("unknown packet_type 'legacy'")),
)
