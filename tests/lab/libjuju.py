"""A model of libjuju's, as zaza.model holds it, served by the stand-in for Juju.

What zaza asks of libjuju and no more: `Model`, `Application`, `Unit` and `Action` have the attributes and the behaviour
of those of python-libjuju 3.6, and the status is of its own classes.

Run as `python -m tests.lab.libjuju MODEL-FILE STEP ARGUMENTS…` it is zaza's own command for a step of a suite,
`configure` or `test`, with this model in the place of a controller's.
"""

import asyncio
import importlib
import json
import logging
import os
import pathlib
import sys
import tempfile
from collections.abc import Mapping
from typing import Any, cast

import zaza.model  # pyright: ignore[reportMissingTypeStubs]
from juju.client import client  # pyright: ignore[reportMissingTypeStubs]

from . import demo

_FULL_STATUS = cast("Any", client).FullStatus


class Action:
    """One that is queued: `wait` returns after its end, when `data` knows its status, but not yet its message."""

    def __init__(self, running: "asyncio.Task[dict[str, Any]]") -> None:
        self._running = running
        self.data: dict[str, Any] = {"status": "pending"}
        """The newest of what the model was told; each news is another one."""
        self.results: dict[str, Any] = {}
        self._status = "pending"
        self.id = "1"

    async def wait(self) -> "Action":
        """Wait for its end; one that was cancelled never comes to an end here, as libjuju polls for two words."""
        found = await self._running
        while found["status"] not in ("completed", "failed"):
            await asyncio.sleep(3600)
        self.results, self._status = found.get("results", {}), found["status"]
        loop = asyncio.get_running_loop()
        loop.call_soon(setattr, self, "data", {"status": "completed"})
        loop.call_later(0.3, setattr, self, "data", {"status": found["status"], "message": found.get("message", "")})
        return self


class Unit:
    """A unit; for libjuju, subordinates are units of their application like others."""

    def __init__(self, model: "Model", name: str) -> None:
        self.entity_id = self.name = name
        self._model = model

    async def run_action(self, action: str, **params: Any) -> Action:
        """Queue an action."""
        return Action(asyncio.create_task(self._model.act(self.name, action, params)))

    async def is_leader_from_status(self) -> bool:
        """Say whether it leads; of a subordinate, libjuju never finds that out."""
        return False


class Relation:
    """Two applications, by their endpoints."""

    def __init__(self, *specs: str) -> None:
        self._specs = {*specs, *(one.partition(":")[0] for one in specs)}

    def matches(self, *specs: str) -> bool:
        """Say whether it could have been made with these."""
        return self._specs.issuperset(specs)


class Application:
    """An application, with what it is related to."""

    def __init__(self, model: "Model", name: str, units: list[str]) -> None:
        self.name = name
        self._model = model
        self.units = [Unit(model, one) for one in units]

    @property
    def relations(self) -> list[Relation]:
        """Those that it has a part in."""
        return [one for one in self._model.relations if one.matches(self.name)]

    async def add_relation(self, local: str, remote: str) -> None:
        """Relate it; the unit of a subordinate comes to each unit of its principal."""
        assert remote in self._model.applications, "Juju finds out the endpoint"
        endpoint = {"keystone-credentials": "identity-credentials"}.get(local, local)
        self._model.relations.append(Relation(f"{self.name}:{local}", f"{remote}:{endpoint}"))


class Model:
    """The model that a model file of the stand-in's describes."""

    def __init__(self, file: pathlib.Path, lacks: str = "") -> None:
        self._file = file
        self._lacks = lacks
        self.relations: list[Relation] = []
        self.applications: dict[str, Application] = {}

    async def connect(self) -> "Model":
        """Read which units there are."""
        for name, entry in (await self._tree())["applications"].items():
            self.applications.setdefault(name, Application(self, name, list(entry.get("units", ()))))
            for host in entry.get("units", {}).values():
                for unit in host.get("subordinates", ()):
                    mine = self.applications.setdefault(unit.rpartition("/")[0], Application(self, unit, []))
                    mine.name = unit.rpartition("/")[0]
                    if unit not in [one.name for one in mine.units]:
                        mine.units.append(Unit(self, unit))
        return self

    async def get_status(self) -> Any:
        """Return the status in the shape of the API, which is not the one that `juju status` prints."""
        return _FULL_STATUS.from_json(api_status(await self._tree()))

    async def deploy(self, charm: str, **more: Any) -> None:
        """Deploy what was said to lack: the model file has it."""
        assert more["application_name"] == self._lacks, "it is there already"
        logging.info("libjuju deploys %s with %s", charm, more)
        self._lacks = ""
        await self.connect()

    async def act(self, unit: str, action: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Run an action to its end."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            json.dump(dict(params), file)
            file.flush()
            out = await self._juju("run", "--format", "json", "--wait", "10m", unit, action, "--params", file.name)
        return next(iter(json.loads(out).values()))

    async def _tree(self) -> dict[str, Any]:
        tree = json.loads(await self._juju("status", "--format", "json"))
        tree["applications"].pop(self._lacks, None)
        for application in tree["applications"].values():
            for host in application.get("units", {}).values():
                beside = host.get("subordinates", {})
                host["subordinates"] = {key: one for key, one in beside.items() if key.split("/")[0] != self._lacks}
        return tree

    async def _juju(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            str(demo.JUJU), "--model-file", str(self._file), *arguments, stdout=-1, stderr=-1
        )
        out, err = await process.communicate()
        assert out, err.decode()
        return out.decode()


def api_status(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what `juju status --format json` prints into what the facade Client's FullStatus answers."""
    applications = {
        name: {
            "base": {"name": entry["base"]["name"], "channel": f"{entry['base']['channel']}/stable"},
            "charm": f"local:jammy/{entry['charm-name']}-{entry['charm-rev']}",
            "units": {unit: _unit(shown) for unit, shown in entry.get("units", {}).items()},
        }
        for name, entry in tree["applications"].items()
    }
    return {"applications": applications}


def _unit(shown: Mapping[str, Any]) -> dict[str, Any]:
    workload, agent = shown["workload-status"], shown["juju-status"]
    return {
        "leader": shown.get("leader", False),
        "agent-status": {"status": agent["current"], "info": agent.get("message", "")},
        "workload-status": {"status": workload["current"], "info": workload.get("message", "")},
        "subordinates": {name: _unit(one) for name, one in shown.get("subordinates", {}).items()},
    }


def serve(file: pathlib.Path) -> Model:
    """Let zaza take a model file for every model that it is asked for."""
    model = Model(file, os.environ.get("LIBJUJU_LACKS", ""))

    async def get_model(_: str | None = None) -> Model:
        return await model.connect()

    cast("Any", zaza.model).get_model = get_model
    return model


def main() -> None:
    """Run a step of a suite, as zaza's command does."""
    file, step, *arguments = sys.argv[1:]
    serve(pathlib.Path(file))
    sys.argv = [step, *arguments]
    importlib.import_module(f"zaza.charm_lifecycle.{step}").main()


if __name__ == "__main__":
    main()
