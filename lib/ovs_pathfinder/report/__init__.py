"""Diagnosis → text, Markdown and JSON, for people and for programs."""

from collections.abc import Sequence

from .. import path, text
from ..diagnosis import diagnose, verdict
from ..evidence import record
from . import render


def results(
    plan: path.Plan,
    evidence: Sequence[record.Evidence],
    form: render.Format = "text",
    trials: Sequence[record.Trial] = (),
    refused: Sequence[str] = (),
) -> dict[str, str]:
    """Diagnose a run and return the results of the action path-report."""
    diagnosis = diagnose.diagnose(plan, evidence, trials, refused)
    found = {
        "run": diagnosis.run,
        "verdict": diagnosis.verdict,
        "code": diagnosis.code,
        "direction": diagnosis.direction or "",
        "hop": diagnosis.hop or "",
        "unit": diagnosis.unit,
        "certainty": diagnosis.certainty,
        "summary": diagnosis.summary,
        "report": render.render(plan, _bounded(diagnosis), form),
    }
    if form == "json":
        found["diagnosis"] = text.to_json(_bounded(diagnosis).model_dump(mode="json"))
        found["path"] = text.to_json(plan.model_dump(mode="json"))
    return {key: render.cut(value) for key, value in found.items() if value}


def _bounded(diagnosis: verdict.Diagnosis) -> verdict.Diagnosis:
    """Return a diagnosis that fits into a result of Juju's: quoted evidence gives way first, then long sentences."""
    shown = diagnosis
    for limit in (2_000, 500, 100):
        if len(text.to_json(shown.model_dump(mode="json"), indent=2)) <= render.MAX_BYTES:
            break
        shown = _shortened(diagnosis, limit)
    return shown


def _shortened(diagnosis: verdict.Diagnosis, limit: int) -> verdict.Diagnosis:
    bare = {"evidence": ("The evidence was too large for a result of Juju's.",), "against": ()}
    findings = [
        one.model_copy(update={**bare, "summary": one.summary[:limit], "next": _first(one.next, limit)})
        for one in diagnosis.findings[:10]
    ]
    trials = [
        one.model_copy(update={"summary": one.summary[:limit], "left": one.left[:limit]})
        for one in diagnosis.trials[:10]
    ]
    update = {"findings": tuple(findings), "trials": tuple(trials), "missing": _first(diagnosis.missing, limit)}
    return diagnosis.model_copy(update={**update, "summary": diagnosis.summary[:limit]})


def _first(lines: Sequence[str], limit: int) -> tuple[str, ...]:
    return tuple(one[:limit] for one in lines[:10])
