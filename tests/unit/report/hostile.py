"""Models in which every string that may be anything is hostile."""

from collections.abc import Iterator
from typing import Any, TypeVar, cast

import pydantic

ATTACK = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m\r\b\x00\x7f\u202e\u2066\u200b\ufeff\u2028\ud800\ufffe\u3164"
    "\n# headline\n\n| a | b |\n| --- | --- |\n- item\n\n    code\n```\nfence\n```\n===\n<script>alert(1)</script>"
    '`code` **bold** _it_ ~~gone~~ [link](http://evil) ![i](x) &lt; <!-- ]]> --> "quote" \' </pre></li> \\| \\'
)
"""What terminals, Markdown, HTML, XML and JSON take for more than text."""
HARMLESS = "word"

Model = TypeVar("Model", bound=pydantic.BaseModel)


def made(model: Model, text: str = ATTACK) -> Model:
    """Return a model with a text added to every string that may hold it, the same ones whatever the text is."""
    data = model.model_dump(mode="json")
    for holder, key in list(_strings(data)):
        value = holder[key]
        holder[key] = value + ATTACK
        try:
            type(model).model_validate(data)
            holder[key] = value + text
        except pydantic.ValidationError:
            holder[key] = value
    return type(model).model_validate(data)


def _strings(data: Any) -> Iterator[tuple[Any, Any]]:
    """Find the strings in nested objects and lists: each with what holds it, and its place there."""
    items = cast("dict[Any, Any]", data).items() if isinstance(data, dict) else enumerate(cast("list[Any]", data))
    for key, value in items:
        if isinstance(value, str):
            yield data, key
        elif isinstance(value, (dict, list)):
            yield from _strings(value)
