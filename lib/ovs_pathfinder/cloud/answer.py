"""What the services answer, checked before anything relies on it."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import pydantic

from .. import bounds, errors


class Object(pydantic.BaseModel):
    """Base of what an API returns: immutable, and careless of what else is in it."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")


def _text(value: object) -> object:
    return "" if value is None else value


Text = Annotated[bounds.Word, pydantic.BeforeValidator(_text)]
"""A name, a state or the like that is empty for null, which services use alike."""

_Model = TypeVar("_Model", bound=Object)
_LIST = pydantic.TypeAdapter(list[Any])


def many(service: str, model: type[_Model], body: Mapping[str, Any], key: str) -> tuple[_Model, ...]:
    """Return the objects of a list.

    Raises:
        errors.PathfinderError: the answer is not what the API's reference says.

    """
    try:
        return tuple(model.model_validate(entry) for entry in _LIST.validate_python(body.get(key)))
    except pydantic.ValidationError as failure:
        raise _misunderstood(service, key, failure) from None


def one(service: str, model: type[_Model], body: Mapping[str, Any], key: str) -> _Model:
    """Return a single object; raises as `many` does."""
    try:
        return model.model_validate(body.get(key))
    except pydantic.ValidationError as failure:
        raise _misunderstood(service, key, failure) from None


def _misunderstood(service: str, key: str, failure: pydantic.ValidationError) -> errors.PathfinderError:
    first = failure.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or key
    return errors.PathfinderError(
        f"{service}'s answer about {key} is not understood at {place!r} ({first['msg']}): "
        "check that the endpoint in the catalogue is that of its API."
    )
