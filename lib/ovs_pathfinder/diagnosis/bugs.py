"""How known bugs of Open vSwitch are recognised in the evidence of a host."""

from collections.abc import Callable

from ..evidence import record
from ..vswitch import defects
from . import case as case_
from . import reading


def _tracked_in_a_circle(evidence: record.Evidence, segment: case_.Segment) -> tuple[str, ...]:
    """Untracked the packets would pass; as the host's conntrack has seen them, table 71 sends them to itself."""
    if segment.sender is None:
        return ()
    for trace in evidence.tracked(segment.direction):
        if trace.outcome == "failed" and trace.steps and reading.end(trace).table == 71:
            return reading.quote(trace)
    return ()


Recognise = Callable[[record.Evidence, case_.Segment], tuple[str, ...]]
"""Returns what shows a bug, quoted; nothing where it did not strike."""

KNOWN: tuple[tuple[defects.Defect, Recognise], ...] = ((defects.CT_CLEAR, _tracked_in_a_circle),)
