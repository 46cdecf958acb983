"""Rules for a switch that does something else than its flows say."""

import re

from ..evidence import record
from . import bugs, limited, reading, stretch, verdict
from . import case as case_

_GIVES_UP = re.compile(r"max translation depth|resubmit actions|stack overflow|[Rr]ecursion")
"""What ovs-vswitchd logs where it gives the translation of a packet up."""


def known_bug(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """What was found out is what a known bug does, in a version that has it."""
    evidence = case.evidence(segment.role)
    if evidence is None:
        return None
    for bug, recognise in bugs.KNOWN:
        struck = recognise(case, segment, evidence) if bug.affects(evidence.ovs_version) else None
        if struck is None:
            continue
        logged = tuple(line for line in evidence.log if bug.logged in line)
        certain = segment.loss.total and (struck.certain or bool(logged))
        return case_.finding(
            case,
            "switch-known-bug",
            case_.hop(segment.role, struck.place),
            segment.direction,
            case.certainty(segment.role) if certain else "likely",
            f"Open vSwitch {evidence.ovs_version} on {stretch.who(case, segment)} shows a known bug: {bug.title}. "
            f"{bug.fix}",
            (stretch.counts(case, segment), *struck.proof, *logged[:3], *bug.sources),
            () if certain else (_not_logged(evidence, bug.logged),),
        )
    return None


def _not_logged(evidence: record.Evidence, words: str) -> str:
    if evidence.log_unread:
        return f"Whether ovs-vswitchd has logged {words!r} is not known: {evidence.log_unread}."
    return f"ovs-vswitchd has not logged {words!r} since the probe began."


def translation_failed(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The switch gives the translation of the packet up, as when flows resubmit to themselves."""
    evidence, plain = case.evidence(segment.role), stretch.trace(case, segment)
    tracked = evidence.tracked(segment.direction) if evidence is not None and segment.sender is not None else ()
    trace = next((one for one in (plain, *tracked) if one is not None and one.outcome == "failed"), None)
    if trace is None:
        return None
    place = case.place(reading.end(case, trace).bridge) if trace.steps else "br-int"
    when = "" if trace is plain else f", if the host's own conntrack calls them {trace.state},"
    logged = tuple(line for line in evidence.log if _GIVES_UP.search(line))[:2] if evidence else ()
    return case_.finding(
        case,
        "switch-disobeys",
        case_.hop(segment.role, place),
        segment.direction,
        "likely",
        f"The switch of {stretch.who(case, segment)} gives up translating the packets{when} ({trace.reason}) and drops "
        "them.",
        (stretch.counts(case, segment), *reading.quote(case, trace), *logged),
    )


def conntrack_invalid(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """The datapath drops packets that conntrack calls invalid, which no trace from outside can know."""
    invalid = [one for one in case_.dropping(case, segment.role, segment.direction) if one.ct_invalid]
    if not invalid:
        return None
    full = _full_conntrack(case, segment)
    what = "answers" if segment.direction == "reply" else "packets"
    return case_.finding(
        case,
        "conntrack-full" if full else "conntrack-invalid",
        case_.hop(segment.role, "br-int"),
        segment.direction,
        case.certainty(segment.role) if full else "likely",
        f"Conntrack on {stretch.who(case, segment)} "
        + ("is full and has no room for the connection" if full else "does not know the connection")
        + f", so that the switch drops its {what} as invalid.",
        (
            stretch.counts(case, segment),
            *full,
            *(f"datapath flow of the probe: {one.raw}" for one in invalid),
        ),
    )


def _full_conntrack(case: case_.Case, segment: case_.Segment) -> tuple[str, ...]:
    """Return what says that the tables which the packets use are full; another network's zone is not theirs."""
    evidence, trace = case.evidence(segment.role), stretch.trace(case, segment)
    zone = f"conntrack zone {trace.local_vlan if trace else None} "
    tables = evidence.conntrack_full if evidence else ()
    theirs = [one for one in tables if one.startswith(zone) or not one.startswith("conntrack zone ")]
    counters = evidence.drops.items() if evidence else ()
    return (*theirs, *(f"{name} rose by {rise}" for name, rise in counters if name.startswith("conntrack")))


def passed_on(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """Every flow of the way counted the packets: they left the switch, and were lost or overlooked right behind it."""
    trace = stretch.trace(case, segment)
    if trace is None or not trace.reaches or case_.dropping(case, segment.role, segment.direction):
        return None
    counted = [step.moved for step in trace.steps if step.moved is not None]
    if case.account.carrier != "probe" or not counted or min(counted) < segment.loss.lost:
        return None
    is_leaving = segment.receiver is None
    device = stretch.device(case, segment.receiver) if segment.receiver else None
    where = trace.expected if is_leaving or device is None else device.name
    return case_.finding(
        case,
        "lost-behind-switch",
        case_.hop(segment.receiver or segment.role, "underlay" if is_leaving else "port"),
        segment.direction,
        "likely",
        f"The switch of {stretch.who(case, segment)} handed the packets over to {where} by its own counters, and no "
        "capture saw them behind it.",
        (stretch.counts(case, segment), *reading.quote(case, trace)),
        (
            "Either they are lost between the switch and the device (a firewall of the host, iptables_hybrid, QoS), "
            "or they leave through another device than the one that was watched.",
        ),
    )


def never_entered(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """Packets of a tunnel arrived at the host, and not even the first flow counted them."""
    trace = stretch.trace(case, segment)
    if trace is None or segment.sender is not None or not trace.steps or case.account.carrier != "probe":
        return None
    first = trace.steps[0]
    if not trace.reaches or first.moved is None or first.moved >= segment.loss.lost:
        return None
    return case_.finding(
        case,
        "underlay-loss",
        case_.hop(segment.role, "underlay"),
        segment.direction,
        "likely",
        f"Tunnel packets arrive at the device of {stretch.who(case, segment)} and do not come into its switch.",
        (stretch.counts(case, segment), f"{first}{reading.moved(first)}"),
        ("A firewall of the host, or a tunnel port that does not take them (key, address), looks like this.",),
    )


def disobeys(case: case_.Case, segment: case_.Segment) -> verdict.Finding | None:
    """Theory forwards and practice drops: the switch does not do what its flows say."""
    trace = stretch.trace(case, segment)
    if trace is None or not trace.reaches:
        return None
    dropping = case_.dropping(case, segment.role, segment.direction)
    stuck = case_.stuck_step(trace, segment.loss.lost) if case.account.carrier == "probe" else None
    place = case.place(stuck.bridge) if stuck and stuck.bridge in case.bridges else "br-int"
    evidence = [stretch.counts(case, segment), *reading.quote(case, trace, stuck)]
    if stuck is not None:
        evidence[-1] += ": the first on the traced path that did not count them"
    evidence += [f"datapath flow of the probe, actions:drop: {one.raw}" for one in dropping]
    evidence += [*_asked_again(case, segment), *stretch.counters(case, segment)]
    lawful = limited.unseen(case, segment)
    shown = bool(dropping) or stuck is not None
    proven = segment.loss.total and shown and not lawful
    found = case_.finding(
        case,
        "switch-disobeys",
        case_.hop(segment.role, place),
        segment.direction,
        case.certainty(segment.role) if proven else "likely",
        f"The flows of {stretch.who(case, segment)} forward the packets to {trace.expected}, and its switch drops "
        f"them: theory and practice part in {place}.",
        tuple(evidence),
        (*lawful, "" if shown else "Neither a datapath flow that drops nor a counter that stands still was found."),
    )
    # Restarting a switch stops all traffic of its host: not on a suspicion.
    return found if found.certainty == "proven" else found.model_copy(update={"next": found.next[:1]})


def _asked_again(case: case_.Case, segment: case_.Segment) -> list[str]:
    """Quote what the tables say of the very key that the datapath drops."""
    evidence = case.evidence(segment.role)
    live = evidence.trace(segment.direction, "live") if evidence is not None else None
    if live is None or not live.reaches:
        return []
    return [f"that flow's own key, traced, is forwarded to {', '.join(live.outputs)}: {live.command}"]
