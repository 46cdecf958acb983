"""Where templates are rendered: whatever they put in passes the filter of their form, unless a filter here made it."""

import functools
import itertools
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jinja2

from .. import text
from . import content

WIDTH = 80
_DEVICE = 15
"""Columns of a device: IFNAMSIZ less its end."""
_CELL = 22
"""Columns of one direction in the table of hops; with hop and device they make 80."""
Kind = Literal["text", "markdown", "markup"]
"""Of a template: for a terminal, for Markdown, or HTML and XML."""


class Shown(str):
    """Text that has passed the filter of its form, lines and all."""

    __slots__ = ()


@functools.cache
def environment(kind: Kind) -> jinja2.Environment:
    """Return the templates of this folder, with the filters that they use.

    All that a template puts in is filtered here (`finalize`), and in HTML and XML escaped as well, so that no template
    has to think of it.
    """
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("ovs_pathfinder.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=kind == "markup",  # noqa: S701 - plain text and Markdown are no HTML
        finalize=functools.partial(_finalized, text.markdown if kind == "markdown" else text.plain),
    )
    filters: dict[str, Callable[..., str]] = {
        "wrapped": _wrapped,
        "pasted": _pasted,
        "spaced": _spaced,
        "quoted": _quoted,
        "code": _code,
    }
    for name, function in filters.items():
        made.filters[name] = function
    functions: dict[str, Any] = {"fact": _fact, "table": _table}
    made.globals.update(functions)
    return made


def _finalized(filtered: Callable[[str], str], value: Any) -> str:
    return value if isinstance(value, Shown) else filtered(str(value))


def _wrapped(value: Any, indent: int = 0, first: str = "") -> Shown:
    """Wrap text to the terminal; long words such as addresses and flows are never broken."""
    return Shown(
        textwrap.fill(
            text.plain(str(value)),
            WIDTH,
            initial_indent=" " * (indent - len(first)) + text.plain(first),
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )


def _fact(name: str, value: str, indent: int = 20) -> Shown:
    """Return a line with its name in front, and the lines that it is wrapped to; nothing, where there is no value."""
    return Shown(_wrapped(value, indent, name.ljust(indent - 4)) + "\n" if value else "")


def _table(rows: Sequence[content.Row]) -> Shown:
    """Lay out the hops: what is too long for its column goes on in the next line, and nothing is cut."""
    lines = [
        f"{'':31}│ {'forward →':22} │ {'← reply':22}",
        f"{'hop':15} {'device':15}│ {'theory':15} {'seen':>6} │ {'theory':15} {'seen':>6}",
        f"{'─' * 31}┼{'─' * 24}┼{'─' * 23}",
    ]
    for row in rows:
        columns = (textwrap.wrap(text.plain(row.device), _DEVICE), _cell(row.forward), _cell(row.reply))
        names = itertools.chain((row.hop,), itertools.repeat(""))
        for hop, (device, forward, reply) in zip(names, itertools.zip_longest(*columns, fillvalue=""), strict=False):
            lines.append(f"{hop:15} {device:{_DEVICE}}│ {forward:{_CELL}} │ {reply:{_CELL}}".rstrip())
    return Shown("\n".join(lines))


def _cell(cell: content.Cell) -> list[str]:
    """Return the lines of a cell, the count at its right; a mark without a count gives up its word for the theory."""
    seen = cell.seen
    if len(cell.theory) + 1 + len(seen) > _CELL:
        seen = seen.removesuffix(" lost")
    theory = textwrap.wrap(text.plain(cell.theory), _CELL - len(seen) - 1 if seen else _CELL) or [""]
    return [f"{theory[0]:{_CELL - len(seen)}}{seen}", *theory[1:]]


_SHELL_WORD = re.compile(r"""(?:\$'(?:\\.|[^'\\])*'|'[^']*'|"[^"]*"|\S)+""")
"""What a shell takes as one word, its quotes included."""


def _pasted(command: str, indent: int = 0) -> Shown:
    """Wrap a command to the terminal so that a shell takes all of its lines as one."""
    margin = " " * indent
    lines: list[str] = []
    for word in _SHELL_WORD.findall(text.plain(command)):
        if lines and len(lines[-1]) + 1 + len(word) <= WIDTH - indent - 4:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return Shown(f" \\\n{margin}  ".join([margin + lines[0], *lines[1:]]) if lines else "")


def _spaced(value: str) -> str:
    """Part a flow's fields, so that lines can be wrapped between them; ovs-ofctl takes it all the same."""
    return value.replace(",", ", ").replace("(, ", "(,")


def _quoted(value: str) -> Shown:
    return Shown(text.quoted(value))


def _code(value: Any) -> Shown:
    return Shown(text.code(str(value)))
