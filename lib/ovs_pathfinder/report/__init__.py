"""Diagnosis → text, Markdown and JSON, for people and for programs."""

from collections.abc import Sequence

from .. import path
from ..diagnosis import diagnose, verdict
from ..evidence import record
from . import render

MAX_BYTES = 120_000
"""Of one result: it goes through argv, where Linux allows 131,071 bytes."""


def results(plan: path.Plan, evidence: Sequence[record.Evidence], form: render.Format = "text") -> dict[str, str]:
    """Diagnose a run and return the results of the action path-report."""
    diagnosis = diagnose.diagnose(plan, evidence)
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
        "diagnosis": _bounded(diagnosis).model_dump_json(),
    }
    return {key: _cut(value) for key, value in found.items() if value}


def _bounded(diagnosis: verdict.Diagnosis) -> verdict.Diagnosis:
    """Return a diagnosis without its quoted evidence where that would be more than Juju lets a result be."""
    if len(diagnosis.model_dump_json(indent=2).encode()) <= MAX_BYTES:
        return diagnosis
    bare = {"evidence": ("The evidence was too large for a result of Juju's.",), "against": ()}
    findings = tuple(one.model_copy(update=bare) for one in diagnosis.findings[:10])
    missing = tuple(one[:500] for one in diagnosis.missing[:10])
    return diagnosis.model_copy(update={"findings": findings, "missing": missing})


def _cut(text: str) -> str:
    encoded = text.encode()
    if len(encoded) <= MAX_BYTES:
        return text
    return encoded[:MAX_BYTES].decode(errors="ignore") + "\n[shortened]\n"
