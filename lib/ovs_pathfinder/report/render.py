"""Render a report, or several paths in one document, with the templates of this folder."""

from typing import Literal

from .. import path, text
from ..diagnosis import verdict
from . import content, environment, outcome

Format = Literal["text", "markdown", "json"]
"""Of one diagnosis, as path-report answers it."""
Form = Literal["text", "markdown", "html", "json", "junit"]
"""Of several paths in one document."""
MAX_BYTES = 120_000
"""Of one result: it goes through argv, where Linux allows 131,071 bytes."""


def render(plan: path.Plan, diagnosis: verdict.Diagnosis, form: Format) -> str:
    """Return the report in one of its forms.

    Args:
        plan: The path.
        diagnosis: What is to be told of it.
        form: `text` for a terminal of 80 columns, `markdown` for a ticket, `json` for programs.
    """
    if form == "json":
        return text.to_json(diagnosis.model_dump(mode="json"), indent=2)
    return _rendered(content.of(plan, diagnosis), form)


def document(found: outcome.Outcomes, form: Form) -> str:
    """Return several paths as one document: a table of all, and a report of each that is not ok.

    Args:
        found: The paths. A single one has its report in any case, and no table.
        form: `text` and `markdown` as `render`; `html` for a browser, without anything to be loaded; `json` for
            programs; `junit` for the tools that watch test runs, one test case a path.
    """
    if form == "json":
        return text.to_json(found.model_dump(mode="json"), indent=2) + "\n"
    name = {"text": "paths.txt", "markdown": "paths.md", "html": "paths.html", "junit": "junit.xml"}[form]
    kind = form if form in ("text", "markdown") else "markup"
    template = environment.environment(kind).get_template(name)
    return trimmed(template.render(found=content.of_all(found), render=_inner))


def _rendered(report: content.Report, form: Literal["text", "markdown"]) -> str:
    name = "report.txt" if form == "text" else "report.md"
    return trimmed(environment.environment(form).get_template(name).render(report=report))


def _inner(report: content.Report, form: Literal["text", "markdown"]) -> environment.Shown:
    """Return a report that stands within a document."""
    return environment.Shown(_rendered(report, form).rstrip())


def trimmed(shown: str) -> str:
    """Return text without blanks at the ends of lines: else Juju does not print a result as a block of YAML."""
    return "\n".join(line.rstrip() for line in shown.rstrip().split("\n")) + "\n"


def cut(shown: str) -> str:
    """Return text that is fit for a result of Juju's, and fits into it."""
    shown = text.lines(shown)
    encoded = shown.encode()
    if len(encoded) <= MAX_BYTES:
        return shown
    return encoded[:MAX_BYTES].decode(errors="ignore") + "\n[shortened]\n"
