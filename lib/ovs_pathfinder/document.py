"""JSON that others wrote: bounded before it is parsed, and checked against a model.

What is beyond the bounds is refused in one sentence without a subject (`is not JSON (…)`), so that whoever asked can
say whose words they were.
"""

import json
import re
from typing import Any, NoReturn, TypeVar

import pydantic

from . import errors

MAX_DEPTH = 40
"""Levels of lists and mappings in one another; evidence in Juju's own answer has a dozen."""
MAX_DOCUMENTS = 100
_BLANK = re.compile(r"[ \t\r\n]*")
_NO_BRACKETS = re.compile(r"[^\[\]{}]+")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
Model = TypeVar("Model", bound=pydantic.BaseModel)


def several(text: str, *, most: int) -> list[Any]:
    """Decode JSON documents that follow one another.

    Args:
        text: What was received.
        most: How many characters it may have.

    Raises:
        PathfinderError: It is too long, nests too deep, holds too many documents, or is not JSON.
    """
    if len(text) > most:
        raise errors.PathfinderError(f"is larger than {most:,} characters")
    if _depth(text) > MAX_DEPTH:
        raise errors.PathfinderError(f"is not JSON that can be read, as it nests deeper than {MAX_DEPTH} levels")
    documents: list[Any] = []
    position = _after_blanks(text, 0)
    while position < len(text):
        if len(documents) == MAX_DOCUMENTS:
            raise errors.PathfinderError(f"holds more than {MAX_DOCUMENTS} documents")
        try:
            document, position = _DECODER.raw_decode(text, position)
        except ValueError as error:
            raise errors.PathfinderError(f"is not JSON ({error})") from error
        documents.append(document)
        position = _after_blanks(text, position)
    return documents


def read(model: type[Model], text: str, *, most: int) -> Model:
    """Read one document as a model; raises as `several` and `check` do."""
    documents = several(text, most=most)
    if len(documents) != 1:
        raise errors.PathfinderError(f"holds {len(documents)} documents instead of one")
    return check(model, documents[0])


def check(model: type[Model], data: Any) -> Model:
    """Read decoded JSON as a model.

    Raises:
        PathfinderError: It is not as the model says; the first place is named.
    """
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise errors.PathfinderError(f"is damaged at {_plain(where) or 'its top'} ({_plain(first['msg'])})") from error


def _plain(text: str) -> str:
    """Return foreign text for the midst of a sentence."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text[:200])


def _after_blanks(text: str, position: int) -> int:
    found = _BLANK.match(text, position)
    return found.end() if found else position


def _depth(text: str) -> int:
    """Return how deep brackets nest outside of strings, in one pass.

    A backslash outside of a string ends a document as far as the decoder comes, so those need no care here.
    """
    bare = text.replace("\\\\", "").replace('\\"', "").split('"')[::2]
    depth = deepest = 0
    for bracket in _NO_BRACKETS.sub("", "".join(bare)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
