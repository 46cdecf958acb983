"""A unit's agent: it runs the unit's hooks and tasks, one at a time, and outlives the command line.

A process becomes the agent of a unit by taking the unit's lock, and looks again for work after letting it go;
so whoever leaves work for a unit and finds the lock taken can rely on its holder.
"""

import os
import pathlib
import signal
import subprocess
import tempfile
import time
import traceback
from typing import Any

from . import charm, controller, hookcontext, hookserver, model

POLL = 0.02
ROUNDS = 50
"""Relation hooks that set each other off for ever are stopped after this many rounds."""


def start(
    store: controller.Controller,
    deployed: model.Model,
    definition: charm.Charm,
    units: list[str],
    hooks: bool,
) -> list[int]:
    """Start an agent for each unit, and return the processes' ids.

    Args:
        store: The controller.
        deployed: The model.
        definition: The charm.
        units: The units that have work.
        hooks: Whether hooks that wait are run as well as tasks.

    """
    started: list[int] = []
    for unit in units:
        child = os.fork()
        if child:
            started.append(child)
            continue
        try:
            _detach(store)
            work(store, deployed, definition, unit, hooks)
        except BaseException:
            store.write_log(unit, "ERROR", "agent", traceback.format_exc())
            with store.agent(unit, wait=False) as held:
                if held:
                    _bury(store, unit)
            os._exit(1)
        os._exit(0)
    return started


def join(agents: list[int]) -> None:
    """Wait for agents to finish their work."""
    for child in agents:
        os.waitpid(child, 0)


def _detach(store: controller.Controller) -> None:
    """Leave the terminal, its signals and its streams to the command line."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(store.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    os.closerange(3, 256)


def work(store: controller.Controller, deployed: model.Model, definition: charm.Charm, unit: str, hooks: bool) -> None:
    """Do a unit's work, then that of units which wait for what this one wrote."""
    _work_unit(store, deployed, definition, unit, hooks)
    for _ in range(ROUNDS if hooks else 0):
        others = [name for name in deployed.units if _next_hook(store, name)]
        done = [name for name in others if _work_unit(store, deployed, definition, name, hooks)]
        if not done:
            return


def _work_unit(
    store: controller.Controller, deployed: model.Model, definition: charm.Charm, unit: str, hooks: bool
) -> bool:
    """Do all that waits for a unit; return False where another process is its agent."""
    while True:
        with store.agent(unit, wait=False) as held:
            if not held:
                return False
            _bury(store, unit)
            while _step(store, deployed, definition, unit, hooks):
                pass
        if not ((hooks and _next_hook(store, unit)) or _next_task(store, unit)):
            return True


def _next_hook(store: controller.Controller, unit: str) -> dict[str, Any] | None:
    known = store.read()["units"][unit]
    return known["pending"][0] if known["pending"] and not known["hook-error"] else None


def _next_task(store: controller.Controller, unit: str) -> dict[str, Any] | None:
    tasks = store.all_tasks()
    return next((task for task in tasks if task["unit"] == unit and task["status"] == "pending"), None)


def _bury(store: controller.Controller, unit: str) -> None:
    """Fail the tasks of an agent that died: while its lock is ours, nobody runs them."""
    for task in store.all_tasks():
        if task["unit"] == unit and task["status"] in {"running", "aborting"}:
            _finish(store, task["id"], "failed", "action terminated", {})


def _finish(store: controller.Controller, task: str, status: str, message: str, results: dict[str, Any]) -> None:
    changes = {"status": status, "message": message, "results": results, "completed": controller.now()}
    store.update_task(task, lambda found: found.update(changes))


def _step(store: controller.Controller, deployed: model.Model, definition: charm.Charm, unit: str, hooks: bool) -> bool:
    """Run the next hook or task; return False where there is none."""
    hook = _next_hook(store, unit) if hooks else None
    if hook is not None:
        return run_hook(store, deployed, definition, unit, hook) == 0
    task = _next_task(store, unit)
    if task is None:
        return False
    claimed = False

    def claim(found: controller.Data) -> None:
        nonlocal claimed
        claimed = found["status"] == "pending"
        if claimed:
            found.update(status="running", started=controller.now())

    store.update_task(task["id"], claim)
    if claimed:
        _run_task(store, deployed, definition, task)
    return True


def run_hook(
    store: controller.Controller,
    deployed: model.Model,
    definition: charm.Charm,
    unit: str,
    item: dict[str, Any],
) -> int:
    """Run a hook of a unit whose agent this process is; return its exit code.

    A hook that fails stays in the queue and stops it, as in Juju.
    """
    context = hookcontext.Context(store, deployed, definition, unit, hook=item)
    with store.change() as data:
        context.refresh(data)
    process, _, errors_ = _execute(store, deployed, context, ["./dispatch"], f"hooks/{context.hook_name}")
    code = process.returncode
    if code == 0:
        context.flush()
    with store.change() as data:
        known = data["units"][unit]
        known["hook-error"] = context.hook_name if code else ""
        if item in known["pending"] and not code:
            known["pending"].remove(item)
    if code:
        store.write_log(unit, "ERROR", "juju.worker.uniter", f'hook "{context.hook_name}" failed: exit status {code}')
        store.write_log(unit, "ERROR", f"unit.{unit}.{context.hook_name}", errors_)
    return code


def _run_task(
    store: controller.Controller, deployed: model.Model, definition: charm.Charm, task: dict[str, Any]
) -> None:
    unit, identity = task["unit"], task["id"]
    context = hookcontext.Context(store, deployed, definition, unit, task=task)
    if task["command"]:
        argv, dispatch = ["/bin/bash", "-c", task["command"]], ""
    else:
        argv, dispatch = ["./dispatch"], f"actions/{task['name']}"
    try:
        process, output, errors_ = _execute(store, deployed, context, argv, dispatch)
    except OSError as error:
        _finish(store, identity, "failed", str(error), {})
        return
    code = process.returncode
    results = {**context.results, "return-code": -1 if code < 0 else code}
    results.update({key: text for key, text in (("stdout", output), ("stderr", errors_)) if text})
    status, message = ("failed", context.message) if context.failed else ("completed", "")
    if code < 0:
        status = "aborted" if store.cancelled(identity) else "failed"
        killed = code in {-signal.SIGKILL, -signal.SIGTERM}
        message = "terminated" if killed else f"signal: {signal.strsignal(-code)}"
    elif code and not task["command"]:
        status, message = "failed", f"exit status {code}"
    else:
        context.flush()
    _finish(store, identity, status, message, results)


def _execute(
    store: controller.Controller,
    deployed: model.Model,
    context: hookcontext.Context,
    argv: list[str],
    dispatch: str,
) -> tuple[subprocess.Popen[bytes], str, str]:
    """Run a process of the charm on the unit's host, with the hook tools, and wait for its end."""
    unit = context.unit
    home = store.home(unit) / "charm"
    charm.unpack(context.definition, home)
    with (
        hookserver.Server(store, context) as server,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors_,
    ):
        environment = _environment(deployed, context, server, home, dispatch)
        process = subprocess.Popen(
            [*_entry(deployed.units[unit].enter, home, environment), *argv],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors_,
        )
        task = context.task["id"] if context.task else ""
        while process.poll() is None:
            if task and store.cancelled(task):
                # Juju kills this one process; what it started is orphaned.
                process.kill()
                process.wait()
            else:
                time.sleep(POLL)
        texts: list[str] = []
        for stream, level in ((output, "DEBUG"), (errors_, "WARNING")):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
            store.write_log(unit, level, f"unit.{unit}.{pathlib.Path(dispatch).name or 'juju-exec'}", texts[-1])
    return process, texts[0], texts[1]


def _entry(enter: list[str], home: pathlib.Path, environment: dict[str, str]) -> list[str]:
    """Return the prefix that enters a host; it may change directory and environment, which are then set anew."""
    if not enter:
        return []
    return [*enter, "/usr/bin/env", f"--chdir={home}", *(f"{key}={value}" for key, value in environment.items())]


def _environment(
    deployed: model.Model,
    context: hookcontext.Context,
    server: hookserver.Server,
    home: pathlib.Path,
    dispatch: str,
) -> dict[str, str]:
    """Return the environment that Juju gives to a hook or an action, and the unit's own."""
    unit = context.unit
    environment = {
        "APT_LISTCHANGES_FRONTEND": "none",
        "CHARM_DIR": str(home),
        "CLOUD_API_VERSION": "",
        "DEBIAN_FRONTEND": "noninteractive",
        "JUJU_AGENT_SOCKET_ADDRESS": str(server.address),
        "JUJU_AGENT_SOCKET_NETWORK": "unix",
        "JUJU_API_ADDRESSES": "127.0.0.1:17070",
        "JUJU_AVAILABILITY_ZONE": "",
        "JUJU_CHARM_DIR": str(home),
        "JUJU_CHARM_FTP_PROXY": "",
        "JUJU_CHARM_HTTPS_PROXY": "",
        "JUJU_CHARM_HTTP_PROXY": "",
        "JUJU_CHARM_NO_PROXY": "",
        "JUJU_CONTEXT_ID": context.id,
        "JUJU_HOOK_NAME": context.hook_name,
        "JUJU_MACHINE_ID": deployed.machine(unit),
        "JUJU_MODEL_NAME": deployed.model,
        "JUJU_MODEL_UUID": context.uuid,
        "JUJU_PRINCIPAL_UNIT": deployed.units[unit].principal,
        "JUJU_SLA": "unsupported",
        "JUJU_UNIT_NAME": unit,
        "JUJU_VERSION": deployed.juju_version,
        "LANG": "C.UTF-8",
        "PATH": f"{server.tools}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin",
        "TERM": "tmux-256color",
    }
    if dispatch:
        environment["JUJU_DISPATCH_PATH"] = dispatch
    return {**environment, **context.environment, **deployed.units[unit].env}
