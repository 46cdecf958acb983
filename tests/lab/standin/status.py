"""`juju status`: applications, units, and subordinates under their principals."""

import sys
import time
from typing import Any

from . import charm, controller, deployment, model, options, output

BASE = {"name": "ubuntu", "channel": "22.04"}


def _info(current: str, message: str = "", **more: str) -> dict[str, str]:
    shown = {"current": current, "message": message, "since": controller.now(), **more}
    return {key: text for key, text in shown.items() if text}


def _unit(deployed: model.Model, store: controller.Controller, name: str, known: controller.Data) -> dict[str, Any]:
    """Return a unit of the charm as `juju status` shows it."""
    failed = known["hook-error"]
    workload = known["status"] or {"status": "unknown", "message": ""}
    shown: dict[str, Any] = {
        "workload-status": _info(workload["status"], workload["message"]),
        "juju-status": _info(_agent_status(store, name), version=deployed.juju_version),
        "address": deployed.units[name].address,
        "public-address": deployed.units[name].address,
    }
    if failed:
        shown["workload-status"] = _info("error", f'hook failed: "{failed}"')
    if known["leader"]:
        shown["leader"] = True
    if known["ports"]:
        shown["open-ports"] = sorted(known["ports"])
    return shown


def _agent_status(store: controller.Controller, unit: str) -> str:
    """Return whether a unit is at work; its lock is not tried, which could keep an agent from starting."""
    busy = any(task["unit"] == unit and task["status"] in {"running", "aborting"} for task in store.all_tasks())
    return "executing" if busy else "idle"


def _application(name: str, deployed: model.Model, definition: charm.Charm, data: controller.Data) -> dict[str, Any]:
    """Return the charm's application as `juju status` shows it."""
    related: dict[str, list[dict[str, str]]] = {}
    for known in data["relations"].values():
        entry = {
            "related-application": known["remote-app"],
            "interface": known["interface"],
            "scope": known["scope"],
        }
        related.setdefault(known["endpoint"], []).append(entry)
    entry = data["application"].get("status") or _summary(data)
    shown = _plain_application(definition.name)
    shown["application-status"] = _info(entry["status"], entry["message"])
    shown["relations"] = related
    if data["application"].get("version"):
        shown["version"] = data["application"]["version"]
    principals = {model.application_of(unit.principal) for unit in deployed.units.values() if unit.principal}
    if principals:
        shown["subordinate-to"] = sorted(principals)
    return shown


def _summary(data: controller.Data) -> dict[str, str]:
    """Return the worst status of the units, which Juju shows where the charm sets none of the application."""
    order = ("error", "blocked", "maintenance", "waiting", "active", "unknown")
    entries = [unit["status"] or {"status": "unknown", "message": ""} for unit in data["units"].values()]
    return min(entries, key=lambda entry: order.index(entry["status"]))


def _plain_application(charm_name: str) -> dict[str, Any]:
    return {
        "charm": charm_name,
        "base": BASE,
        "charm-origin": "local",
        "charm-name": charm_name,
        "charm-rev": 0,
        "exposed": False,
        "application-status": _info("active"),
    }


def full_status(store: controller.Controller, deployed: model.Model, definition: charm.Charm) -> dict[str, Any]:
    """Return what `juju status --format json` shows."""
    data = store.read()
    applications: dict[str, Any] = {
        deployed.application: _application(deployed.application, deployed, definition, data)
    }
    for name, unit in deployed.units.items():
        shown = _unit(deployed, store, name, data["units"][name])
        machine = deployed.machine(name)
        if not unit.principal:
            applications[deployed.application].setdefault("units", {})[name] = {**shown, "machine": machine}
            continue
        principal = model.application_of(unit.principal)
        application = applications.setdefault(principal, _plain_application(principal))
        host: dict[str, Any] = {
            "workload-status": _info("active"),
            "juju-status": _info("idle"),
            "machine": machine,
        }
        host.update({"public-address": unit.address, "subordinates": {name: shown}})
        application.setdefault("units", {})[unit.principal] = host
    for content in deployed.relations.values():
        remote = applications.setdefault(content.remote_app, _plain_application(content.remote_app))
        for name in content.units:
            active = {"workload-status": _info("active"), "juju-status": _info("idle")}
            remote.setdefault("units", {}).setdefault(name, active)
    return {
        "model": _model_entry(deployed),
        "machines": {deployed.machine(name): _machine(name, deployed) for name in deployed.units},
        "applications": applications,
        "storage": {},
        "controller": {"timestamp": time.strftime("%H:%M:%SZ", time.gmtime())},
    }


def _model_entry(deployed: model.Model) -> dict[str, Any]:
    return {
        "name": deployed.model,
        "type": "iaas",
        "controller": "standin",
        "cloud": "lab",
        "version": deployed.juju_version,
        "model-status": _info("available"),
        "sla": "unsupported",
    }


def _machine(name: str, deployed: model.Model) -> dict[str, Any]:
    address = deployed.units[name].address
    return {
        "juju-status": _info("started", version=deployed.juju_version),
        "dns-name": address,
        "ip-addresses": [address],
        "instance-id": f"lab-{deployed.machine(name)}",
        "machine-status": _info("running"),
        "modification-status": _info("idle"),
        "base": BASE,
    }


def show(chosen: options.Options, deployed: model.Model, definition: charm.Charm) -> None:
    """Show the model, its applications and units."""
    form = chosen.format("tabular", "json", "yaml")
    shown = full_status(deployment.open_settled(deployed, definition), deployed, definition)
    if form != "tabular":
        sys.stdout.write(output.dump(shown, form))
        return
    for application in shown["applications"].values():
        for name, unit in application.get("units", {}).items():
            _line(name, unit)
            for inner, subordinate in unit.get("subordinates", {}).items():
                _line(f"  {inner}", subordinate)


def _line(name: str, unit: dict[str, Any]) -> None:
    star = "*" if unit.get("leader") else ""
    workload, agent = unit["workload-status"], unit["juju-status"]["current"]
    print(f"{name + star:24} {workload['current']:12} {agent:10} {workload.get('message', '')}")
