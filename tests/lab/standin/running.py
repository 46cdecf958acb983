"""`juju run`, `run-action` and `exec`: queue tasks, start agents, wait, and print."""

import sys
import time
from typing import Any

from . import agent, charm, controller, deployment, errors, model, options, output, params

RUN_OPTIONS = {"--wait": True, "--params": True, "--string-args": False, "--background": False}
OLD_OPTIONS = {"--wait": False, "--params": True, "--string-args": False}
EXEC_OPTIONS = {
    "--unit": True,
    "-u": True,
    "--application": True,
    "--app": True,
    "-a": True,
    "--all": False,
    "--wait": True,
    "--timeout": True,
    "--background": False,
    "--parallel": False,
    "--execution-group": True,
}
RUN_WAIT = 60.0
EXEC_WAIT = 300.0
FIRST_POLL, LAST_POLL = 0.02, 0.1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _targets(arguments: list[str]) -> tuple[list[str], str, list[str]]:
    """Separate units, the action's name and its parameters."""
    units: list[str] = []
    for position, argument in enumerate(arguments):
        name, _, number = argument.partition("/")
        if model.UNIT_NAME.match(f"{name}/{'0' if number == 'leader' else number}"):
            units.append(argument)
        elif not params.KEY.match(argument):
            raise errors.UsageError(f'invalid unit or action name "{argument}"')
        elif not units:
            raise errors.UsageError("no unit specified")
        elif len({model.application_of(unit) for unit in units}) > 1:
            raise errors.UsageError("all units must be of the same application")
        else:
            return units, argument, arguments[position + 1 :]
    raise errors.UsageError("no action specified" if units else "no unit specified")


def resolve(deployed: model.Model, name: str, store: controller.Controller) -> str:
    """Return the unit that a name means; the leader is whoever leads now.

    Raises:
        errors.JujuError: Where there is none.

    """
    application, _, number = name.partition("/")
    if number == "leader":
        if application != deployed.application:
            raise errors.JujuError(f'could not determine leader for "{application}"')
        units = store.read()["units"].items()
        return next((unit for unit, known in units if known["leader"]), deployed.leader)
    if name not in deployed.units:
        raise errors.JujuError(f'unit "{name}" not found')
    return name


class Runner:
    """One command that queues tasks."""

    def __init__(self, deployed: model.Model, definition: charm.Charm):
        self.deployed, self.definition = deployed, definition
        self.store = deployment.prepare(deployed, definition)
        self.operation = ""
        self.tasks: dict[str, str] = {}
        """The tasks' ids by unit."""
        self.refusals: list[str] = []
        self._agents: list[int] = []

    def queue_action(self, names: list[str], action: str, given: dict[str, Any]) -> None:
        """Queue an action for each unit that takes it."""
        receivers = ",".join(f"unit-{name.replace('/', '-')}" for name in names)
        self.operation = self.store.new_operation(f"{action} run on {receivers}")
        for name in names:
            self._queue_one(name, action, given)
        if self.refusals:
            with self.store.change() as data:
                data["operations"][self.operation]["fail"] = "; ".join(self.refusals)

    def _queue_one(self, name: str, action: str, given: dict[str, Any]) -> None:
        try:
            unit = resolve(self.deployed, name, self.store)
            content = self._checked(unit, action, given)
        except errors.JujuError as error:
            self.refusals.append(str(error))
        else:
            self.tasks[unit] = self.store.enqueue(self.operation, unit, action, content)

    def _checked(self, unit: str, action: str, given: dict[str, Any]) -> dict[str, Any]:
        if action not in self.definition.actions:
            raise errors.JujuError(f'action "{action}" not defined on unit "{unit}"')
        shape = params.schema(self.definition.actions[action] or {}, self.deployed.juju_version)
        wrong = params.check(given, shape)
        if wrong:
            raise errors.JujuError(wrong)
        return params.with_defaults(given, shape)

    def queue_command(self, names: list[str], command: str) -> None:
        """Queue a command for each unit."""
        units = [resolve(self.deployed, name, self.store) for name in names]
        self.operation = self.store.new_operation(f"juju-exec run on {','.join(units)}")
        for unit in units:
            self.tasks[unit] = self.store.enqueue(self.operation, unit, "juju-exec", {}, command)

    def start(self) -> None:
        """Have the units' agents begin."""
        hooks = self.deployed.deliver == "auto"
        self._agents = agent.start(self.store, self.deployed, self.definition, list(self.tasks), hooks)

    def wait(self, limit: float, stream: bool) -> None:
        """Wait for all tasks.

        Args:
            limit: Seconds; negative to wait for ever.
            stream: Whether the only task's log is shown as it comes.

        Raises:
            errors.JujuError: Naming the units whose task did not end in time; the tasks go on.

        """
        end = time.monotonic() + limit
        shown, pause = 0, FIRST_POLL
        waiting = dict(self.tasks)
        while waiting:
            for unit, task in list(waiting.items()):
                if _state(self.store, task)["status"] not in {"pending", "running", "aborting"}:
                    del waiting[unit]
            if stream and len(self.tasks) == 1:
                shown = self._stream(next(iter(self.tasks.values())), shown)
            if waiting and limit >= 0 and time.monotonic() >= end:
                names = ", ".join(f"unit {unit}" for unit in sorted(waiting))
                raise errors.JujuError(f"timed out waiting for results from: {names}")
            if waiting:
                time.sleep(pause)
                pause = min(pause * 1.5, LAST_POLL)

    def _stream(self, task: str, shown: int) -> int:
        entries = self.store.task_log(task)
        for moment, text in entries[shown:]:
            _say(f"{moment[11:19]} {text}")
        return len(entries)

    def finished(self) -> dict[str, dict[str, Any]]:
        """Return the tasks by unit."""
        return {unit: _state(self.store, task) for unit, task in self.tasks.items()}

    def rest(self) -> None:
        """Wait for the hooks that the tasks have set off."""
        sys.stdout.flush()
        agent.join(self._agents)
        _warn(self.store)


def _state(store: controller.Controller, task: str) -> dict[str, Any]:
    found = store.task(task)
    if found is None:
        raise errors.JujuError(f"task {task} not found")
    return found


def _warn(store: controller.Controller) -> None:
    for unit, known in store.read()["units"].items():
        if known["hook-error"]:
            _say(f'WARNING hook failed: "{known["hook-error"]}" on unit {unit}; see {store.log}')


def _return_codes(tasks: dict[str, dict[str, Any]]) -> None:
    """Raise what Juju says of commands and actions that ended with an exit code.

    Raises:
        errors.JujuError: Naming the tasks.

    """
    codes = {found["id"]: found["results"].get("return-code", -1) for found in tasks.values()}
    failed = [f' - id "{task}" with return code {code}' for task, code in sorted(codes.items()) if code > 0]
    if failed:
        plural = "s" if len(failed) > 1 else ""
        lines = "\n".join(failed)
        hint = f"use 'juju show-task' to inspect the failure{plural}"
        raise errors.JujuError(f"the following task{plural} failed:\n{lines}\n\n{hint}\n")


def run(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Run an action as Juju 3 does."""
    form = chosen.format("plain", "json", "yaml")
    units, action, rest = _targets(chosen.arguments)
    limit = options.seconds(chosen.get("--wait") or f"{RUN_WAIT:g}s", "--wait") or RUN_WAIT
    if chosen.flag("--background") and chosen.get("--wait"):
        raise errors.UsageError("cannot specify both --wait and --background")
    given = params.read(rest, chosen.get("--params"), chosen.flag("--string-args"))
    runner = Runner(deployed, definition)
    deployment.settle(runner.store, deployed, definition)
    runner.queue_action(units, action, given)
    _carry_out(runner, chosen, form, limit)


def _announce(runner: Runner) -> None:
    count = len(runner.tasks)
    _say(f"Running operation {runner.operation} with {count} task{'s' if count > 1 else ''}")
    for unit, task in runner.tasks.items():
        _say(f"  - task {task} on unit-{unit.replace('/', '-')}")
    _say("")


def _carry_out(runner: Runner, chosen: options.Options, form: str, limit: float, quiet: bool = False) -> None:
    """Do what `run` and `exec` have in common once the tasks are queued."""
    refused = "\n".join(runner.refusals)
    if not runner.tasks:
        _say(f"Operation {runner.operation} failed to schedule any tasks:\n{refused}")
        return
    if refused:
        _say(f"Some actions could not be scheduled:\n{refused}\n\n")
    runner.start()
    if chosen.flag("--background"):
        _scheduled(runner)
        return
    if not quiet:
        _announce(runner)
    if len(runner.tasks) == 1 and not quiet:
        _say(f"Waiting for task {next(iter(runner.tasks.values()))}...\n")
    runner.wait(limit, stream=True)
    found = runner.finished()
    shown = {unit: output.task(task, old=False) for unit, task in found.items()}
    if form == "plain":
        sys.stdout.write(output.streams(shown) if quiet else output.plain(shown))
    else:
        sys.stdout.write(output.dump(shown, form))
    runner.rest()
    _return_codes(found)


def _scheduled(runner: Runner) -> None:
    if len(runner.tasks) == 1:
        task = next(iter(runner.tasks.values()))
        _say(f"Scheduled operation {runner.operation} with task {task}")
        _say(f"Check operation status with 'juju show-operation {runner.operation}'")
        _say(f"Check task status with 'juju show-task {task}'")
        return
    _say(f"Scheduled operation {runner.operation} with {len(runner.tasks)} tasks")
    sys.stdout.write(output.dump({unit: {"id": task} for unit, task in runner.tasks.items()}, "yaml"))
    _say(f"Check operation status with 'juju show-operation {runner.operation}'")
    _say("Check task status with 'juju show-task <id>'")


def run_action(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Run an action as Juju 2.9 does: queue it, and wait where asked to."""
    form = chosen.format("yaml", "json")
    units, action, rest = _targets(chosen.arguments)
    given = params.read(rest, chosen.get("--params"), chosen.flag("--string-args"))
    limit = options.seconds(chosen.get("--wait") or "-1s", "--wait")
    runner = Runner(deployed, definition)
    deployment.settle(runner.store, deployed, definition)
    runner.queue_action(units, action, given)
    if runner.refusals:
        for task in runner.tasks.values():
            runner.store.cancel(task)
        raise errors.JujuError(runner.refusals[0])
    runner.start()
    if "--wait" not in chosen.values:
        tags = {f"unit-{unit.replace('/', '-')}": {"id": task, "unit": unit} for unit, task in runner.tasks.items()}
        single = {"Action queued with id": next(iter(runner.tasks.values()))}
        sys.stdout.write(output.dump(single if len(tags) == 1 else tags, form))
        return
    try:
        runner.wait(limit, stream=False)
        ended = True
    except errors.JujuError:
        ended = False  # 2.9 shows how far they are
    shown = {f"unit-{unit.replace('/', '-')}": output.task(task, True) for unit, task in runner.finished().items()}
    sys.stdout.write(output.dump(shown, form))
    if ended:
        runner.rest()


def execute(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Run a command in a unit's hook context."""
    import shlex

    form = chosen.format("plain", "json", "yaml")
    if not chosen.arguments:
        raise errors.UsageError("no commands specified")
    targets = chosen.get("--unit", "-u")
    everywhere = chosen.get("--application", "--app", "-a") == deployed.application or "--all" in chosen.values
    names = targets.split(",") if targets else list(deployed.units) if everywhere else []
    if not names:
        raise errors.UsageError("You must specify a target, either through --all, --machine, --application or --unit")
    first = chosen.arguments[0]
    command = first if len(chosen.arguments) == 1 else shlex.join(chosen.arguments)
    limit = options.seconds(chosen.get("--wait", "--timeout") or f"{EXEC_WAIT:g}s", "--wait") or EXEC_WAIT
    runner = Runner(deployed, definition)
    deployment.settle(runner.store, deployed, definition)
    runner.queue_command(names, command)
    _carry_out(runner, chosen, form, limit, quiet=True)
