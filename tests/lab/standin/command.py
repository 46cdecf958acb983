"""The command line: one function per command of Juju's, and `fire`, `deliver` and `lead` for tests."""

import itertools
import os
import signal
import sys
from collections.abc import Callable

from . import charm, errors, inspecting, model, options, running, status, steering

Command = Callable[[options.Options, model.Model, charm.Charm], None]

BOTH: dict[str, tuple[Command, dict[str, bool]]] = {
    "status": (status.show, {"--relations": False, "--storage": False}),
    "show-task": (inspecting.show_task, {"--wait": True, "--watch": False}),
    "operations": (inspecting.operations, {}),
    "list-operations": (inspecting.operations, {}),
    "show-operation": (inspecting.show_operation, {"--wait": True, "--watch": False}),
    "actions": (inspecting.actions, {"--schema": False}),
    "version": (inspecting.version, {"--all": False}),
    "models": (inspecting.models, {"--all": False}),
    "list-models": (inspecting.models, {"--all": False}),
    "show-model": (inspecting.show_model, {}),
    "show-unit": (inspecting.show_unit, {"--endpoint": True, "--related-unit": True, "--app": False}),
    "debug-log": (inspecting.debug_log, {"--limit": True, "--no-tail": False, "--replay": False, "-n": True}),
    "cancel-task": (steering.cancel_task, {}),
    "config": (steering.config, {"--reset": True, "--file": True}),
    "scp": (steering.scp, {"--no-host-key-checks": False, "--proxy": False, "-r": False, "-p": False}),
    "ssh": (steering.ssh, {"--no-host-key-checks": False, "--proxy": False, "--pty": False}),
    "fire": (steering.fire, {"--remote": True}),
    "deliver": (steering.deliver, {}),
    "lead": (steering.lead, {}),
}
NEW: dict[str, tuple[Command, dict[str, bool]]] = {
    "run": (running.run, running.RUN_OPTIONS),
    "exec": (running.execute, running.EXEC_OPTIONS),
}
OLD: dict[str, tuple[Command, dict[str, bool]]] = {
    "run-action": (running.run_action, running.OLD_OPTIONS),
    "run": (running.execute, running.EXEC_OPTIONS),
    "exec": (running.execute, running.EXEC_OPTIONS),
    "show-action-output": (inspecting.show_task, {"--wait": True}),
    "show-action-status": (inspecting.show_action_status, {"--name": True}),
    "cancel-action": (steering.cancel_task, {}),
}


def _split(arguments: list[str]) -> tuple[str | None, str, list[str]]:
    """Separate what stands before the command's name from what stands after it."""
    model_file = None
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        name, equals, text = option.partition("=")
        if name not in options.EVERYWHERE:
            raise errors.UsageError(f"option provided but not defined: {name}")
        if options.EVERYWHERE[name] and not equals:
            text = rest.pop(0) if rest else ""
        if name == "--model-file":
            model_file = text
    if not rest:
        raise errors.UsageError('juju: no command given. See "juju --help".')
    return model_file, rest[0], rest[1:]


def _find_model_file(arguments: list[str]) -> str | None:
    """Return the model file of a command whose options are not known yet."""
    for before, argument in itertools.pairwise(arguments):
        if before == "--model-file":
            return argument
    joined = (argument for argument in arguments if argument.startswith("--model-file="))
    return next((argument.partition("=")[2] for argument in joined), None)


def _run(arguments: list[str]) -> None:
    model_file, name, rest = _split(arguments)
    deployed, definition = model.read(model_file or _find_model_file(rest))
    commands = {**BOTH, **(OLD if deployed.old else NEW)}
    if name not in commands:
        raise errors.UsageError(f'juju: "{name}" is not a juju command. See "juju --help".')
    function, known = commands[name]
    function(options.parse(rest, known, model_file), deployed, definition)


def main(arguments: list[str]) -> int:
    """Run one command, and return its exit code."""
    try:
        _run(arguments)
        sys.stdout.flush()
    except errors.JujuError as error:
        sys.stdout.flush()
        print(f"ERROR {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        # As juju dies of it; what it has started goes on.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
