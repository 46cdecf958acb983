"""What the Juju client prints, read: the model's status, tasks, and why it refused something.

The shapes are those of Juju 2.9, 3 and 4. Whatever the client prints may be damaged or be no Juju's at all: what cannot
be read is an error in one sentence, which quotes its beginning.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import pydantic

from .. import errors
from .. import text as text_

_MOST_QUOTED = 300
_NAME = "[a-z][a-z0-9]*(?:-[a-z0-9]*[a-z][a-z0-9]*)*"
_TARGET = re.compile(rf"{_NAME}/(?:0|[1-9][0-9]*|leader)")
"""A unit's name, or the leader of an application (`names.IsValidUnit` and `validUnitOrLeader` of Juju)."""
_APPLICATION = re.compile(_NAME)
_LATE = re.compile(r"timed out waiting for results|timeout reached|maximum wait time reached")
"""The client of Juju 3 and 4, of 2.9, and of both: the task had not ended when `--wait` was over."""
_PROGRESS = re.compile(r"Running operation |Operation |Waiting for task |Scheduled |WARNING |\s*- task ")
_LOGGED_LINE = re.compile(r"\d\d:\d\d:\d\d ")

_LOG_IN = "log in with `juju login`"
_REACH = "is the controller reachable? try `juju status`"
_CHOOSE = "name the model with --model, or select one with `juju switch`"
_HINTS = (
    (r"no controllers registered", "register one with `juju register`, or create one with `juju bootstrap`"),
    (r"no selected controller|no current controller", "select one with `juju switch`, or name the model with --model"),
    (r"no selected model|no model in focus|current model for controller", _CHOOSE),
    (r"controller \S+ not found", "name the model with --model CONTROLLER:MODEL; `juju controllers` lists them"),
    (r"model .*(not found|removed)", "name the model with --model; `juju models` lists them"),
    (
        r"not logged in|log ?in|log into|password|macaroon|discharge|credentials|unauthori[sz]ed|account details",
        _LOG_IN,
    ),
    (r"permission denied", f"{_LOG_IN} as a user who may write to the model"),
    (r"upgrade in progress", "wait until the controller is upgraded"),
    (r"x509|certificate", "the controller's certificate is not the one that the client knows: register it again"),
    (r"unable to connect|cannot connect|connection (refused|reset|is shut down)|dial tcp|i/o timeout", _REACH),
    (r"no route to host|unreachable|no such host|tls handshake|websocket|unexpected EOF", _REACH),
    (r"could not determine leader|application .* not found", "is it deployed? name it with --application"),
    (r"unit .* not found", "`juju status` lists the units"),
    (r"action .* not defined|not defined on", "refresh the charm to the revision of this command"),
)
"""What the client says, in any case of letters, and what to do about it; the first that fits counts.

Sources: `cmd/modelcmd` (controller.go, modelcommand.go, base.go), `jujuclient/file.go`, `api/apiclient.go` and
`cmd/juju/action` of Juju 2.9 to 4.0.
"""

Value = TypeVar("Value")


class JujuError(errors.PathfinderError):
    """Juju refused, could not be asked, or printed what cannot be read."""


@dataclasses.dataclass(frozen=True)
class Unit:
    """A unit of the charm, as `juju status` shows it."""

    name: str
    principal: str
    is_octavia: bool
    """Whether the principal's charm is Octavia's."""
    leader: bool
    lost: bool
    """Whether its agent is not heard of."""


def _filled(value: Any) -> Any:
    return {} if value is None else value


Branches = Annotated[Mapping[str, Value], pydantic.BeforeValidator(_filled)]
"""What is below a name; Juju leaves it out or empty where nothing is."""
_Text = Annotated[str, pydantic.BeforeValidator(lambda value: "" if value is None else value)]


class _Printed(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, populate_by_name=True, from_attributes=True)


class _Agent(_Printed):
    current: _Text = ""


class _Subordinate(_Printed):
    leader: bool | None = False
    agent: _Agent | None = pydantic.Field(None, alias="juju-status")


class _Host(_Printed):
    subordinates: Branches[_Subordinate] = {}


class _Application(_Printed):
    charm: _Text = pydantic.Field("", alias="charm-name")
    units: Branches[_Host] = {}


class _About(_Printed):
    name: _Text = ""


class Status(_Printed):
    """What `juju status --format json` prints, as far as it is needed."""

    model: _About = _About()
    applications: Branches[_Application] = {}

    def units(self, application: str) -> list[Unit]:
        """Return the units of an application that is subordinate to others, by number."""
        found: list[Unit] = []
        for name, entry in self.applications.items():
            for principal, host in entry.units.items():
                for unit, own in host.subordinates.items():
                    if is_target(unit) and unit.rpartition("/")[0] == application:
                        is_octavia = (entry.charm or name) == "octavia"
                        is_lost = own.agent is not None and own.agent.current == "lost"
                        found.append(Unit(unit, principal, is_octavia, bool(own.leader), is_lost))
        return sorted(found, key=lambda one: int(one.name.rpartition("/")[2]))


class Task(_Printed):
    """One task, in the shape of Juju 3 and 4 or of 2.9."""

    unit: _Text = pydantic.Field("", validation_alias=pydantic.AliasChoices("unit", "UnitId"))
    status: _Text = ""
    message: _Text = ""
    results: Branches[Any] = {}
    log: tuple[str, ...] | None = ()

    @property
    def failure(self) -> str:
        """Why it did not complete, in its own words; empty where it did."""
        if self.status == "completed":
            return ""
        code = self.results.get("return-code", self.results.get("ReturnCode"))
        return quoted(self.message or self.status or "it told nothing", 4000) + (
            f" (exit status {code})" if code else ""
        )


class Queued(_Printed):
    """What `juju run-action` of 2.9 prints."""

    task: str = pydantic.Field(
        alias="Action queued with id", pattern=r"^[0-9a-f][0-9a-f-]*$", coerce_numbers_to_str=True
    )


STATUS = pydantic.TypeAdapter(Status)
TASK = pydantic.TypeAdapter(Task)
TASKS = pydantic.TypeAdapter(dict[str, Task])
QUEUED = pydantic.TypeAdapter(Queued)


def read(kind: "pydantic.TypeAdapter[Value]", command: str, out: object) -> Value:
    """Read what a command of the client printed as JSON, or what libjuju has made of the same.

    Raises:
        JujuError: It is no JSON, or of another shape.
    """
    try:
        return kind.validate_json(out) if isinstance(out, str) else kind.validate_python(out)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        why = f"{where}: {first['msg']}" if where else first["msg"]
        raise JujuError(
            f"`juju {command}` printed what cannot be read ({quoted(why, 120)}): {quoted(str(out), 100) or 'nothing'!r}"
        ) from error


def is_target(text: str) -> bool:
    """Whether a text is a unit's name, or `APPLICATION/leader`."""
    return _TARGET.fullmatch(text) is not None


def is_application(text: str) -> bool:
    """Whether a text is an application's name."""
    return _APPLICATION.fullmatch(text) is not None


def is_late(err: str) -> bool:
    """Whether the client gave up because a task had not ended, which a controller that is out of reach is not."""
    return _LATE.search(err) is not None


def refusal(command: str, status: int, err: str) -> JujuError:
    """Say in one sentence why Juju did not do what it was asked, and what to do about it."""
    lines = [line for line in map(quoted, err.splitlines()) if line]
    told = [line for line in lines if line.startswith("ERROR ")] or [
        line for line in lines if not _PROGRESS.match(line) and not _LOGGED_LINE.match(line)
    ]
    said = (told[0] if told else f"exit status {status}").removeprefix("ERROR ").rstrip(".")
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, said, re.IGNORECASE)), "")
    return JujuError(f"`juju {command}` failed: {said}{f'; {hint}' if hint else ''}")


def quoted(text: str, limit: int = _MOST_QUOTED) -> str:
    """Return text as one line of bounded length that holds nothing which a terminal obeys."""
    return text_.plain(" ".join(text[: 4 * limit].split())[:limit])
