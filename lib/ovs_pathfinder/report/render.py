"""Render a diagnosis with the Jinja2 templates of this folder."""

import functools
import textwrap
from collections.abc import Callable
from typing import Literal

import jinja2

from .. import path
from ..diagnosis import verdict

Format = Literal["text", "markdown", "json"]
WIDTH = 80
_NAMES: dict[path.Hop, str] = {
    "source-port": "source port",
    "source-br-int": "source br-int",
    "source-br-tun": "source br-tun",
    "source-underlay": "source underlay",
    "underlay": "underlay",
    "destination-underlay": "dest. underlay",
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
    template = _environment().get_template("report.txt" if form == "text" else "report.md")
    text = template.render(plan=plan, diagnosis=diagnosis, lost=_lost(diagnosis))
    # Juju prints a result as a readable block of YAML only where no line ends in a blank.
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ovs_pathfinder.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - plain text and Markdown, no HTML
    )
    filters: dict[str, Callable[..., str]] = {
        "hop_name": _hop_name,
        "wrapped": _wrapped,
        "count": _count,
        "cell": _cell,
        "quoted": _quoted,
    }
    for name, function in filters.items():
        environment.filters[name] = function
    return environment


def _lost(diagnosis: verdict.Diagnosis) -> bool:
    return diagnosis.verdict in ("broken", "degraded")


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


def _quoted(text: str) -> str:
    """Indent text as a Markdown code block, which nothing in it can end."""
    return "    " + " ".join(text.split())


def _cell(text: str) -> str:
    """Make text safe within a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")
