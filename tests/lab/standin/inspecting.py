"""The commands that look: tasks, operations, versions, models, the log."""

import sys
import time
from typing import Any, cast

from . import charm, controller, deployment, errors, model, options, output

CONTROLLER_UUID = "deadbeef-1bad-500d-9000-4b1d0d06f00d"


def _print(content: Any, form: str) -> None:
    sys.stdout.write(output.dump(content, form))


# Tasks ---------------------------------------------------------------


def _find(store: controller.Controller, chosen: options.Options, old: bool) -> dict[str, Any]:
    if not chosen.arguments:
        raise errors.UsageError(f"no {'action' if old else 'task'} ID specified")
    found = store.task(chosen.arguments[0]) if chosen.arguments[0].isdigit() else None
    if found is None:
        raise errors.JujuError(f'task "{chosen.arguments[0]}" not found')
    return found


def show_task(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show a task, after waiting for it where asked to."""
    form = chosen.format("yaml" if deployed.old else "plain", "json", "yaml", "plain")
    store = deployment.prepare(deployed, definition)
    limit = options.seconds(chosen.get("--wait") or "-1s", "--wait")
    end = time.monotonic() + limit
    found = _find(store, chosen, deployed.old)
    shown_lines = 0
    is_followed = limit >= 0 and found["status"] not in controller.FINAL
    while found["status"] not in controller.FINAL and limit >= 0 and (limit == 0 or time.monotonic() < end):
        time.sleep(0.05)
        found = _find(store, chosen, deployed.old)
        shown_lines = _follow(found, shown_lines)
    if is_followed and shown_lines:
        print(file=sys.stderr)
    if limit > 0 and found["status"] not in controller.FINAL:
        late = "timeout reached" if deployed.old else f"timed out waiting for results from: unit {found['unit']}"
        raise errors.JujuError(late)
    shown = output.task(found, deployed.old)
    if form == "plain":
        sys.stdout.write(output.plain({found["unit"]: shown}))
    else:
        _print(shown, form)


def _follow(found: dict[str, Any], shown: int) -> int:
    """Print what a task has logged since, as `show-task --wait` does while it waits."""
    for moment, text in found["log"][shown:]:
        print(f"{moment[11:19]} {text}", file=sys.stderr, flush=True)
    return len(found["log"])


def show_action_status(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show the statuses of actions, as 2.9 does."""
    store = deployment.prepare(deployed, definition)
    wanted = set(chosen.arguments)
    shown = [
        {"action": task["name"], "id": task["id"], "status": task["status"], "unit": task["unit"]}
        for task in store.all_tasks()
        if not wanted or task["id"] in wanted
    ]
    _print({"actions": shown}, chosen.format("yaml", "json"))


def _operation(store: controller.Controller, identity: str, entry: dict[str, Any], old: bool) -> dict[str, Any]:
    tasks = [task for task in store.all_tasks() if task["operation"] == identity]
    statuses = [task["status"] for task in tasks]
    order = ("running", "aborting", "pending", "failed", "error", "aborted", "cancelled", "completed")
    state = min(statuses, key=order.index) if statuses else "error"
    shown: dict[str, Any] = {"summary": entry["summary"], "status": state}
    if entry["fail"]:
        shown["fail"] = entry["fail"]
    shown["timing"] = {"enqueued": entry["enqueued"]}
    if tasks:
        shown["tasks"] = {task["id"]: {"host": task["unit"], **output.task(task, old)} for task in tasks}
    return shown


def operations(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show all operations."""
    form = chosen.format("plain", "json", "yaml")
    store = deployment.prepare(deployed, definition)
    entries = store.read()["operations"].items()
    shown = {identity: _operation(store, identity, entry, deployed.old) for identity, entry in entries}
    if form != "plain":
        _print(shown, form)
        return
    for identity, entry in shown.items():
        print(f"{identity:4} {entry['status']:10} {entry['summary']}")


def show_operation(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show one operation with its tasks."""
    store = deployment.prepare(deployed, definition)
    identity = chosen.arguments[0] if chosen.arguments else ""
    entry = store.read()["operations"].get(identity)
    if entry is None:
        raise errors.JujuError(f'operation "{identity}" not found')
    _print(_operation(store, identity, entry, deployed.old), chosen.format("yaml", "json"))


def actions(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show the charm's actions."""
    form = chosen.format("tabular", "json", "yaml", "default")
    texts = {
        name: str(cast("dict[str, Any]", entry or {}).get("description", "No description"))
        for name, entry in definition.actions.items()
    }
    if form in {"json", "yaml"}:
        _print(definition.actions if chosen.flag("--schema") else texts, form)
        return
    for name, text in texts.items():
        print(f"{name:20} {' '.join(text.split())}")


# The model ---------------------------------------------------------------


def version(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show the client's version."""
    form = chosen.format("smart", "json", "yaml")
    text = f"{deployed.juju_version}-ubuntu-amd64"
    full = {"version": text, "git-commit": "", "git-tree-state": "clean", "compiler": "gc", "grade": "stable"}
    content: Any = full if chosen.flag("--all") else text
    print(text) if form == "smart" else _print(content, form)


def _qualified(deployed: model.Model) -> str:
    return f"admin/{deployed.model}"


def show_model(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show the model's own properties."""
    store = deployment.prepare(deployed, definition)
    shown = {
        "name": _qualified(deployed),
        "short-name": deployed.model,
        "model-uuid": store.read()["uuid"],
        "model-type": "iaas",
        "controller-uuid": CONTROLLER_UUID,
        "controller-name": "standin",
        "is-controller": False,
        "owner": "admin",
        "cloud": "lab",
        "region": "",
        "type": "manual",
        "life": "alive",
        "status": {"current": "available"},
        "agent-version": deployed.juju_version,
        "machines": {deployed.machine(name): {"cores": 2} for name in deployed.units},
    }
    _print({deployed.model: shown}, chosen.format("yaml", "json"))


def models(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show the one model that there is."""
    form = chosen.format("tabular", "json", "yaml")
    if form == "tabular":
        print(deployed.model)
        return
    store = deployment.prepare(deployed, definition)
    entry = {"name": _qualified(deployed), "short-name": deployed.model, "model-uuid": store.read()["uuid"]}
    _print({"models": [entry], "current-model": deployed.model}, form)


def show_unit(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show a unit with what it sees in its relations."""
    name = chosen.arguments[0] if chosen.arguments else ""
    if name not in deployed.units:
        raise errors.JujuError(f'unit "{name}" not found')
    store = deployment.open_settled(deployed, definition)
    data = store.read()
    related: list[dict[str, Any]] = []
    for identity, known in data["relations"].items():
        if name not in known["members"]:
            continue
        members = {
            remote: {"in-scope": True, "data": known["data"].get(remote, {})} for remote in known["members"][name]
        }
        entry = {
            "relation-id": int(identity),
            "endpoint": known["endpoint"],
            "related-endpoint": known["endpoint"],
        }
        entry.update({"application-data": known["data"].get(known["remote-app"], {}), "related-units": members})
        entry["local-unit"] = {"in-scope": True, "data": known["data"].get(name, {})}
        related.append(entry)
    shown = {
        "opened-ports": sorted(data["units"][name]["ports"]),
        "charm": f"local:{definition.name}-0",
        "leader": data["units"][name]["leader"],
        "machine": deployed.machine(name),
        "public-address": deployed.units[name].address,
        "relation-info": related,
        "life": "alive",
    }
    _print({name: shown}, chosen.format("yaml", "json"))


def debug_log(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Print the model's log."""
    store = deployment.prepare(deployed, definition)
    lines = store.log.read_text().splitlines(keepends=True) if store.log.exists() else []
    limit = int(chosen.get("--limit", "-n") or 0)
    sys.stdout.writelines(lines[-limit:])
