"""What an operator may ask: checked values, with one sentence for each that cannot be."""

import ipaddress
from typing import Annotated, Literal

import pydantic

from .. import path


class Query(pydantic.BaseModel):
    """Base of all questions: parameters as actions.yaml has them; unknown ones are refused."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True
    )
    format: Literal["text", "json"] = "text"
    """Whether programs read the answer too."""


def _plain(value: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("it holds a control character; give it in one line")
    return value.strip()


Text = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=255), pydantic.AfterValidator(_plain)]
OptionalText = Annotated[str, pydantic.StringConstraints(max_length=255), pydantic.AfterValidator(_plain)]
"""Empty where nothing was given."""


def _address(value: str) -> str:
    try:
        return value and str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("it is no IP address; give one such as 192.168.0.5 or fc00::5") from None


def _mac(value: str) -> str:
    try:
        return value and pydantic.TypeAdapter(path.Mac).validate_python(value)
    except pydantic.ValidationError:
        raise ValueError("it is no MAC address; give one such as fa:16:3e:0d:9a:cf") from None


OptionalIp = Annotated[OptionalText, pydantic.AfterValidator(_address)]
"""An IP address in its canonical form; empty where nothing was given."""
OptionalMac = Annotated[OptionalText, pydantic.AfterValidator(_mac)]
OptionalRun = Annotated[str, pydantic.StringConstraints(max_length=64), pydantic.AfterValidator(_plain)]
