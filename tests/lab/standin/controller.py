"""What a controller holds: databags, settings, statuses and tasks, in files that several processes share.

One lock guards all of it, held for milliseconds; a second one per unit stands for the unit's agent, and is
held while a hook or an action runs.
"""

import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import shutil
import uuid
from collections.abc import Callable, Generator
from typing import Any

from . import model

Data = dict[str, Any]
FINAL = {"completed", "failed", "cancelled", "aborted", "error"}


def now() -> str:
    """Return the time as Juju's output prints it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")


def _write(path: pathlib.Path, content: object) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content))
    draft.replace(path)


@contextlib.contextmanager
def _locked(path: pathlib.Path, wait: bool = True) -> Generator[bool]:
    """Hold an exclusive lock; yield whether it was to be had."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


class Controller:
    """The files under the model's `state`."""

    def __init__(self, state: pathlib.Path):
        self.path = state
        self._lock = state / "lock"
        self._data = state / "controller.json"
        self.tasks = state / "tasks"
        self.log = state / "debug.log"
        if not state.exists():
            state.mkdir(parents=True, mode=0o700)
        self.tasks.mkdir(exist_ok=True)

    def read(self) -> Data:
        """Return everything but the tasks; to look at, not to change."""
        try:
            return json.loads(self._data.read_text())
        except FileNotFoundError:
            return {
                "uuid": str(uuid.uuid4()),
                "phase": "new",
                "sequence": 0,
                "config": {},
                "relations": {},
                "units": {},
                "application": {},
                "operations": {},
                "secrets": {},
            }

    @contextlib.contextmanager
    def change(self) -> Generator[Data]:
        """Yield everything but the tasks, and write it back."""
        with _locked(self._lock):
            data = self.read()
            yield data
            _write(self._data, data)

    @contextlib.contextmanager
    def agent(self, unit: str, wait: bool) -> Generator[bool]:
        """Be the agent of `unit`; yield False where another process is, and `wait` is not wanted."""
        home = self.home(unit)
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home / "lock", wait) as held:
            yield held

    @contextlib.contextmanager
    def deploying(self) -> Generator[None]:
        """Keep other processes from deploying as well."""
        with _locked(self.path / "deployment.lock"):
            yield

    def home(self, unit: str) -> pathlib.Path:
        """Return the directory of a unit's own files."""
        return self.path / "units" / unit.replace("/", "-")

    def write_log(self, unit: str, level: str, source: str, text: str) -> None:
        """Append to the model's log."""
        moment = datetime.datetime.now(datetime.timezone.utc).strftime("%H:%M:%S")
        lines = "".join(
            f"unit-{unit.replace('/', '-')}: {moment} {level} {source} {line}\n" for line in text.splitlines()
        )
        with self.log.open("a") as file:
            file.write(lines)

    # Tasks ---------------------------------------------------------------

    def enqueue(self, operation: str, unit: str, name: str, params: Data, command: str = "") -> str:
        """Add a pending task and return its id."""
        with self.change() as data:
            data["sequence"] += 1
            task = str(data["sequence"])
            _write(
                self.tasks / f"{task}.json",
                {
                    "id": task,
                    "operation": operation,
                    "unit": unit,
                    "name": name,
                    "params": params,
                    "command": command,
                    "status": "pending",
                    "message": "",
                    "results": {},
                    "enqueued": now(),
                    "started": "",
                    "completed": "",
                },
            )
        return task

    def new_operation(self, summary: str) -> str:
        """Add an operation and return its id, which shares its sequence with the tasks'."""
        with self.change() as data:
            data["sequence"] += 1
            operation = str(data["sequence"])
            data["operations"][operation] = {"summary": summary, "enqueued": now(), "fail": ""}
        return operation

    def task(self, task: str) -> Data | None:
        """Return a task with its log; None where there is none of this id."""
        try:
            found: Data = json.loads((self.tasks / f"{task}.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        found["log"] = self.task_log(task)
        return found

    def task_log(self, task: str) -> list[tuple[str, str]]:
        """Return the times and texts of a task's log."""
        try:
            lines = (self.tasks / f"{task}.log").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [tuple(json.loads(line)) for line in lines]

    def log_task(self, task: str, text: str) -> None:
        """Append to a task's log."""
        with (self.tasks / f"{task}.log").open("a") as file:
            file.write(json.dumps((now(), text)) + "\n")

    def all_tasks(self) -> list[Data]:
        """Return all tasks in the order of their ids."""
        ids = sorted(int(path.stem) for path in self.tasks.glob("[0-9]*.json"))
        found = (self.task(str(number)) for number in ids)
        return [task for task in found if task is not None]

    def update_task(self, task: str, update: Callable[[Data], None]) -> None:
        """Change a task while nobody else does."""
        with _locked(self._lock):
            path = self.tasks / f"{task}.json"
            found: Data = json.loads(path.read_text())
            update(found)
            _write(path, found)

    def cancelled(self, task: str) -> bool:
        """Tell whether somebody asked for the end of a running task."""
        return (self.tasks / f"{task}.cancel").exists()

    def cancel(self, task: str) -> str:
        """Cancel a pending task, ask for the end of a running one; return the task's status now."""
        status = ""

        def update(found: Data) -> None:
            nonlocal status
            if found["status"] == "pending":
                found.update(status="cancelled", completed=now())
            elif found["status"] == "running":
                (self.tasks / f"{task}.cancel").touch()
                found["status"] = "aborting"
            status = found["status"]

        self.update_task(task, update)
        return status

    # Hooks that wait ---------------------------------------------------------------

    def pending(self, unit: str) -> list[Data]:
        """Return the hooks that wait for a unit."""
        return self.read()["units"].get(unit, {}).get("pending", [])

    def forget(self) -> None:
        """Remove everything, as if nothing had been deployed."""
        shutil.rmtree(self.path, ignore_errors=True)


def queue(data: Data, unit: str, hook: str, relation: str = "", remote: str = "") -> None:
    """Queue a hook for a unit, once: Juju folds equal hooks that wait into one."""
    item = {"hook": hook, "relation": relation, "remote": remote}
    waiting = data["units"][unit]["pending"]
    if item not in waiting:
        waiting.append(item)


def queue_changed(data: Data, relation: str, writer: str) -> None:
    """Queue relation-changed wherever a change of `writer`'s databag is seen.

    Args:
        data: The controller's data.
        relation: The relation's id.
        writer: A unit, or the application.

    """
    if data["phase"] in {"new", "starting"}:
        return  # nobody has joined; the first relation-changed of each member is still to come
    for unit, members in data["relations"][relation]["members"].items():
        if writer == unit:
            continue
        seen = writer in members if "/" in writer else writer != model.application_of(unit) or members
        leads = "/" not in writer and data["units"][unit]["leader"] and writer == model.application_of(unit)
        if seen and not leads:
            queue(data, unit, "changed", relation, writer)
