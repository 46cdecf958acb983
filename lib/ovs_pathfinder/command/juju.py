"""The `juju` command of Juju 2.9, 3 and 4: actions that are run, followed, and cancelled where nobody waits any more.

Juju tells the id of a task as soon as it is queued, and only the id can cancel it. So the client's stderr is read while
it runs. It gets a session of its own: Ctrl-C is for this process alone, which then takes back what it has begun.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, cast

from .. import errors

ANSWER = 30.0
"""Seconds that Juju may take to answer a question that waits for no action."""
GRACE = 15.0
"""Seconds that Juju may take, beyond an action's time limit, to say that it is over."""
_UNDOING = ("clean-up",)
"""Actions that go on where nobody waits for them any more: they undo what others have left."""
_QUEUED = re.compile(r"^\s*- task (?P<task>\d+) on (?:unit-)?(?P<unit>\S+)")
_SAID = re.compile(r"^\d\d:\d\d:\d\d (?P<text>.+)$")
_LOGGED = re.compile(r"^\S+ \S+ \S+ \S+ ")
"""The time before a line of the log, as Go prints it: 2022-03-14 10:15:00 +0000 UTC."""
_LATE = re.compile(r"timed out|timeout")
_MOST_PRINTED = 300
_LONGEST_LINE = 2**20

Tree = dict[str, Any]
"""What Juju prints as JSON."""

Log = Callable[[str], None]


class JujuError(errors.PathfinderError):
    """Juju refused, or could not be asked."""


class ActionFailed(errors.PathfinderError):
    """An action did not complete; the message is its own."""

    def __init__(self, unit: str, action: str, message: str) -> None:
        self.unit = unit
        self.message = message
        super().__init__(f"{action} on {unit} failed: {message}")


class TooLate(errors.PathfinderError):
    """A unit did not answer within the time limit of an action, which was cancelled."""

    def __init__(self, unit: str, action: str, within: float) -> None:
        self.unit = unit
        super().__init__(
            f"{unit} did not answer {action} within {within:g} s and was given up; see `juju status` for that unit"
        )


@dataclasses.dataclass(frozen=True)
class Answer:
    """What an action that completed came to."""

    unit: str
    results: Mapping[str, str]


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


@dataclasses.dataclass
class _Begun:
    """A task as far as it is known; `queued` is set once its id is."""

    task: str = ""
    unit: str = ""
    is_undoing: bool = False
    queued: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)


class Juju:
    """One model, asked through the `juju` command."""

    def __init__(self, binary: str = "", model: str = "") -> None:
        """Find the command.

        Args:
            binary: Its path or name; by default $JUJU, else `juju` on the PATH.
            model: As `juju --model` takes it; by default the current one.

        Raises:
            JujuError: There is no such command.
        """
        wanted = binary or os.environ.get("JUJU", "") or "juju"
        found = shutil.which(wanted)
        if found is None:
            raise JujuError(
                f"there is no Juju client {wanted!r} here; install it (snap install juju), "
                "or name it with --juju or $JUJU"
            )
        self.binary = str(pathlib.Path(found).absolute())
        self.model = model
        self._version = ""

    async def version(self) -> str:
        """Return the client's version, which decides how it is spoken to."""
        if not self._version:
            said = await self._ask("version", has_model=False)
            self._version = said.strip()
            if not re.match(r"\d+\.", self._version):
                raise JujuError(f"`{self.binary} version` says {said[:80].strip()!r}; name the Juju client with --juju")
        return self._version

    async def is_old(self) -> bool:
        """Whether it is Juju 2.9, which has other commands for actions."""
        return (await self.version()).startswith("2.")

    async def units(self, application: str) -> list[Unit]:
        """Return the units of the charm, wherever they are subordinate.

        Raises:
            JujuError: The model has no such application, or it has no units.
        """
        status: Tree = json.loads(await self._ask("status", "--format", "json"))
        applications = _branches(status, "applications")
        if application not in applications:
            model = self.model or status["model"]["name"]
            raise JujuError(
                f"there is no application {application} in the model {model}; deploy it there, "
                "or say --application or --model"
            )
        found = sorted(_units(applications, application), key=lambda one: int(one.name.rpartition("/")[2]))
        if not found:
            raise JujuError(f"the application {application} has no units; integrate it with octavia and nova-compute")
        return found

    async def run(
        self, unit: str, action: str, params: Mapping[str, Any], *, within: float, log: Log | None = None
    ) -> Answer:
        """Run an action on a unit to its end; whoever is cancelled while waiting here has the action cancelled too.

        But for clean-up, which goes on: it undoes what others have left.

        Args:
            unit: Its name, or `APPLICATION/leader`.
            action: The action's name.
            params: Its parameters.
            within: Seconds, from now until it must have ended; then it is cancelled.
            log: Is told each line that the action logs, while it runs.

        Raises:
            ActionFailed: It ended, and did not complete.
            TooLate: It did not end in time.
            JujuError: Juju did not take it.
        """
        begun = _Begun(unit=unit, is_undoing=action in _UNDOING)
        steps = self._run_old if await self.is_old() else self._run_new
        doing = asyncio.ensure_future(steps(begun, action, params, within, log or _ignore))
        try:
            found = await asyncio.wait_for(asyncio.shield(doing), within + ANSWER)
        except asyncio.TimeoutError:
            await self._withdraw(begun, doing)
            raise TooLate(begun.unit, action, within) from None
        except asyncio.CancelledError:
            await self._withdraw(begun, doing)
            raise
        except TooLate:
            await self._cancel(begun)
            raise
        return answer(found, begun.unit, action)

    async def _run_new(
        self, begun: _Begun, action: str, params: Mapping[str, Any], within: float, log: Log
    ) -> Mapping[str, Any]:
        def read(line: str) -> None:
            if (found := _QUEUED.match(line)) and not begun.task:
                begun.task, begun.unit = found["task"], _unit_name(found["unit"], begun.unit)
                begun.queued.set()
            elif said := _SAID.match(line):
                log(said["text"])

        with _file(params, self.binary) as options:
            command = ("run", "--format", "json", "--wait", f"{within:g}s", begun.unit, action, *options)
            status, out, err = await self._call(command, read=read)
        if not out.strip():
            if _LATE.search(err):
                raise TooLate(begun.unit, action, within)
            raise self._refused(command, status, err)
        answers: dict[str, Tree] = json.loads(out)
        return next(iter(answers.values()))

    async def _run_old(
        self, begun: _Begun, action: str, params: Mapping[str, Any], within: float, log: Log
    ) -> Mapping[str, Any]:
        heard: list[str] = []

        def read(line: str) -> None:
            if said := _SAID.match(line):
                heard.append(said["text"])
                log(said["text"])

        with _file(params, self.binary) as options:
            command = ("run-action", "--format", "json", begun.unit, action, *options)
            status, out, err = await self._call(command)
        if status or not out.strip():
            raise self._refused(command, status, err)
        begun.task = str(json.loads(out)["Action queued with id"])
        begun.queued.set()
        command = ("show-action-output", "--format", "json", "--wait", f"{within:g}s", begun.task)
        status, out, err = await self._call(command, read=read)
        found: Mapping[str, Any] = json.loads(out) if out.strip() else {}
        if found.get("status") in ("pending", "running") or (not found and _LATE.search(err)):
            raise TooLate(begun.unit, action, within)
        if not found:
            raise self._refused(command, status, err)
        for line in () if heard else found.get("log") or ():  # it was over before anybody could follow it
            log(_LOGGED.sub("", line))
        return found

    async def _withdraw(self, begun: _Begun, doing: "asyncio.Future[Any]") -> None:
        """Cancel a task, whether or not Juju has already said that it is queued."""
        queued = asyncio.ensure_future(begun.queued.wait())
        try:
            await asyncio.wait({queued, doing}, timeout=ANSWER, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done() or doing.cancelled() or doing.exception() is not None:
                await self._cancel(begun)
        finally:
            queued.cancel()
            doing.cancel()
            await asyncio.wait({doing}, timeout=GRACE)
            if doing.done() and not doing.cancelled():
                doing.exception()  # else asyncio complains that nobody has looked at it

    async def _cancel(self, begun: _Begun) -> None:
        """Ask Juju to cancel a task; 2.9 knows the command by the same name."""
        if begun.task and not begun.is_undoing:
            with contextlib.suppress(JujuError):
                await self._ask("cancel-task", begun.task)

    async def _ask(self, *command: str, has_model: bool = True) -> str:
        """Run a command of Juju's that waits for nothing, and return its stdout."""
        try:
            status, out, err = await asyncio.wait_for(self._call(command, has_model=has_model), ANSWER)
        except asyncio.TimeoutError:
            raise JujuError(
                f"`juju {command[0]}` did not answer within {ANSWER:g} s; is the controller reachable?"
            ) from None
        if status:
            raise self._refused(command, status, err)
        return out

    async def _call(
        self, command: Sequence[str], *, has_model: bool = True, read: Log | None = None
    ) -> tuple[int, str, str]:
        """Run a command of Juju's; return its exit status, stdout and stderr, whose lines are passed on at once."""
        name, *rest = command
        model = ["--model", self.model] if self.model and has_model else []
        try:
            process = await asyncio.create_subprocess_exec(
                self.binary,
                *(name, *model, *rest),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "NO_COLOR": "1"},
                start_new_session=True,
                limit=_LONGEST_LINE,
            )
        except OSError as error:
            raise JujuError(
                f"{self.binary} cannot be run ({error.strerror}); name the Juju client with --juju"
            ) from error
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        try:
            out, lines = await asyncio.gather(process.stdout.read(), _lines(process.stderr, read))
            status = await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return status, out.decode(errors="replace"), "\n".join(lines)

    def _refused(self, command: Sequence[str], status: int, err: str) -> JujuError:
        """Say in one sentence why Juju did not do what it was asked."""
        lines = [" ".join(line.split()) for line in err.splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith(("Operation ", "WARNING "))] or lines
        said = (told[0] if told else f"exit status {status}").removeprefix("ERROR ")[:_MOST_PRINTED].rstrip(".")
        return JujuError(f"`juju {command[0]}` failed: {said}{_hint(said)}")


def _hint(said: str) -> str:
    """Say what to do about the most usual refusals of Juju's."""
    hints = (
        (r"log ?in|credentials|permission denied|macaroon|unauthori[sz]ed", "log in with `juju login`"),
        (r"could not determine leader|application .* not found", "is it deployed? name it with --application"),
        (r"not defined", "refresh the charm to the revision of this command"),
        (r"no (model|controller)|No (model|controller|selected)|model .* not found", "name the model with --model"),
        (r"connect|refused|unreachable|no route", "is the controller reachable?"),
    )
    found = next((hint for pattern, hint in hints if re.search(pattern, said)), "")
    return f"; {found}" if found else ""


def _unit_name(tag: str, asked: str) -> str:
    """Return the unit that a tag such as `unit-ovs-pathfinder-0` stands for, without its first part."""
    name, _, number = tag.rpartition("-")
    return f"{name}/{number}" if name and number.isdigit() else asked


def _branches(tree: Tree, name: str) -> dict[str, Tree]:
    """Return what is below a name of Juju's output; nothing, where Juju left it out or empty."""
    return cast("dict[str, Tree]", tree.get(name) or {})


def _units(applications: Mapping[str, Tree], application: str) -> list[Unit]:
    found: list[Unit] = []
    for name, entry in applications.items():
        for principal, host in _branches(entry, "units").items():
            for unit, own in _branches(host, "subordinates").items():
                if unit.rpartition("/")[0] == application:
                    is_octavia = entry.get("charm-name", name) == "octavia"
                    agent: Tree = own.get("juju-status", {})
                    is_lost = agent.get("current") == "lost"
                    found.append(Unit(unit, principal, is_octavia, bool(own.get("leader")), is_lost))
    return found


def answer(task: Mapping[str, Any], asked: str, action: str) -> Answer:
    """Read a task in the shape of Juju 3 or of 2.9.

    Raises:
        ActionFailed: It did not complete.
    """
    unit = str(task.get("unit") or task.get("UnitId") or asked)
    results = cast("dict[str, Any]", task.get("results") or {})
    if task.get("status") != "completed":
        said = str(task.get("message") or task.get("status") or "it told nothing")
        if "return-code" in results or "ReturnCode" in results:
            code = results.get("return-code", results.get("ReturnCode"))
            said += f" (exit status {code})" if code else ""
        raise ActionFailed(unit, action, " ".join(said.split()))
    return Answer(unit, {key: str(value) for key, value in results.items()})


async def _lines(stream: asyncio.StreamReader, read: Log | None) -> list[str]:
    """Read lines to the end, and pass each on as it comes."""
    lines: list[str] = []
    while raw := await stream.readline():
        line = raw.decode(errors="replace").rstrip("\n")
        lines.append(line)
        if read is not None:
            read(line)
    return lines


@contextlib.contextmanager
def _file(params: Mapping[str, Any], binary: str) -> Generator[tuple[str, ...]]:
    """Write parameters where the client can read them: evidence is larger than Linux lets one argument be.

    The snap of Juju sees no /tmp of ours, but a folder of its own in the user's home.
    """
    if not params:
        yield ()
        return
    folder = None
    if "/snap/" in binary:
        folder = pathlib.Path("~/snap/juju/common").expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".yaml", encoding="utf-8") as file:
        json.dump(params, file, ensure_ascii=False)
        file.flush()
        yield ("--params", file.name)


def _ignore(_: str) -> None:
    """Hear nothing."""
