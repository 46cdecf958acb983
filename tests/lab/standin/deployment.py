"""Bring a model to rest: the hooks that Juju runs after a deployment, and whatever they set off."""

from typing import Any

from . import agent, charm, controller, errors, model


def endpoints_with_hooks(deployed: model.Model, definition: charm.Charm) -> set[str]:
    """Return the endpoints whose relation hooks are run."""
    return {
        name
        for name, endpoint in definition.endpoints.items()
        if deployed.deploy == "full" or endpoint.interface != "juju-info"
    }


def _relation(endpoint: charm.Endpoint, remote_app: str, members: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "endpoint": endpoint.name,
        "role": endpoint.role,
        "interface": endpoint.interface,
        "scope": endpoint.scope,
        "remote-app": remote_app,
        "members": members,
        "data": {},
    }


def relations(deployed: model.Model, definition: charm.Charm) -> list[dict[str, Any]]:
    """Return the model's relations: peers, one per principal application, and the model file's own."""
    units = list(deployed.units)
    found: list[dict[str, Any]] = []
    for endpoint in definition.endpoints.values():
        if endpoint.role == "peers":
            members = {unit: [other for other in units if other != unit] for unit in units}
            found.append(_relation(endpoint, deployed.application, members))
    principals: dict[str, dict[str, list[str]]] = {}
    for name, unit in deployed.units.items():
        if unit.principal:
            principals.setdefault(model.application_of(unit.principal), {})[name] = [unit.principal]
    for principal, members in principals.items():
        endpoint = definition.container_endpoint(principal)
        if endpoint is not None:
            found.append(_relation(endpoint, principal, members))
    for name, content in deployed.relations.items():
        members = {unit: sorted(content.units) for unit in units}
        relation = _relation(definition.endpoints[name], content.remote_app, members)
        relation["data"] = {**content.units, content.remote_app: content.app_data}
        found.append(relation)
    return found


def prepare(deployed: model.Model, definition: charm.Charm) -> controller.Controller:
    """Open the model's state, created when missing, and take over what changed in the model file since."""
    store = controller.Controller(deployed.state)
    with store.change() as data:
        for name in deployed.units:
            unit = data["units"].setdefault(
                name,
                {
                    "state": {},
                    "ports": [],
                    "cache": {},
                    "pending": [],
                    "hook-error": "",
                    "status": {},
                    "version": "",
                },
            )
            unit["leader"] = name == data.get("led-by", deployed.leader)
        for wanted in relations(deployed, definition):
            _take_over(data, wanted, endpoints_with_hooks(deployed, definition))
        for known in data["relations"].values():
            _enter(known, deployed)
        if data["phase"] == "new":
            data["config"] = dict(deployed.config)
    return store


def _take_over(data: controller.Data, wanted: dict[str, Any], with_hooks: set[str]) -> None:
    """Add a relation, or take over its remote data where the model file has changed."""
    for relation, known in data["relations"].items():  # noqa: B007 - used below
        if (known["endpoint"], known["remote-app"]) == (wanted["endpoint"], wanted["remote-app"]):
            break
    else:
        relation = str(len(data["relations"]))
        data["relations"][relation] = wanted
        if data["phase"] == "settled" and wanted["endpoint"] in with_hooks:
            for unit in wanted["members"]:
                controller.queue(data, unit, "created", relation)
                _queue_joined(data, unit, relation)
        return
    known["members"] = wanted["members"]
    for entity, content in wanted["data"].items():
        if known["data"].get(entity, {}) != content:
            known["data"][entity] = content
            if data["phase"] == "settled" and known["endpoint"] in with_hooks:
                controller.queue_changed(data, relation, entity)


def _enter(relation: dict[str, Any], deployed: model.Model) -> None:
    """Write into each unit's settings what Juju does when the unit enters a relation's scope."""
    for name, unit in deployed.units.items():
        addresses = {"egress-subnets": unit.address, "ingress-address": unit.address, "private-address": unit.address}
        if name in relation["members"]:
            relation["data"].setdefault(name, addresses)


def _queue_joined(data: controller.Data, unit: str, relation: str) -> None:
    for remote in data["relations"][relation]["members"].get(unit, []):
        controller.queue(data, unit, "joined", relation, remote)
        controller.queue(data, unit, "changed", relation, remote)


def _related(data: controller.Data, unit: str, with_hooks: set[str]) -> list[str]:
    """Return the ids of the unit's relations that have hooks."""
    return [
        relation
        for relation, known in data["relations"].items()
        if unit in known["members"] and known["endpoint"] in with_hooks
    ]


def settle(store: controller.Controller, deployed: model.Model, definition: charm.Charm) -> None:
    """Deploy where that has not happened, and run the hooks that wait.

    Raises:
        errors.JujuError: Where a hook of the deployment failed; the next command tries it again.

    """
    with store.change() as data:
        for unit in data["units"].values():
            unit["hook-error"] = ""
    if store.read()["phase"] != "settled":
        with store.deploying():
            _deploy(store, deployed, definition)
    elif deployed.deliver == "auto":
        waiting = [unit for unit in deployed.units if store.pending(unit)]
        agent.join(agent.start(store, deployed, definition, waiting, hooks=True))


def open_settled(deployed: model.Model, definition: charm.Charm) -> controller.Controller:
    """Open the model's state with everything deployed and at rest."""
    store = prepare(deployed, definition)
    settle(store, deployed, definition)
    return store


def _deploy(store: controller.Controller, deployed: model.Model, definition: charm.Charm) -> None:
    with_hooks = endpoints_with_hooks(deployed, definition)
    with store.change() as data:
        if data["phase"] == "new":
            for unit in deployed.units:
                _queue_start(data, unit, with_hooks)
            data["phase"] = "starting"
    if store.read()["phase"] == "starting":
        _run_all(store, deployed, definition)
        with store.change() as data:
            for unit in deployed.units:
                for relation in _related(data, unit, with_hooks):
                    _queue_joined(data, unit, relation)
            data["phase"] = "relating"
    if store.read()["phase"] == "relating":
        _run_all(store, deployed, definition)
        with store.change() as data:
            data["phase"] = "settled"


def _queue_start(data: controller.Data, unit: str, with_hooks: set[str]) -> None:
    controller.queue(data, unit, "install")
    for relation in _related(data, unit, with_hooks):
        controller.queue(data, unit, "created", relation)
    if data["units"][unit]["leader"]:
        controller.queue(data, unit, "leader-elected")
    controller.queue(data, unit, "config-changed")
    controller.queue(data, unit, "start")


def _run_all(store: controller.Controller, deployed: model.Model, definition: charm.Charm) -> None:
    agent.join(agent.start(store, deployed, definition, list(deployed.units), hooks=True))
    for unit in deployed.units:
        failed = store.read()["units"][unit]["hook-error"]
        if failed:
            raise errors.JujuError(f'hook failed: "{failed}" on unit {unit}; see {store.log}')
