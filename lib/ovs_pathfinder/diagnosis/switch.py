"""What became of packets that enter a host's switch and do not leave it: the rules in their order."""

from collections.abc import Callable

from . import case as case_
from . import daemon, disobedience, foreign, limited, ports, reading, rules, stretch, verdict


def explain(case: case_.Case, segment: case_.Segment) -> verdict.Finding:
    """Name the cause of a loss within one host."""
    for rule in _RULES:
        found = rule(case, segment)
        if found is not None:
            return foreign.doubt(case, segment, found, is_by_flows=rule in _BY_FLOWS)
    return _unexplained(case, segment)


def suspect(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """Name a cause on a stretch that nobody watched to its end: what is plainly wrong there, but never as proven."""
    for rule in _STANDING:
        found = rule(case, segment)
        if found is not None:
            unseen = "No capture shows that packets are lost there."
            return found.model_copy(update={"certainty": "likely", "against": (*found.against, unseen)})
    return None


def _unexplained(case: case_.Case, segment: case_.Segment) -> verdict.Finding:
    trace = stretch.trace(case, segment)
    return case_.finding(
        case,
        "cannot-tell",
        case_.hop(segment.role, "br-int"),
        segment.direction,
        "likely",
        f"The packets are lost in the switch of {stretch.who(case, segment)}, and no trace says why.",
        (stretch.counts(case, segment), *reading.quote(case, trace), *stretch.counters(case, segment)),
        (trace.reason if trace else "There is no trace of this direction from that host.",),
    )


_Rule = Callable[[case_.Case, case_.Segment], verdict.Finding | None]

_STANDING: tuple[_Rule, ...] = (
    foreign.diverted,
    ports.trunk,
    ports.not_plugged,
    ports.sender_mac,
    ports.dead_vlan,
    ports.vlan_tag,
    daemon.not_answering,
    daemon.conntrack_loop,
    disobedience.known_bug,
    rules.tunnel_missing,
    rules.patch_broken,
    rules.rules_drop,
    rules.misdirected,
    disobedience.translation_failed,
    ports.device_down,
)
"""What is wrong whether or not packets were watched, the most specific first."""
_RULES: tuple[_Rule, ...] = (
    *_STANDING,
    limited.rate,
    disobedience.conntrack_invalid,
    rules.rules_drop_live,
    disobedience.passed_on,
    disobedience.never_entered,
    disobedience.disobeys,
)
_BY_FLOWS: tuple[_Rule, ...] = (rules.rules_drop, rules.misdirected, disobedience.translation_failed)
"""Those that rest on what the flows on the way do, whoever wrote them."""
