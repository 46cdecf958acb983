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
        "pasted": _pasted,
        "spaced": _spaced,
        "count": _count,
        "cell": _cell,
        "quoted": _quoted,
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
