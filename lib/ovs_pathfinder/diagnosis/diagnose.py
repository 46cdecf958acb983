"""Plan + all evidence → diagnosis."""

from collections.abc import Sequence

from .. import path
from ..evidence import record
from . import (
    account,
    beside,
    daemon,
    ends,
    foreign,
    limited,
    reading,
    sizes,
    switch,
    trials,
    tunnel_key,
    unseen,
    verdict,
)
from . import case as case_

_TOLD = 20
"""Sentences on what does not count, at the most."""


def diagnose(
    plan: path.Plan,
    evidence: Sequence[record.Evidence],
    tried: Sequence[record.Trial] = (),
    refused: Sequence[str] = (),
) -> verdict.Diagnosis:
    """Say where on the plan's path packets stop, in which direction, and what proves it.

    Args:
        plan: The path.
        evidence: What units found out for this run, one for each unit at the most. None is a case like others.
        tried: The trials that were made in this run.
        refused: Whole sentences on what does not count.
    """
    found = _diagnose(plan, evidence)
    judged = trials.judge(tried)
    rates = limited.ends(evidence)
    findings = tuple(trials.weigh(one, judged, rates) for one in found.findings)
    left = tuple(
        f"At the end of a trial on {one.unit}: {one.left}; clean-up says what is left." for one in judged if one.left
    )
    told = {"findings": findings, "trials": judged, "hosts": _hosts(plan, evidence)}
    return found.model_copy(update={**told, "missing": (*found.missing, *refused[:_TOLD], *left)})


def _diagnose(plan: path.Plan, evidence: Sequence[record.Evidence]) -> verdict.Diagnosis:
    source = next((one for one in evidence if "source" in one.roles), None)
    destination = next((one for one in evidence if "destination" in one.roles), None)
    missing = _missing(plan, source, destination)
    if source is None:
        return _without_source(plan, destination, missing)
    drawn = account.draw_up(plan, source, destination)
    if destination is not None and drawn.together == "no":
        missing += (_apart(plan),)
        destination = None
    case = case_.Case(plan, source, destination, drawn)
    findings = _findings(case)
    findings[0] = beside.remember(case, ends.held_back(case, findings[0]))
    if findings[0].code == "path-ok":
        missing += sizes.untested(case)
    return _conclude(case, [*findings, *beside.noticed(case, findings[0])], missing)


def _conclude(case: case_.Case, findings: Sequence[verdict.Finding], missing: tuple[str, ...]) -> verdict.Diagnosis:
    first = findings[0]
    drawn = case.account
    if first.code == "path-ok":
        judged: verdict.Verdict = "ok"
    elif first.code == "cannot-tell":
        judged = "cannot-tell"
    elif _is_partial(case, first):
        judged = "degraded"
    else:
        judged = "broken"
    return verdict.Diagnosis(
        run=case.plan.run,
        source=case.plan.source.label,
        destination=case.plan.destination.label,
        protocol=case.plan.protocol,
        verdict=judged,
        code=first.code,
        direction=first.direction,
        hop=first.hop,
        unit=first.unit,
        certainty=first.certainty,
        summary=first.summary,
        sent=drawn.sent,
        answered=drawn.answered,
        lost=drawn.losses[0].lost if drawn.losses else 0,
        of=drawn.losses[0].of if drawn.losses else 0,
        carrier=drawn.carrier,
        findings=tuple(findings),
        hops=_hops(case, first),
        missing=missing,
    )


def _passes(case: case_.Case, first: verdict.Finding) -> bool:
    """Whether the probe's packets pass the place of a finding, which is about others."""
    return first.code in beside.IMPAIRING and not case.account.losses


def _is_partial(case: case_.Case, first: verdict.Finding) -> bool:
    """Whether some packets pass: those of the probe, or part of them."""
    losses = case.account.losses
    return not any(loss.total for loss in losses) if losses else _passes(case, first)


def _findings(case: case_.Case) -> list[verdict.Finding]:
    probe = case.source.probe
    if probe is None or not probe.transmitted:
        nothing = account.Loss("forward", None, "source-port", max(1, case.account.sent), max(1, case.account.sent))
        return [_unsent(case, case_.Segment(nothing, "sender", "source"))]
    refused = ends.refused(case)
    if refused is not None:
        return [refused]
    if case.account.losses:
        first, *others = (_explain(case, loss) for loss in case.account.losses)
        cause = ends.unbound(case, first) or beside.blame(case, first) or sizes.blame(case, case.account.losses[0])
        known = [*([cause] if cause else []), first, *others]
        return [*known, *_further(case, known)]
    if case.account.carrier != "probe":
        return [ends.unresolved(case)]
    return list(beside.impaired(case)) or [_fine(case)]


def _further(case: case_.Case, known: Sequence[verdict.Finding]) -> list[verdict.Finding]:
    """Name what the packets would meet behind the place where they stop: it would stop them next."""
    found: list[verdict.Finding] = []
    directions: tuple[path.Direction, ...] = ("forward", "reply")
    for direction in directions:
        roles: tuple[path.Role, ...] = ("source",) if case.plan.same_host else ("source", "destination")
        for role in roles if direction == "forward" else roles[::-1]:
            segment = case_.through(case, account.Loss(direction, None, None, 1, 1), role)
            suspected = switch.suspect(case, segment) if case.evidence(role) is not None else None
            if suspected is None or any(_is_same(one, suspected) for one in (*known, *found)):
                continue
            ahead = "The packets stop before that place; what is said here is what would become of them."
            quoted = suspected.evidence[1:]  # without the count of packets, as none have come there
            against = (*suspected.against[:-1], ahead)
            update = {"certainty": "possible", "evidence": quoted, "against": against}
            found.append(suspected.model_copy(update=update))
    return found


def _is_same(one: verdict.Finding, other: verdict.Finding) -> bool:
    """Whether two findings are of one cause on one host: it may take packets of both directions."""
    return one.code == other.code and one.unit == other.unit


def _explain(case: case_.Case, loss: account.Loss) -> verdict.Finding:
    segment = case_.segment(case, loss)
    misaddressed = ends.misaddressed(case) if loss.total and (loss.direction == "forward" or loss.turned) else None
    if misaddressed is not None:
        return misaddressed
    if loss.total and loss.direction == "reply" and not loss.turned and (found := ends.misanswered(case)) is not None:
        return found
    if loss.total and segment.kind != "sender":
        found = foreign.readdressed(case, segment) or tunnel_key.wrong(case, segment)
        if found is not None:
            return found
    if segment.kind == "unseen" or (loss.after is None and _unwatched(case, loss)):
        return unseen.explain(case, loss)
    back = case.account.asked_back
    if segment.kind == "guest" and loss.total and back is not None and not back.turned:
        return _question_lost(case, back)
    if segment.kind == "switch" and loss.before is None:
        return _doubted(switch.explain(case, segment))
    if segment.kind == "switch":
        return (
            switch.explain(case, segment) if loss.total else limited.rate(case, segment) or ends.partial(case, segment)
        )
    rules = {"sender": _unsent, "underlay": ends.underlay, "guest": ends.guest, "receiver": ends.receiver}
    return rules[segment.kind](case, segment)


def _unsent(case: case_.Case, segment: case_.Segment) -> verdict.Finding:
    """Nothing came out of the source's device, which is the switch's own where it is internal to that."""
    return daemon.not_answering(case, segment) or ends.sender(case, segment)


def _question_lost(case: case_.Case, loss: account.Loss) -> verdict.Finding:
    """The guest cannot answer, as its own question for the source's MAC address is lost on the way."""
    segment = case_.segment(case, loss)
    found = switch.explain(case, segment) if segment.kind == "switch" else ends.underlay(case, segment)
    asked = f"the guest asked {loss.of} times for the MAC address of {case.plan.source.address}, and got no answer"
    return found.model_copy(update={"evidence": (asked, *found.evidence)})


def _doubted(found: verdict.Finding) -> verdict.Finding:
    """Weaken a finding on packets that the sender says it sent, and nobody saw."""
    doubt = "Nobody watched the source's port: that packets came out of it is the sender's word alone."
    return found.model_copy(update={"certainty": "likely", "against": (*found.against, doubt)})


def _unwatched(case: case_.Case, loss: account.Loss) -> bool:
    """Whether the answer was missed by the sender, and the last point that saw the packet is not next to it."""
    return loss.before != "source-port" or case.account.seen("source-port", "reply") is None


def _fine(case: case_.Case) -> verdict.Finding:
    plan, drawn = case.plan, case.account
    probe = case.source.probe
    arrived = drawn.seen("destination-port", "forward")
    if plan.protocol == "udp" and not drawn.answered and arrived is None:
        return case_.finding(
            case,
            "cannot-tell",
            None,
            None,
            "likely",
            f"{drawn.sent} datagrams were sent, and nobody watched whether they arrive; UDP need not be answered.",
        )
    what = f"All {drawn.sent} packets were answered"
    if plan.protocol == "udp" and drawn.answered < drawn.sent:
        what = f"All {drawn.sent} datagrams arrived at the destination's port"
    counted = f"; all {arrived} passed the destination's port" if arrived is not None and "arrived" not in what else ""
    return case_.finding(
        case,
        "path-ok",
        None,
        None,
        "proven",
        f"{what}: the path from {plan.source.label} to {plan.destination.label} works.",
        ((probe.output.strip().splitlines() or [""])[-1] + counted,) if probe and drawn.answered else (),
    )


def _missing(plan: path.Plan, source: record.Evidence | None, destination: record.Evidence | None) -> tuple[str, ...]:
    sentences: list[str] = []
    for role, found in (("source", source), ("destination", destination)):
        end = plan.endpoint("source" if role == "source" else "destination")
        if found is None and end.unit:
            sentences.append(
                f"The evidence of {end.unit} for run {plan.run} has not arrived: run probe-path there, or, if it has "
                "run, run path-report again in a moment or hand the evidence over as a parameter."
            )
        elif found is None:
            sentences.append(f"No unit of ovs-pathfinder is on the {role}'s host {end.port.host or '(none)'}.")
        else:
            sentences += found.problems
            sentences += [
                f"{one.point} on {found.unit} could not be watched: {one.error}."
                for one in found.observations
                if one.error
            ]
            sentences += [
                f"{one.point} on {found.unit} is out of sight: {one.out_of_sight}."
                for one in found.observations
                if one.out_of_sight
            ]
    return tuple(dict.fromkeys(sentences))


def _apart(plan: path.Plan) -> str:
    return (
        f"{plan.source.unit} and {plan.destination.unit} did not watch at the same time, so that what "
        f"{plan.destination.unit} saw says nothing: run probe-path on both in one command."
    )


def _without_source(
    plan: path.Plan, destination: record.Evidence | None, missing: tuple[str, ...]
) -> verdict.Diagnosis:
    empty = record.Evidence(run=plan.run, unit=plan.source.unit, roles=("source",), started="1970-01-01T00:00:00+00:00")
    drawn = account.Account("probe", 0, 0, (), (), "no")
    case = case_.Case(plan, empty, destination, drawn)
    finding = case_.finding(
        case,
        "cannot-tell",
        None,
        None,
        "likely",
        "Without the evidence of the source's unit nothing can be said.",
    )
    return _conclude(case, [finding], missing)


def _hosts(plan: path.Plan, evidence: Sequence[record.Evidence]) -> tuple[verdict.Host, ...]:
    """Name the hosts of the path, with what ran there when it was looked at."""
    roles: tuple[tuple[path.Role, ...], ...] = (("source",), ("destination",))
    if plan.same_host:
        roles = (("source", "destination"),)
    return tuple(_host(plan.endpoint(one[0]), one, evidence) for one in roles)


def _host(end: path.Endpoint, roles: tuple[path.Role, ...], evidence: Sequence[record.Evidence]) -> verdict.Host:
    found = next((one for one in evidence if roles[0] in one.roles), None)
    if found is None:
        return verdict.Host(roles=roles, unit=end.unit, name=end.port.host)
    return verdict.Host(
        roles=roles,
        unit=end.unit,
        name=found.hostname or end.port.host,
        started=found.started,
        ovs_version=found.ovs_version,
        datapath_type=found.datapath_type,
        kernel=found.kernel,
    )


def _hops(case: case_.Case, first: verdict.Finding) -> tuple[verdict.HopState, ...]:
    """Lay out the path, hop by hop, with theory and practice side by side."""
    return tuple(_hop(case, hop, first) for hop in case.plan.hops)


def _hop(case: case_.Case, hop: path.Hop, first: verdict.Finding) -> verdict.HopState:
    role: path.Role = "source" if hop.startswith("source") else "destination"
    evidence = case.evidence(role)
    point: path.Point | None = next((one for one in path.POINTS if one == hop), None)
    watched = evidence.observation(point) if evidence and point else None
    bridge = hop.split("-", 1)[1] if hop.endswith(("br-int", "br-tun")) else ""
    if hop.endswith("br-phys"):
        bridge = case.plan.endpoint(role).physical_bridge
    directions: tuple[path.Direction, ...] = ("forward", "reply")
    theory = {one: reading.describe(case, case.trace(role, one), bridge) if bridge else "" for one in directions}
    return verdict.HopState(
        hop=hop,
        unit=case.unit(hop),
        device=watched.device if watched else "",
        forward=case.account.seen(point, "forward") if point else None,
        reply=case.account.seen(point, "reply") if point else None,
        theory_forward=theory["forward"],
        theory_reply=theory["reply"],
        lost=first.direction or "" if hop == first.hop and not _passes(case, first) else "",
    )
