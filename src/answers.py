"""What the actions answer: results as people and programs read them, with the next command to paste."""

import os
from collections.abc import Iterable, Sequence

from ovs_pathfinder import path, text, words
from ovs_pathfinder.diagnosis import trials
from ovs_pathfinder.evidence import record, wire
from ovs_pathfinder.temporary import journal, sweep

Results = dict[str, str]


def command(units: Iterable[str], action: str, *params: str) -> str:
    """Return the command to paste, in the syntax of the Juju that runs.

    Args:
        units: Their names, or `APPLICATION/leader`.
        action: The action's name.
        params: Its parameters, such as `run=RUN`.
    """
    is_old = os.environ.get("JUJU_VERSION", "3").startswith("2.")
    return words.pasted("juju", *(("run-action", "--wait") if is_old else ("run",)), *units, action, *params)


def plan(plan: path.Plan, application: str) -> Results:
    """Describe a plan."""
    units = sorted({plan.source.unit, plan.destination.unit} - {""})
    lines = [
        f"{plan.source.label} ({plan.source.address}, {plan.source.port.mac}) on {plan.source.port.host}",
        f"{plan.destination.label} ({plan.destination.address}, {plan.destination.port.mac}) "
        f"on {plan.destination.port.host}",
        f"network {plan.network.name}: {plan.network}, {plan.stretch}",
        *plan.warnings,
    ]
    probe = command(units, "probe-path", f"run={plan.run}")
    report = command([f"{application}/leader"], "path-report", f"run={plan.run}")
    return {
        "run": plan.run,
        "summary": f"{plan.protocol} from {plan.source.label} to {plan.destination.label}, {' '.join(units)}",
        "plan": "\n".join(lines),
        "units": " ".join(units),
        "next": f"{probe}\n{report}",
    }


def probe(
    plan: path.Plan, found: record.Evidence, application: str, captures: record.Captures | None = None
) -> Results:
    """Tell what a unit found out."""
    summary = _probe_summary(plan, found)
    follow = command([f"{application}/leader"], "path-report", f"run={plan.run}")
    return {
        "brief": _brief(*summary.split("; "), follow),
        **({} if captures is None else {"captures": captures.model_dump_json()}),
        "run": plan.run,
        "role": " and ".join(found.roles),
        "summary": summary,
        "evidence": wire.to_json(found),
        "next": follow,
    }


def _brief(*said: str) -> str:
    """Return what a person reads of results that hold JSON as well: Juju prints it first, as it sorts their names."""
    return "\n".join(filter(None, said))


def _probe_summary(plan: path.Plan, found: record.Evidence) -> str:
    parts: list[str] = []
    if found.probe is not None:
        parts.append(f"{found.probe.answered} of {found.probe.transmitted} packets were answered")
    for one in found.observations:
        seen = one.error or f"{len(one.forward)} forward, {len(one.reply)} reply"
        parts.append(f"{one.point} ({one.device}): {seen}")
    return "; ".join(parts) or f"nothing could be watched for run {plan.run}"


def nothing_arrived(plan: path.Plan, refused: Sequence[str] = ()) -> str:
    """Say what to run where a report has nothing to go by, and what came that does not count."""
    units = sorted({plan.source.unit, plan.destination.unit} - {""})
    return (
        f"no evidence for run {plan.run} has arrived: run probe-path on {' and '.join(units)}, "
        f"then this again ({command(units, 'probe-path', f'run={plan.run}')})"
        f"{''.join(f'; {one}' for one in refused[:5])}"
    )


def next_trial(plan: path.Plan, results: Results, made: Sequence[record.Trial]) -> Results:
    """Say which trial would tell more, where packets stop in a br-int and it has not been made."""
    tried: list[tuple[str, path.Role]] = [(one.trial, one.role) for one in made]
    role = trials.called_for(plan, results["verdict"], results.get("hop", ""), tried)
    if role is None:
        return {}
    at = [] if role == "source" else ["at=destination"]
    return {"next": command(trials.units(plan, role), "try-flows", f"run={plan.run}", *at)}


def trial(found: record.Trial, application: str) -> Results:
    """Tell what a trial showed."""
    (judged,) = trials.judge([found])
    follow = command([f"{application}/leader"], "path-report", f"run={found.run}")
    results = {
        "brief": _brief(judged.summary, _rounds(found), found.outcome, follow),
        "run": found.run,
        "effect": judged.effect,
        "summary": judged.summary,
        "rounds": _rounds(found),
        "change": "\n".join(found.commands),
        "undone": found.outcome,
        "seconds": f"{found.lived:g}" if found.lived else "",
        "evidence": text.to_json(found.model_dump(mode="json")),
        "next": follow,
    }
    return {key: value for key, value in results.items() if value}


def _rounds(found: record.Trial) -> str:
    """Lay out what was sent and answered, a line a round."""
    lines: list[str] = []
    for name, one in (("before", found.before), ("during", found.during), ("after", found.after)):
        if one is None:
            continue
        seen = [f"{point} {one.forward[point]} forward, {one.reply[point]} reply" for point in one.forward]
        answered = [f"{one.answered} of {one.sent} answered"] if one.sent else []
        lines.append(f"{name}: {'; '.join([*answered, *seen])}")
    return "\n".join(lines)


def injection(entry: journal.Entry, unit: str) -> Results:
    """Tell which flows were added, and until when."""
    return {
        "summary": f"{entry.change.describe()} until {entry.until}",
        "until": entry.until,
        "flows": "\n".join(str(rule) for rule in getattr(entry.change, "rules", ())),
        "next": command([unit], "clean-up"),
    }


def clean_up(found: Sequence[sweep.Found], latest: str, *, dry_run: bool) -> Results:
    """Tell what was left behind, and what became of it.

    Args:
        found: What a sweep met.
        latest: What was undone before, in words.
        dry_run: Whether nothing was undone.
    """
    undone = [one for one in found if one.outcome is not None and one.outcome.state != "conflict"]
    conflicts = [one for one in found if one.outcome is not None and one.outcome.state == "conflict"]
    left = [one for one in found if one.outcome is None and not one.owner]
    others = [one for one in found if one.owner]
    if not found:
        summary = "Nothing is left behind on this unit."
    elif len(others) == len(found):
        summary = "Nothing of this unit's is left behind."
    elif dry_run:
        summary = f"{_many(found)} in the journal; nothing was undone."
    else:
        summary = f"{_many(undone)} undone, {len(left)} left."
    if conflicts:
        summary += f" {_many(conflicts)} left alone, as others have changed the same since; not looked at any more."
    if others:
        summary += f" {_many(others)} of other units on this host left to them."
    results = {
        "summary": summary,
        "undone": _lines(undone),
        "conflicts": _lines(conflicts),
        "found" if dry_run else "left": _lines(left),
        "others": _lines(others),
        "latest": "" if found else latest,
    }
    return {key: value for key, value in results.items() if value}


def _many(found: Sequence[sweep.Found]) -> str:
    return f"{len(found)} temporary change{'' if len(found) == 1 else 's'}"


def _lines(found: Sequence[sweep.Found]) -> str:
    return "\n".join(map(str, found))
