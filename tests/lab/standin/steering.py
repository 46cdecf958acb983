"""The commands that change something without a task: cancel, configure, copy, and what only tests do."""

import pathlib
import re
import shlex
import subprocess
import sys
from typing import Any

from . import agent, charm, controller, deployment, errors, model, options, output, running

_RELATION_HOOK = re.compile(r"^(?P<endpoint>.+)-relation-(?P<hook>created|joined|changed|departed|broken)$")


def cancel_task(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Cancel tasks: those that wait never run, those that run are killed."""
    store = deployment.prepare(deployed, definition)
    if not chosen.arguments:
        raise errors.JujuError("no task IDs specified")
    shown: list[dict[str, str]] = []
    for identity in chosen.arguments:
        found = store.task(identity) if identity.isdigit() else None
        if found is None:
            print(f'WARNING task: {identity}, error: task "{identity}" not found', file=sys.stderr)
            continue
        status = store.cancel(identity)
        entry = {"id": identity, "unit": found["unit"], "action": found["name"], "status": status}
        shown.append({**entry, "completed at": found["completed"] or "n/a"})
    if shown:
        sys.stdout.write(output.dump({"actions": shown}, chosen.format("yaml", "json")))


# Configuration ---------------------------------------------------------------

_TYPES: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "boolean": bool}


def _convert(definition: charm.Charm, name: str, text: str) -> Any:
    if name not in definition.options:
        raise errors.JujuError(f'unknown option "{name}"')
    kind = str(definition.options[name].get("type", "string"))
    if kind not in _TYPES:
        return text
    content = model.load_yaml(text)
    if not isinstance(content, _TYPES[kind]) or (kind != "boolean" and isinstance(content, bool)):
        raise errors.JujuError(f'option "{name}" expected {kind}, got "{text}"')
    return content


def config(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show or set the application's configuration."""
    application, *rest = chosen.arguments or [""]
    if application != deployed.application:
        raise errors.JujuError(f'application "{application}" not found')
    store = deployment.open_settled(deployed, definition)
    reset = (chosen.get("--reset") or "").split(",")
    pairs = {name: text for name, _, text in (argument.partition("=") for argument in rest)}
    if not pairs and not any(reset):
        shown = {name: _setting(store, name, entry) for name, entry in definition.options.items()}
        content = {
            "application": application,
            "charm": definition.name,
            "settings": shown,
            "application-config": {},
        }
        sys.stdout.write(output.dump(content, chosen.format("yaml", "json")))
        return
    changes = {name: _convert(definition, name, text) for name, text in pairs.items()}
    with store.change() as data:
        kept = {name: content for name, content in data["config"].items() if name not in reset}
        data["config"] = {**kept, **changes}
        for unit in deployed.units:
            controller.queue(data, unit, "config-changed")
    deployment.settle(store, deployed, definition)


def _setting(store: controller.Controller, name: str, option: dict[str, Any]) -> dict[str, Any]:
    given = store.read()["config"]
    shown = {"type": option.get("type", "string"), "description": option.get("description", "")}
    if option.get("default") is not None:
        shown["default"] = option["default"]
    content = given.get(name, option.get("default"))
    if content is not None:
        shown["value"] = content
    return {**shown, "source": "user" if name in given else "default" if content is not None else "unset"}


# The units' hosts ---------------------------------------------------------------


def _host(deployed: model.Model, definition: charm.Charm, target: str) -> list[str]:
    """Return the command prefix of a unit's or a machine's host."""
    name = target.rpartition("@")[2]
    for unit, entry in deployed.units.items():
        if name in {unit, entry.principal, deployed.machine(unit)}:
            return entry.enter
    return deployed.units[running.resolve(deployed, name, deployment.prepare(deployed, definition))].enter


def ssh(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Run a command on a unit's host."""
    target, *command = chosen.arguments or [""]
    argv = [*_host(deployed, definition, target), "/bin/sh", "-c", " ".join(command)]
    code = subprocess.run(argv, check=False).returncode
    if code:
        raise errors.JujuError(f"subprocess encountered error code {code}")


def scp(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Copy files from and to units' hosts."""
    paths = [argument for argument in chosen.arguments if not argument.startswith("-")]
    recursive = "-r" in chosen.values or any(argument in {"-r", "-rp"} for argument in chosen.arguments)
    if len(paths) < 2:
        raise errors.JujuError("at least two arguments required")
    *sources, target = paths
    for source in sources:
        _copy(deployed, definition, source, target, recursive)


def _end(deployed: model.Model, definition: charm.Charm, text: str) -> tuple[list[str], str]:
    """Return the prefix and the path of one end of a copy."""
    host, colon, path = text.partition(":")
    return (_host(deployed, definition, host), path) if colon and "/" in host else ([], text)


def _copy(deployed: model.Model, definition: charm.Charm, source: str, target: str, recursive: bool) -> None:
    reading, origin = _end(deployed, definition, source)
    writing, goal = _end(deployed, definition, target)
    folder = subprocess.run([*writing, "test", "-d", goal or "."], check=False).returncode == 0
    goal = f"{goal or '.'}/{pathlib.Path(origin).name}" if folder else goal
    if recursive:
        get = ["tar", "-C", origin, "-cf", "-", "."]
        put = f"mkdir -p {shlex.quote(goal)} && tar -C {shlex.quote(goal)} -xf -"
    else:
        get = ["cat", "--", origin]
        put = f"cat > {shlex.quote(goal)}"
    with subprocess.Popen([*reading, *get], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        content, complaint = first.communicate()
    if first.returncode:
        print(f"scp: {origin}: {complaint.decode(errors='replace').strip()}", file=sys.stderr)
        raise errors.JujuError("exit status 1")
    if subprocess.run([*writing, "/bin/sh", "-c", put], input=content, check=False).returncode:
        raise errors.JujuError("exit status 1")


# For tests ---------------------------------------------------------------


def fire(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Run a hook of a unit now, and then what it set off.

    A relation hook's other end is `--remote`: a unit, or an application for its data. Without it, it is the
    only member, where there is only one.
    """
    if len(chosen.arguments) != 2:
        raise errors.UsageError("fire needs a hook and a unit")
    store = deployment.open_settled(deployed, definition)
    unit = running.resolve(deployed, chosen.arguments[1], store)
    item = _hook(store, unit, chosen.arguments[0], chosen.get("--remote") or "")
    with store.agent(unit, wait=True):
        code = agent.run_hook(store, deployed, definition, unit, item)
    if code:
        with store.change() as data:
            data["units"][unit]["hook-error"] = ""
        tail = "".join(store.log.read_text().splitlines(keepends=True)[-30:])
        raise errors.JujuError(f'hook failed: "{chosen.arguments[0]}" on unit {unit}\n{tail}')
    # Whoever left work for this unit meanwhile relies on its agent.
    agent.join(agent.start(store, deployed, definition, [unit], hooks=deployed.deliver == "auto"))


def _hook(store: controller.Controller, unit: str, name: str, remote: str) -> dict[str, str]:
    match = _RELATION_HOOK.match(name)
    if match is None:
        return {"hook": name, "relation": "", "remote": ""}
    for identity, known in store.read()["relations"].items():
        members = known["members"].get(unit)
        if known["endpoint"] != match["endpoint"] or members is None:
            continue
        if remote and remote not in {*members, known["remote-app"]}:
            continue
        alone = members[0] if len(members) == 1 and match["hook"] not in {"created", "broken"} else ""
        return {"hook": match["hook"], "relation": identity, "remote": remote or alone}
    raise errors.JujuError(f'unit {unit} has no relation on "{match["endpoint"]}"{f" with {remote}" if remote else ""}')


def lead(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Make another unit the leader, as Juju does where the old one is not heard of for a while."""
    store = deployment.open_settled(deployed, definition)
    unit = running.resolve(deployed, chosen.arguments[0] if chosen.arguments else "", store)
    with store.change() as data:
        data["led-by"] = unit
        for name, known in data["units"].items():
            known["leader"] = name == unit
        controller.queue(data, unit, "leader-elected")


def deliver(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Run all hooks that wait, and what they set off; name the units that they ran on."""
    store = deployment.open_settled(deployed, definition)
    waiting = [unit for unit in deployed.units if store.pending(unit)]
    agent.join(agent.start(store, deployed, definition, waiting, hooks=True))
    for unit in waiting:
        print(unit)
