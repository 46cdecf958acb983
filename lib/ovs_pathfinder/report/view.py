"""Answers of the inspecting actions as text for a terminal of 80 columns, one template each."""

from typing import Literal

from .. import text
from ..inspection import answer as answer_
from . import environment, render


def view(answer: answer_.Answer, form: Literal["text", "json"] = "text") -> dict[str, str]:
    """Return the results of an action: a sentence and a page to read, and for programs the whole as JSON."""
    shown = answer_.bounded(answer)
    template = environment.environment("text").get_template(f"{answer.action}.txt")
    page = render.trimmed(template.render(answer=shown))
    results = {"summary": text.plain(shown.summary), "report": render.cut(page)}
    return results | ({"answer": text.to_json(shown.model_dump(mode="json"))} if form == "json" else {})
