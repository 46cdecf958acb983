"""The `juju` command of Juju 2.9, 3 and 4: actions that are run, followed, and cancelled where nobody waits any more.

Juju tells the id of a task as soon as it is queued, and only the id can cancel it. So the client's stderr is read while
it runs. It gets a session of its own: Ctrl-C is for this process alone, which then takes back what it has begun.
"""

import asyncio
import collections
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from .. import errors
from . import printed

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
_MOST_PRINTED = 64 * 2**20
"""Bytes of stdout; the evidence of a unit is some MB."""
_LONGEST_LINE, _MOST_LINES = 2**16, 5000
"""Of stderr: bytes that are kept of each line, and lines."""

Log = Callable[[str], None]


JujuError = printed.JujuError
Unit = printed.Unit


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
                shown = printed.quoted(said, 80)
                raise JujuError(f"`{self.binary} version` says {shown!r}; name the Juju client with --juju")
        return self._version

    async def is_old(self) -> bool:
        """Whether it is Juju 2.9, which has other commands for actions."""
        return (await self.version()).startswith("2.")

    async def units(self, application: str) -> list[Unit]:
        """Return the units of the charm, wherever they are subordinate.

        Raises:
            JujuError: The model has no such application, or it has no units.
        """
        if not printed.is_application(application):
            raise JujuError(f"{application!r} is no application's name; give --application as `juju status` shows it")
        told = printed.read(printed.STATUS, "status", await self._ask("status", "--format", "json"))
        if application not in told.applications:
            model = self.model or printed.quoted(told.model.name)
            raise JujuError(
                f"there is no application {application} in the model {model}; deploy it there, "
                "or say --application or --model"
            )
        found = told.units(application)
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
        if not printed.is_target(unit):
            raise JujuError(f"{printed.quoted(unit, 80)!r} is no unit's name; give one such as ovs-pathfinder/0")
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
        except errors.PathfinderError:  # whether it goes on is not known
            await self._cancel(begun)
            raise
        return answer(found, begun.unit, action)

    async def _run_new(
        self, begun: _Begun, action: str, params: Mapping[str, Any], within: float, log: Log
    ) -> printed.Task:
        def read(line: str) -> None:
            if (found := _QUEUED.match(line)) and not begun.task:
                begun.task, begun.unit = found["task"], _unit_name(found["unit"], begun.unit)
                begun.queued.set()
            elif said := _SAID.match(line):
                log(said["text"])

        with _file(params, self.binary) as options:
            command = ("run", "--format", "json", "--wait", f"{within:g}s", *options, "--", begun.unit, action)
            status, out, err = await self._call(command, read=read)
        if not out.strip():
            if printed.is_late(err):
                raise TooLate(begun.unit, action, within)
            raise printed.refusal("run", status, err)
        answers = printed.read(printed.TASKS, "run", out)
        if not answers:
            raise JujuError(f"`juju run` printed no answer of {begun.unit}; run it again")
        return next(iter(answers.values()))

    async def _run_old(
        self, begun: _Begun, action: str, params: Mapping[str, Any], within: float, log: Log
    ) -> printed.Task:
        heard: list[str] = []

        def read(line: str) -> None:
            if said := _SAID.match(line):
                heard.append(said["text"])
                log(said["text"])

        with _file(params, self.binary) as options:
            command = ("run-action", "--format", "json", *options, "--", begun.unit, action)
            status, out, err = await self._call(command)
        if status or not out.strip():
            raise printed.refusal("run-action", status, err)
        begun.task = printed.read(printed.QUEUED, "run-action", out).task
        begun.queued.set()
        command = ("show-action-output", "--format", "json", "--wait", f"{within:g}s", "--", begun.task)
        status, out, err = await self._call(command, read=read)
        if not out.strip():
            if printed.is_late(err):
                raise TooLate(begun.unit, action, within)
            raise printed.refusal("show-action-output", status, err)
        found = printed.read(printed.TASK, "show-action-output", out)
        if found.status in ("pending", "running"):
            raise TooLate(begun.unit, action, within)
        for line in () if heard else found.log or ():  # it was over before anybody could follow it
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
                await self._ask("cancel-task", "--", begun.task)

    async def _ask(self, *command: str, has_model: bool = True) -> str:
        """Run a command of Juju's that waits for nothing, and return its stdout."""
        try:
            status, out, err = await asyncio.wait_for(self._call(command, has_model=has_model), ANSWER)
        except asyncio.TimeoutError:
            raise JujuError(
                f"`juju {command[0]}` did not answer within {ANSWER:g} s; is the controller reachable?"
            ) from None
        if status:
            raise printed.refusal(command[0], status, err)
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
            )
        except OSError as error:
            raise JujuError(
                f"{self.binary} cannot be run ({error.strerror}); name the Juju client with --juju"
            ) from error
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        try:
            out, lines = await asyncio.gather(_whole(process.stdout, name), _lines(process.stderr, read))
            status = await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        return status, out.decode(errors="replace"), "\n".join(lines)


def _unit_name(tag: str, asked: str) -> str:
    """Return the unit that a tag such as `unit-ovs-pathfinder-0` stands for, without its first part."""
    name, _, number = tag.rpartition("-")
    return f"{name}/{number}" if printed.is_target(f"{name}/{number}") else asked


def answer(task: printed.Task, asked: str, action: str) -> Answer:
    """Return what a task came to.

    Raises:
        ActionFailed: It did not complete.
    """
    unit = task.unit if printed.is_target(task.unit) else asked
    if failure := task.failure:
        raise ActionFailed(unit, action, failure)
    return Answer(unit, {key: str(value) for key, value in task.results.items()})


async def _whole(stream: asyncio.StreamReader, command: str) -> bytes:
    """Read a stream to its end.

    Raises:
        JujuError: It is longer than anything that Juju prints.
    """
    pieces: list[bytes] = []
    size = 0
    while piece := await stream.read(_LONGEST_LINE):
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_PRINTED:
            raise JujuError(
                f"`juju {command}` printed more than {_MOST_PRINTED >> 20} MiB; name the client with --juju"
            )
    return b"".join(pieces)


async def _lines(stream: asyncio.StreamReader, read: Log | None) -> list[str]:
    """Read lines to the end, and pass each on as it comes; the last ones are kept, and the beginning of long ones."""
    lines: collections.deque[str] = collections.deque(maxlen=_MOST_LINES)

    def take(raw: bytes) -> None:
        line = raw[:_LONGEST_LINE].decode(errors="replace").rstrip("\r")
        lines.append(line)
        if read is not None:
            read(line)

    rest = b""
    while piece := await stream.read(_LONGEST_LINE):
        *whole, last = piece.split(b"\n")
        for one in whole:
            take(rest + one)
            rest = b""
        rest = (rest + last)[:_LONGEST_LINE]
    if rest:
        take(rest)
    return list(lines)


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
