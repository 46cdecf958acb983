"""Text of strangers, made fit to be shown: a filter for each form of output.

Names of ports, answers of tools and whatever another unit says may hold what a terminal, Markdown or a browser obeys.
Each filter takes such text and returns one line that can only be read. Nothing is dropped in silence: what cannot be
shown becomes U+FFFD.
"""

import json
import re
from typing import Any

LONGEST = 8_000
"""Characters of one piece of text; no flow of Neutron's agent is longer."""
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""What Python calls printable and no eye sees: fillers and selectors of variants."""
_MARKUP = re.compile(r"[\\`*\[\]<>|#~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What has a meaning within a line of Markdown (CommonMark 0.31, GitHub's tables and strikethrough)."""
_BEGINNING = re.compile(r"^(\d{1,9}(?=[.)])|(?=[-+=:]))")
"""What has one at the beginning of a line: lists, rules and underlines of headlines."""


def plain(text: str, limit: int = LONGEST) -> str:
    """Return text as one line for a terminal, without control, bidirectional and invisible characters.

    Args:
        text: As it came, surrogates included.
        limit: Characters after which it is cut, and says so.
    """
    if len(text) > limit:
        text = text[:limit] + " …"
    if not text.isprintable():
        text = "".join(map(_shown, text))
    return text if text.isascii() else _UNSEEN.sub("\ufffd", text)


def _shown(character: str) -> str:
    """Replace what `isprintable` refuses: all of Unicode's categories C and Z but the blank itself."""
    if character.isspace():
        return " "
    return character if character.isprintable() else "\ufffd"


def lines(text: str) -> str:
    """Return text of several lines, each as `plain` returns it and without blanks at its end, of whatever length."""
    return "\n".join(plain(line, len(line)).rstrip() for line in text.split("\n"))


def markdown(text: str, limit: int = LONGEST) -> str:
    """Return text that Markdown shows as it is, in a paragraph, a list or a cell of a table."""
    shown = _MARKUP.sub(r"\\\g<0>", plain(text, limit).strip())
    return _BEGINNING.sub(r"\1\\", shown)


def code(text: str, limit: int = LONGEST) -> str:
    """Return text as a code span of Markdown, fenced by more backticks than it has in a row."""
    shown = plain(text, limit).strip()
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    edge = " " if len(fence) > 1 or not shown else ""
    return f"{fence}{edge}{shown}{edge}{fence}"


def quoted(text: str, limit: int = LONGEST) -> str:
    """Return text as a code block of Markdown, which nothing in it can end as it is one indented line."""
    return "    " + " ".join(plain(text, limit).split())


def to_json(data: Any, indent: int | None = None) -> str:
    """Return JSON in ASCII alone, so that nothing in it acts on a terminal."""
    return json.dumps(data, indent=indent, separators=None if indent else (",", ":"))
