"""The parameters of the actions, checked again: Juju checks them against actions.yaml before, but not on every path."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import pydantic

from ovs_pathfinder import errors

_MAX_PROBE = 120.0
"""Seconds that the sending of a probe may take."""


class Parameters(pydantic.BaseModel):
    """Base of all: unknown parameters are refused."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def _plain(value: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("it holds a control character; give it in one line")
    return value.strip()


Text = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=255), pydantic.AfterValidator(_plain)]
Run = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=64), pydantic.AfterValidator(_plain)]


class PlanPath(Parameters):
    """Of plan-path."""

    source: Text
    destination: Text
    protocol: Literal["icmp", "tcp", "udp"] = "icmp"
    port: Annotated[int, pydantic.Field(ge=1, le=65535)] | None = None


class _Packets(Parameters):
    """What the source sends."""

    run: Run
    count: Annotated[int, pydantic.Field(ge=1, le=200)] = 5
    interval: Annotated[float, pydantic.Field(ge=0.05, le=5)] = 0.2
    size: Annotated[int, pydantic.Field(ge=32, le=8952)] = 56

    @pydantic.model_validator(mode="after")
    def _is_short(self) -> "_Packets":
        seconds = self.count * self.interval
        if math.isnan(seconds) or seconds > _MAX_PROBE:
            raise ValueError(
                f"count {self.count} times interval {self.interval:g} s is {seconds:g} s, more than {_MAX_PROBE:g} s; "
                "lower one of them"
            )
        return self


class ProbePath(_Packets):
    """Of probe-path."""

    wait: Annotated[float, pydantic.Field(ge=0, le=60)] = 10.0
    captures: bool = False


class TryFlows(_Packets):
    """Of try-flows."""

    at: Literal["source", "destination"] = "source"
    wait: Annotated[float, pydantic.Field(ge=0, le=60)] = 10.0


class TryPortSecurity(_Packets):
    """Of try-port-security."""

    port: Literal["source", "destination"] = "source"
    settle: Annotated[float, pydantic.Field(ge=0, le=60)] = 8.0


class InjectFlows(Parameters):
    """Of inject-flows."""

    bridge: Text
    flows: Annotated[str, pydantic.StringConstraints(min_length=1, max_length=8000), pydantic.AfterValidator(_plain)]
    duration: Annotated[int, pydantic.Field(ge=1, le=3600)] = 30
    run: Annotated[str, pydantic.StringConstraints(max_length=64), pydantic.AfterValidator(_plain)] = ""
    allow_broad: Annotated[bool, pydantic.Field(alias="allow-broad")] = False


class CleanUp(Parameters):
    """Of clean-up."""

    dry_run: Annotated[bool, pydantic.Field(alias="dry-run")] = False


class Configuration(Parameters):
    """Of the application (`juju config`); `credentials` reads the other options."""

    model_config = pydantic.ConfigDict(extra="ignore", frozen=True)

    max_change_duration: Annotated[int, pydantic.Field(alias="max-change-duration", ge=60, le=3600)] = 300


class PathReport(Parameters):
    """Of path-report."""

    run: Run
    format: Literal["text", "markdown", "json"] = "text"
    evidence: str = ""


Model = TypeVar("Model", bound=pydantic.BaseModel)


def read(model: type[Model], given: Mapping[str, Any]) -> Model:
    """Read an action's parameters.

    Raises:
        PathfinderError: One of them is not as actions.yaml says; the first is named, with its value.
    """
    try:
        return model.model_validate(dict(given))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        if not name:
            raise errors.PathfinderError(reason) from error
        kind = "option" if model is Configuration else "parameter"
        raise errors.PathfinderError(
            f"the {kind} {name} cannot be {str(first['input'])[:80]!r}: {reason[0].lower()}{reason[1:]}"
        ) from error
