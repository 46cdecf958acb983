"""What one hook or action sees and sets: nothing of it reaches the controller unless the process exits 0."""

import copy
import secrets
from typing import Any

from . import charm, controller, model

ID_LETTERS = "0123456789abcdefghijklmnopqrstuv"
LOG_LIMIT = 1000
HOOK_WITHOUT_RELATION = {"install", "start", "stop", "config-changed", "update-status", "leader-elected"}


class RefusedError(Exception):
    """A hook tool refuses, in Juju's words."""

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code


class Context:
    """A hook's or an action's view of the model.

    Attributes:
        hook_name: The hook's name; empty for actions.
        environment: The variables of this hook or action alone.
        results: What the action has set so far.
        failed: Whether the action called action-fail.
        message: The message it gave.

    """

    def __init__(
        self,
        store: controller.Controller,
        deployed: model.Model,
        definition: charm.Charm,
        unit: str,
        hook: dict[str, Any] | None = None,
        task: dict[str, Any] | None = None,
    ):
        self.store, self.deployed, self.definition, self.unit, self.task = (
            store,
            deployed,
            definition,
            unit,
            task,
        )
        self.application = model.application_of(unit)
        self.failed, self.message = False, ""
        self.results: dict[str, Any] = {}
        self.environment: dict[str, str] = {}
        self.hook_name = ""
        self.relation = ""
        self.remote_unit = self.remote_app = ""
        self._hook = hook
        data = store.read()
        self.uuid: str = data["uuid"]
        if hook is not None:
            self._set_hook(data, hook)
        if task is not None and not task["command"]:
            tag = f"action-{task['id']}"
            self.environment.update(JUJU_ACTION_NAME=task["name"], JUJU_ACTION_UUID=task["id"], JUJU_ACTION_TAG=tag)
        self.id = f"{unit}-{self.hook_name or (task or {}).get('name', '')}-{secrets.token_hex(8)}"
        self._settings: dict[tuple[str, str], dict[str, str]] = {}
        self._written: dict[tuple[str, str], dict[str, str]] = {}
        self._state: dict[str, str] | None = None
        self._ports: list[str] | None = None
        self._secrets: dict[str, Any] | None = None
        self._logged = 0

    def _set_hook(self, data: controller.Data, hook: dict[str, Any]) -> None:
        self.hook_name = hook["hook"]
        if not hook["relation"]:
            return
        self.relation = hook["relation"]
        known = data["relations"][self.relation]
        self.hook_name = f"{known['endpoint']}-relation-{hook['hook']}"
        remote: str = hook["remote"] or known["remote-app"]
        self.remote_app = model.application_of(remote)
        self.remote_unit = remote if "/" in remote else ""
        self.environment.update(
            JUJU_RELATION=known["endpoint"],
            JUJU_RELATION_ID=f"{known['endpoint']}:{self.relation}",
            JUJU_REMOTE_UNIT=self.remote_unit,
            JUJU_REMOTE_APP=self.remote_app,
        )
        if hook["hook"] == "departed":
            self.environment["JUJU_DEPARTING_UNIT"] = self.remote_unit

    def refresh(self, data: controller.Data) -> None:
        """Drop what the unit remembers of the member that this hook names: nothing else does."""
        if self.remote_unit:
            data["units"][self.unit]["cache"].get(self.relation, {}).pop(self.remote_unit, None)

    @property
    def leader(self) -> bool:
        """Whether the unit leads."""
        return bool(self.store.read()["units"][self.unit]["leader"])

    # Relations ---------------------------------------------------------------

    def relations(self) -> dict[str, dict[str, Any]]:
        """Return the unit's relations by id; while the model starts, nobody has joined them."""
        data = self.store.read()
        known: dict[str, dict[str, Any]] = data["relations"]
        found = {identity: relation for identity, relation in known.items() if self.unit in relation["members"]}
        if data["phase"] == "starting":
            return {identity: {**relation, "members": {self.unit: []}} for identity, relation in found.items()}
        return found

    def settings(self, relation: str, entity: str) -> dict[str, str]:
        """Return a databag as this context sees it.

        Raises:
            RefusedError: Where Juju would not let this unit look.

        """
        key = (relation, entity)
        known = self.relations()[relation]
        peers = known["role"] == "peers"
        if entity == self.application and not peers and not self.leader:
            raise RefusedError("permission denied")
        if entity in {self.unit, self.application}:
            if key not in self._settings:
                self._settings[key] = dict(known["data"].get(entity, {}))
            return {**self._settings[key], **self._written.get(key, {})}
        if entity == known["remote-app"]:
            return self._settings.setdefault(key, dict(known["data"].get(entity, {})))
        if entity not in known["members"][self.unit]:
            raise RefusedError("permission denied")
        return self._member(relation, entity)

    def _member(self, relation: str, entity: str) -> dict[str, str]:
        """Return a member's databag: the one remembered, however old, else the controller's."""
        with self.store.change() as data:
            cache = data["units"][self.unit]["cache"].setdefault(relation, {})
            if entity not in cache:
                cache[entity] = dict(data["relations"][relation]["data"].get(entity, {}))
            return dict(cache[entity])

    def write_settings(self, relation: str, entity: str, changes: dict[str, str]) -> None:
        """Keep settings for the flush; an empty value deletes its key.

        Raises:
            RefusedError: Where the unit may not write.

        """
        if entity == self.application and not self.leader:
            raise RefusedError("cannot write relation settings: permission denied")
        self._written.setdefault((relation, entity), {}).update(changes)

    # The rest of what is flushed ---------------------------------------------------------------

    @property
    def state(self) -> dict[str, str]:
        """The charm's own state, as state-get and its kin see it."""
        if self._state is None:
            self._state = dict(self.store.read()["units"][self.unit]["state"])
        return self._state

    @property
    def ports(self) -> list[str]:
        """The open ports."""
        if self._ports is None:
            self._ports = list(self.store.read()["units"][self.unit]["ports"])
        return self._ports

    @property
    def secrets(self) -> dict[str, Any]:
        """All secrets by id, with this context's changes."""
        if self._secrets is None:
            found: dict[str, Any] = copy.deepcopy(self.store.read()["secrets"])
            self._secrets = found
        return self._secrets

    def new_secret_id(self) -> str:
        """Name a secret the way Juju does."""
        return "".join(secrets.choice(ID_LETTERS) for _ in range(20))

    def log_action(self, text: str) -> None:
        """Append to the action's log, as long as Juju does."""
        if self.task is not None and self._logged < LOG_LIMIT:
            self._logged += 1
            self.store.log_task(self.task["id"], text)

    def flush(self) -> None:
        """Write everything to the controller, and queue relation-changed for those who see it."""
        with self.store.change() as data:
            for (relation, entity), changes in self._written.items():
                self._flush_settings(data, relation, entity, changes)
            unit = data["units"][self.unit]
            if self._state is not None:
                unit["state"] = self._state
            if self._ports is not None:
                unit["ports"] = self._ports
            if self._secrets is not None:
                data["secrets"] = self._secrets

    def _flush_settings(self, data: controller.Data, relation: str, entity: str, changes: dict[str, str]) -> None:
        before = data["relations"][relation]["data"].get(entity, {})
        after = {key: text for key, text in {**before, **changes}.items() if text}
        if after != before:
            data["relations"][relation]["data"][entity] = after
            controller.queue_changed(data, relation, entity)
