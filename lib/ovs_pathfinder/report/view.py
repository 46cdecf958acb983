"""Answers of the inspecting actions as text for a terminal of 80 columns, one template each."""

from ..inspection import answer as answer_
from . import render


def view(answer: answer_.Answer) -> dict[str, str]:
    """Return the results of an action: a sentence, a page to read, and the whole as JSON."""
    shown = answer_.bounded(answer)
    template = render.environment().get_template(f"{answer.action}.txt")
    text = render.trimmed(template.render(answer=shown))
    return {"summary": shown.summary, "report": render.cut(text), "answer": shown.model_dump_json()}
