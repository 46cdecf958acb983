"""Render a diagnosis with the Jinja2 templates of this folder."""

import functools
import re
import textwrap
from collections.abc import Callable
from typing import Literal

import jinja2

from .. import path
from ..diagnosis import verdict
from . import outcome

Format = Literal["text", "markdown", "json"]
"""Of one diagnosis, as path-report answers it."""
Form = Literal["text", "markdown", "html", "json", "junit"]
"""Of several paths in one document."""
WIDTH = 80
MAX_BYTES = 120_000
"""Of one result: it goes through argv, where Linux allows 131,071 bytes."""
_NAMES: dict[path.Hop, str] = {
    "source-port": "source port",
    "source-br-int": "source br-int",
    "source-br-tun": "source br-tun",
    "source-br-phys": "source br-phys",
    "source-underlay": "source underlay",
    "underlay": "underlay",
    "destination-underlay": "dest. underlay",
    "destination-br-phys": "dest. br-phys",
    "destination-br-tun": "dest. br-tun",
    "destination-br-int": "dest. br-int",
    "destination-port": "dest. port",
    "guest": "guest",
}


def render(plan: path.Plan, diagnosis: verdict.Diagnosis, form: Format) -> str:
    """Return the report in one of its forms.

    Args:
        plan: The path.
        diagnosis: What is to be told of it.
        form: `text` for a terminal of 80 columns, `markdown` for a ticket, `json` for programs.
    """
    if form == "json":
        return diagnosis.model_dump_json(indent=2)
    template = environment().get_template("report.txt" if form == "text" else "report.md")
    text = template.render(plan=plan, diagnosis=diagnosis, lost=_lost(diagnosis), trials=_untold(diagnosis))
    return trimmed(text)


def document(found: outcome.Outcomes, form: Form) -> str:
    """Return several paths as one document: a table of all, and a report of each that is not ok.

    Args:
        found: The paths. A single one has its report in any case, and no table.
        form: `text` and `markdown` as `render`; `html` for a browser, without anything to be loaded; `json` for
            programs; `junit` for the tools that watch test runs, one test case a path.
    """
    if form == "json":
        return found.model_dump_json(indent=2) + "\n"
    name = {"text": "paths.txt", "markdown": "paths.md", "html": "paths.html", "junit": "junit.xml"}[form]
    chosen = marked_up() if form in ("html", "junit") else environment()
    shown = [one for one in found.paths if one.verdict != "ok" or len(found.paths) == 1]
    text = chosen.get_template(name).render(found=found, shown=shown, report=_report_of)
    return trimmed(_CONTROL.sub("\ufffd", text))


def _report_of(one: outcome.Outcome, form: Format) -> str:
    """Return the report of a path that has a diagnosis; nothing, where it has none."""
    return render(one.plan, one.diagnosis, form).rstrip() if one.plan and one.diagnosis else ""


def trimmed(text: str) -> str:
    """Return text without blanks at the ends of lines: else Juju does not print a result as a block of YAML."""
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"


def cut(text: str) -> str:
    """Return text that fits into a result of Juju's."""
    encoded = text.encode()
    if len(encoded) <= MAX_BYTES:
        return text
    return encoded[:MAX_BYTES].decode(errors="ignore") + "\n[shortened]\n"


@functools.cache
def environment() -> jinja2.Environment:
    """Return the templates of this folder, with the filters that they use."""
    return _environment(is_marked_up=False)


@functools.cache
def marked_up() -> jinja2.Environment:
    """Return the same for HTML and XML, where all that is put in is escaped."""
    return _environment(is_marked_up=True)


def _environment(*, is_marked_up: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ovs_pathfinder.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=is_marked_up,  # noqa: S701 - plain text and Markdown are no HTML
    )
    filters: dict[str, Callable[..., str]] = {
        "hop_name": _hop_name,
        "wrapped": _wrapped,
        "pasted": _pasted,
        "spaced": _spaced,
        "count": _count,
        "cell": _cell,
        "quoted": _quoted,
        "marked": _marked,
        "xml": _xml,
    }
    for name, function in filters.items():
        environment.filters[name] = function
    return environment


def _lost(diagnosis: verdict.Diagnosis) -> bool:
    return diagnosis.verdict in ("broken", "degraded")


def _untold(diagnosis: verdict.Diagnosis) -> list[verdict.Trial]:
    """Return the trials that no finding quotes."""
    told = {line for one in diagnosis.findings for line in (*one.evidence, *one.against)}
    return [one for one in diagnosis.trials if one.summary not in told]


def _marked(judged: verdict.Verdict) -> str:
    """Return a verdict as it stands in a report's head."""
    return judged.replace("-", " ").upper()


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a name of somebody's port could make a terminal do."""
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold, not even escaped (XML 1.0, section 2.2)."""


def _xml(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)


def _hop_name(hop: path.Hop) -> str:
    return _NAMES[hop]


def _count(seen: int | None, of: int) -> str:
    return "" if seen is None else f"{seen}/{of}"


def _wrapped(text: str, indent: int = 0, first: str = "") -> str:
    """Wrap text to the terminal; long words such as addresses and flows are never broken."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=" " * (indent - len(first)) + first,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _pasted(command: str, indent: int = 0) -> str:
    """Wrap a command to the terminal so that a shell takes all of its lines as one."""
    margin = " " * indent
    lines = textwrap.wrap(command, WIDTH - indent - 4, break_long_words=False, break_on_hyphens=False)
    return f" \\\n{margin}  ".join([margin + lines[0], *lines[1:]]) if lines else ""


def _spaced(text: str) -> str:
    """Part a flow's fields, so that lines can be wrapped between them; ovs-ofctl takes it all the same."""
    return text.replace(",", ", ").replace("(, ", "(,")


def _quoted(text: str) -> str:
    """Indent text as a Markdown code block, which nothing in it can end."""
    return "    " + " ".join(text.split())


def _cell(text: str) -> str:
    """Make text safe within a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
