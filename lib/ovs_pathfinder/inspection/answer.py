"""What was found out, in a form for programs; `report.view` makes the text for people of it."""

from typing import Any, ClassVar, Literal

from .. import path, text

MAX_BYTES = 100_000
"""Of an answer as JSON: it goes through argv as an action's result, where Linux allows 131,071."""


class Answer(path.Model):
    """Base of all answers."""

    action: ClassVar[str]
    """The action that gives it; its template has the same name."""
    version: Literal[1] = 1
    summary: str
    """One sentence."""
    notes: tuple[str, ...] = ()
    """Whole sentences on what could not be found out or was not understood."""


def bounded(answer: Answer, limit: int = MAX_BYTES) -> Answer:
    """Return an answer that fits into a result of Juju's: the longest list gives way, and a note says so."""
    while len(text.to_json(answer.model_dump(mode="json"))) > limit:
        lists: dict[str, tuple[Any, ...]] = {
            name: getattr(answer, name)
            for name in type(answer).model_fields
            if name != "notes" and isinstance(getattr(answer, name), tuple)
        }
        name = max(lists, key=lambda one: len(str(lists[one])))
        whole = lists[name]
        if not whole:
            break
        kept = whole[: len(whole) // 2]
        said = tuple(note for note in answer.notes if not note.startswith("Only the first"))
        note = (
            f"Only the first {len(kept)} of the {name} are shown: the whole is larger than a result of Juju's may be."
        )
        answer = answer.model_copy(update={name: kept, "notes": (*said, note)})
    return answer
