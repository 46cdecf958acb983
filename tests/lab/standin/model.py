"""The model file: which units there are, how their hosts are entered, and what they are related to.

Relative paths in it start at its own directory. Every key but `units` has a default:

    application: ovs-pathfinder
    charm: /path/to/charm               # this checkout
    state: state                        # databags and tasks, created when missing
    juju-version: 3.6.9                 # 2.9.x has its own commands and output
    model: lab
    deliver: auto                       # or manual: hooks wait for `deliver` and `fire`
    deploy: short                       # or full: with the relation hooks of juju-info
    config: {}
    units:
      ovs-pathfinder/0: {principal: octavia/2, leader: true, enter: [], env: {}, address: 127.0.0.1}
    relations:
      keystone-credentials: {remote-app: keystone, units: {keystone/0: {auth_host: 10.0.0.1}}, app-data: {}}

`enter` must end by executing the command behind it, as `ip netns exec` and nsenter do: a cancelled task is killed by
the pid of what was started.

It is read by hand rather than by pydantic, whose import would double the time that a command takes.
"""

import dataclasses
import os
import pathlib
import re
from typing import Any, cast

import yaml

from . import charm, errors

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
JUJU_VERSION = "3.6.9"
UNIT_NAME = re.compile(r"^([a-z][a-z0-9]*(?:-[a-z0-9]*[a-z][a-z0-9]*)*)/(0|[1-9][0-9]*)$")

_loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str) -> Any:
    """Parse one YAML document."""
    return yaml.load(text, Loader=_loader)  # noqa: S506 - one of the two safe loaders


def application_of(unit: str) -> str:
    """Return the application that a unit belongs to."""
    return unit.split("/")[0]


@dataclasses.dataclass(frozen=True)
class Unit:
    """One unit of the application."""

    principal: str = ""
    leader: bool = False
    enter: list[str] = dataclasses.field(default_factory=list[str])
    """The command that puts the command after it on this unit's host."""
    env: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    address: str = "127.0.0.1"


@dataclasses.dataclass(frozen=True)
class Relation:
    """A relation to an application that is not there: its data is all there is of it."""

    remote_app: str
    units: dict[str, dict[str, str]]
    app_data: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Model:
    """What the model file says, with its defaults."""

    application: str
    charm: pathlib.Path
    state: pathlib.Path
    juju_version: str
    model: str
    deliver: str
    """`auto` or `manual`: whether relation hooks run when a command ends, or on `deliver` and `fire`."""
    deploy: str
    """`short` leaves out the relation hooks of `juju-info`, which carries no data; `full` does not."""
    config: dict[str, Any]
    units: dict[str, Unit]
    relations: dict[str, Relation]

    @property
    def old(self) -> bool:
        """Whether this is Juju 2.9, with its own commands and its own output."""
        return self.juju_version.startswith("2.")

    @property
    def leader(self) -> str:
        """The leader's name; the first unit where the model file names none."""
        return next((name for name, unit in self.units.items() if unit.leader), next(iter(self.units)))

    def machine(self, unit: str) -> str:
        """Return the number of a unit's machine, in the order of the units."""
        return str(list(self.units).index(unit))


class _Mapping:
    """A mapping of the model file, taken apart key by key; what is wrong is said with its place."""

    def __init__(self, content: object, where: str):
        if content is None:
            content = {}
        if not isinstance(content, dict):
            raise errors.ModelError(f"{where or 'the model file'} must be a mapping, not {content!r}")
        self._left = {str(key): entry for key, entry in cast("dict[object, object]", content).items()}
        self._where = where

    def place(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def text(self, key: str, default: str = "", allowed: tuple[str, ...] = ()) -> str:
        content = self._left.pop(key, None)
        text = default if content is None else _text(content, self.place(key))
        if allowed and text not in allowed:
            raise errors.ModelError(f"{self.place(key)} must be one of {', '.join(allowed)}, not {text!r}")
        return text

    def flag(self, key: str) -> bool:
        content = self._left.pop(key, False)
        if not isinstance(content, bool):
            raise errors.ModelError(f"{self.place(key)} must be true or false, not {content!r}")
        return content

    def texts(self, key: str) -> list[str]:
        content: object = self._left.pop(key, None) or []
        if not isinstance(content, list):
            raise errors.ModelError(f"{self.place(key)} must be a list, not {content!r}")
        return [_text(entry, self.place(key)) for entry in cast("list[object]", content)]

    def inner(self, key: str) -> "_Mapping":
        return _Mapping(self._left.pop(key, None), self.place(key))

    def rest(self) -> dict[str, Any]:
        found, self._left = self._left, {}
        return found

    def settings(self) -> dict[str, str]:
        return {key: _text(content, self.place(key)) for key, content in self.rest().items()}

    def end(self) -> None:
        """Refuse what nobody asked for."""
        if self._left:
            raise errors.ModelError(f"{self.place(next(iter(self._left)))} is not a key of the model file")


def _text(content: object, where: str) -> str:
    """Let YAML's numbers and booleans stand where Juju knows only strings."""
    if isinstance(content, bool):
        return str(content).lower()
    if not isinstance(content, str | int | float):
        raise errors.ModelError(f"{where} must be a string, not {content!r}")
    return str(content)


def _unit(name: str, content: object, application: str) -> Unit:
    mapping = _Mapping(content, f"units.{name}")
    if not UNIT_NAME.match(name) or application_of(name) != application:
        raise errors.ModelError(f"{name!r} is not a unit of application {application!r}")
    unit = Unit(
        principal=mapping.text("principal"),
        leader=mapping.flag("leader"),
        enter=mapping.texts("enter"),
        env=mapping.inner("env").settings(),
        address=mapping.text("address", "127.0.0.1"),
    )
    mapping.end()
    if unit.principal and not UNIT_NAME.match(unit.principal):
        raise errors.ModelError(f"principal {unit.principal!r} of {name} is not a unit's name")
    return unit


def _relation(endpoint: str, content: object) -> Relation:
    mapping = _Mapping(content, f"relations.{endpoint}")
    units = mapping.inner("units")
    found = {name: _Mapping(entry, units.place(name)).settings() for name, entry in units.rest().items()}
    relation = Relation(mapping.text("remote-app", endpoint), found, mapping.inner("app-data").settings())
    mapping.end()
    for name in found:
        if application_of(name) != relation.remote_app:
            raise errors.ModelError(f"{name!r} in relation {endpoint!r} is not a unit of {relation.remote_app!r}")
    return relation


def _model(content: object, home: pathlib.Path) -> Model:
    mapping = _Mapping(content, "")
    application = mapping.text("application", "ovs-pathfinder")
    units = {name: _unit(name, entry, application) for name, entry in mapping.inner("units").rest().items()}
    relations = {name: _relation(name, entry) for name, entry in mapping.inner("relations").rest().items()}
    model = Model(
        application=application,
        charm=(home / pathlib.Path(mapping.text("charm", str(CHECKOUT))).expanduser()).resolve(),
        state=(home / pathlib.Path(mapping.text("state", "state")).expanduser()).absolute(),
        juju_version=mapping.text("juju-version", JUJU_VERSION),
        model=mapping.text("model", "lab"),
        deliver=mapping.text("deliver", "auto", ("auto", "manual")),
        deploy=mapping.text("deploy", "short", ("short", "full")),
        config=mapping.inner("config").rest(),
        units=units,
        relations=relations,
    )
    mapping.end()
    if not units:
        raise errors.ModelError("there are no units")
    if sum(unit.leader for unit in units.values()) > 1:
        raise errors.ModelError("more than one unit is the leader")
    if not re.match(r"^\d+\.\d+(\.\d+)?$", model.juju_version):
        raise errors.ModelError(f"juju-version {model.juju_version!r} is not a version such as {JUJU_VERSION}")
    return model


def read(path: str | None) -> tuple[Model, charm.Charm]:
    """Read the model file and the charm that it names.

    Args:
        path: The model file; $LAB_JUJU_MODEL where it is None.

    Raises:
        errors.ModelError: With one sentence on what is wrong.

    """
    chosen = path or os.environ.get("LAB_JUJU_MODEL", "")
    if not chosen:
        raise errors.ModelError("no model file: set LAB_JUJU_MODEL or give --model-file")
    source = pathlib.Path(chosen).absolute()
    try:
        model = _model(load_yaml(source.read_text()), source.parent)
    except OSError as error:
        raise errors.ModelError(f"cannot read model file {source}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise errors.ModelError(f"model file {source} is not YAML: {' '.join(str(error).split())}") from error
    except errors.ModelError as error:
        raise errors.ModelError(f"model file {source}: {error}") from error
    definition = charm.read(model.charm)
    unknown = sorted(set(model.relations) - set(definition.endpoints))
    if unknown:
        raise errors.ModelError(f"model file {source}: the charm has no endpoint {unknown[0]!r}")
    return model, definition
