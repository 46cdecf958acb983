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
) -> dict[str, str]:
    """Diagnose a run and return the results of the action path-report."""
    diagnosis = diagnose.diagnose(plan, evidence, trials)
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
    """Return a diagnosis without its quoted evidence where that would be more than Juju lets a result be."""
    if len(text.to_json(diagnosis.model_dump(mode="json"), indent=2)) <= render.MAX_BYTES:
        return diagnosis
    bare = {"evidence": ("The evidence was too large for a result of Juju's.",), "against": ()}
    findings = tuple(one.model_copy(update=bare) for one in diagnosis.findings[:10])
    missing = tuple(one[:500] for one in diagnosis.missing[:10])
    trials = tuple(
        one.model_copy(update={"summary": one.summary[:500], "left": one.left[:500]}) for one in diagnosis.trials[:10]
    )
    return diagnosis.model_copy(update={"findings": findings, "trials": trials, "missing": missing})
