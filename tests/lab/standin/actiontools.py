"""The hook tools for actions."""

import re
from typing import Any

from . import hookcontext, hooktools

Context = hookcontext.Context
Call = hooktools.Call
RefusedError = hookcontext.RefusedError
KEY = re.compile(r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$")
RESERVED = {"stdout", "stdout-encoding", "stderr", "stderr-encoding", "return-code"}


def _task(context: Context) -> dict[str, Any]:
    if context.task is None or context.task["command"]:
        raise RefusedError("not running an action")
    return context.task


@hooktools.tool("action-get")
def _action_get(context: Context, call: Call) -> Any:
    params: Any = _task(context)["params"]
    return hooktools.lookup(params, call.arguments[0]) if call.arguments else params


@hooktools.tool("action-set")
def _action_set(context: Context, call: Call) -> None:
    _task(context)
    changes: list[tuple[list[str], str]] = []
    for argument in call.arguments:
        dotted, equals, text = argument.partition("=")
        if not equals:
            raise RefusedError(f'argument "{argument}" must be of the form key...=value', 2)
        for part in dotted.split("."):
            if not KEY.match(part):
                raise RefusedError(
                    f'key "{part}" must start and end with lowercase alphanumeric, '
                    "and contain only lowercase alphanumeric, hyphens and periods",
                    2,
                )
            if part in RESERVED:
                raise RefusedError(f'cannot set reserved action key "{part}"', 2)
        changes.append((dotted.split("."), text))
    for keys, text in changes:
        hooktools.insert(context.results, keys, text)


@hooktools.tool("action-log")
def _action_log(context: Context, call: Call) -> None:
    _task(context)
    context.log_action(" ".join(call.arguments))


@hooktools.tool("action-fail")
def _action_fail(context: Context, call: Call) -> None:
    _task(context)
    context.failed = True
    context.message = " ".join(call.arguments) or "action failed without reason given, check action for errors"
