"""The options of a suite: `ovs-pathfinder` below `tests_options` in tests.yaml."""

import os
import pathlib
from typing import Annotated, Any

import pydantic

from .. import errors, path
from ..command import engine, sweep
from . import untyped

NAME = "ovs-pathfinder"
Text = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=255, strip_whitespace=True)]


class Options(pydantic.BaseModel):
    """What a suite may say; unknown names are refused."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-"), populate_by_name=True
    )

    application: Text = NAME
    """The charm's application."""
    charm: Text = NAME
    """What `deploy` deploys: a name on Charmhub, or the path of a packed charm."""
    channel: str = ""
    """Of Charmhub; empty for its default."""
    base: str = ""
    """Of the charm, such as ubuntu@22.04; empty for that of its first principal."""
    principals: Annotated[tuple[Text, ...], pydantic.Field(min_length=1)] = ("octavia", "nova-compute")
    """The applications that it is related to."""
    keystone: str = "keystone"
    """The application that gives it credentials; empty where its options do."""
    timeout: Annotated[float, pydantic.Field(gt=0, le=7200)] = 1200.0
    """Seconds that deploying may take."""
    sources: tuple[Text, ...] = ()
    """Units of Octavia, ports or addresses that paths begin at; by default all units of Octavia."""
    destinations: tuple[Text, ...] = ()
    """What paths lead to, as `plan-path` takes it; by default all amphorae."""
    protocol: path.Protocol = engine.Settings.protocol
    port: Annotated[int, pydantic.Field(ge=1, le=65535)] | None = engine.Settings.port
    count: Annotated[int, pydantic.Field(ge=1, le=200)] = engine.Settings.count
    interval: Annotated[float, pydantic.Field(ge=0.05, le=5)] = engine.Settings.interval
    size: Annotated[int, pydantic.Field(ge=32, le=8952)] = engine.Settings.size
    patience: Annotated[float, pydantic.Field(ge=1, le=3600)] = engine.Settings.patience
    """Seconds that an action may take beyond what it sends and waits for."""
    at_once: Annotated[int, pydantic.Field(ge=1, le=12)] = sweep.AT_ONCE
    """Paths that are traced at the same time."""
    log_dir: pathlib.Path = pathlib.Path("ovs-pathfinder")
    """The folder for reports and captured packets; $OVS_PATHFINDER_LOG_DIR goes before."""

    @pydantic.field_validator("principals", "sources", "destinations", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Take one name for a list of one, as `zaza.charm_lifecycle.test --config` gives it."""
        return [value] if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _go_together(self) -> "Options":
        if self.port is None and self.protocol != "icmp":
            raise ValueError(f"protocol {self.protocol} needs a port")
        if self.port is not None and self.protocol == "icmp":
            raise ValueError("port goes with protocol tcp or udp")
        return self

    @property
    def settings(self) -> engine.Settings:
        """What the engine is told of the packets."""
        return engine.Settings(
            protocol=self.protocol,
            port=self.port,
            count=self.count,
            interval=self.interval,
            size=self.size,
            patience=self.patience,
        )

    @property
    def folder(self) -> pathlib.Path:
        """The folder for what is written."""
        return pathlib.Path(os.environ.get("OVS_PATHFINDER_LOG_DIR") or self.log_dir)


def read() -> Options:
    """Return the options of the suite that runs.

    Raises:
        PathfinderError: One of them is not as it must be; the first is named, with its value.
    """
    said = dict(untyped.OPTIONS.get_raw_options().get(NAME) or {})
    # Tests that are named on the command line are run without tests.yaml being read, and reading it overrides.
    untyped.CONFIGURATION.get_charm_config(fatal=False)
    untyped.OPTIONS.merge({NAME: said}, override=True)
    return parse(untyped.OPTIONS.get_raw_options()[NAME])


def parse(given: Any) -> Options:
    """Return options as tests.yaml has them."""
    try:
        return Options.model_validate(given)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = ".".join((NAME, *map(str, first["loc"])))
        reason = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise errors.PathfinderError(f"tests_options: {name}: {reason}") from error
        raise errors.PathfinderError(
            f"tests_options: {name} cannot be {str(first['input'])[:80]!r}: {reason[0].lower()}{reason[1:]}"
        ) from error
