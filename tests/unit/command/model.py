"""A model of Juju's in this process: units that plan, probe and report as the charm does, and what can go wrong.

It keeps state as the real one: one action at a time on a unit, the last 20 plans, and what an action that was cut off
has left behind until the unit cleans up.
"""

import asyncio
import collections
import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

from ovs_pathfinder import path, report
from ovs_pathfinder.command import juju
from ovs_pathfinder.evidence import record, wire, witness
from tests.unit.diagnosis import build

APPLICATION = "ovs-pathfinder"
KEPT_PLANS = 20
CHANGING = ("probe-path", "try-flows", "try-port-security")


def attempt(sent: int, answered: int) -> record.Attempt:
    return record.Attempt(sent=sent, answered=answered)


@dataclasses.dataclass
class Model:
    """Octavia's units and computes, one unit of the charm on each."""

    sources: int = 1
    computes: int = 1
    leader: str = f"{APPLICATION}/0"
    worlds: dict[str, build.World] = dataclasses.field(default_factory=dict[str, build.World])
    """What happens on the way to a destination; it is healthy by default."""
    silent: set[str] = dataclasses.field(default_factory=set[str])
    """Units that never answer; they are given up once `over` is set."""
    endless: str = ""
    """The action that goes on until it is cancelled."""
    failing: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict[tuple[str, str], str])
    """The message with which an action fails on a unit."""
    speaking_for: dict[str, tuple[str, build.World]] = dataclasses.field(
        default_factory=dict[str, tuple[str, build.World]]
    )
    """Units that answer with the source's evidence of another world in another unit's name."""
    damaged: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    """What units answer as their evidence, in place of it."""
    before: Callable[[str, str], None] | None = None
    """Is called as an action begins, with its unit and its name."""
    over: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    asked: list[tuple[str, str]] = dataclasses.field(default_factory=list[tuple[str, str]])
    """Units and actions, in the order in which they began."""
    waited: list[tuple[str, str]] = dataclasses.field(default_factory=list[tuple[str, str]])
    """Those that came while their unit was busy."""
    cancelled: list[tuple[str, str]] = dataclasses.field(default_factory=list[tuple[str, str]])
    left: set[str] = dataclasses.field(default_factory=set[str])
    """Units on which something was left behind."""
    given: dict[str, list[Mapping[str, Any]]] = dataclasses.field(
        default_factory=lambda: collections.defaultdict[str, list[Mapping[str, Any]]](list)
    )
    """The parameters of each action."""
    plans: dict[str, path.Plan] = dataclasses.field(default_factory=dict[str, path.Plan])
    at_once: int = 0
    """The most plans that were under way at one moment."""
    _busy: dict[str, asyncio.Lock] = dataclasses.field(default_factory=dict[str, asyncio.Lock])
    _reported: set[str] = dataclasses.field(default_factory=set[str])

    def units(self) -> list[juju.Unit]:
        """Return the units as `juju status` shows them."""
        found = [(f"octavia/{number}", True) for number in range(self.sources)]
        found += [(f"nova-compute/{number}", False) for number in range(self.computes)]
        names = [f"{APPLICATION}/{number}" for number in range(len(found))]
        return [
            juju.Unit(name, principal, is_octavia, name == self.leader, name in self.silent)
            for name, (principal, is_octavia) in zip(names, found, strict=True)
        ]

    def address(self, compute: int) -> str:
        """Return the address of the amphora on a compute host."""
        return f"fc00::{compute + 1:x}"

    def compute(self, address: str) -> str:
        """Return the unit of the charm beside the compute host of an address."""
        return f"{APPLICATION}/{self.sources + int(address.removeprefix('fc00::'), 16) - 1}"

    async def run(
        self, unit: str, action: str, params: Mapping[str, Any], *, within: float, log: juju.Log | None = None
    ) -> juju.Answer:
        """Run an action, as the real client does."""
        name = self.leader if unit.endswith("/leader") else unit
        lock = self._busy.setdefault(name, asyncio.Lock())
        if lock.locked():
            self.waited.append((name, action))
        async with lock:
            self.asked.append((name, action))
            self.given[action].append(params)
            try:
                if self.before is not None:
                    self.before(name, action)
                await asyncio.sleep(0)
                if action == self.endless:
                    await asyncio.Event().wait()
                if name in self.silent:
                    await self.over.wait()
                    raise juju.TooLate(name, action, within)
            except asyncio.CancelledError:
                self.cancelled.append((name, action))
                if action in CHANGING:
                    self.left.add(name)
                raise
            if (name, action) in self.failing:
                raise juju.ActionFailed(name, action, self.failing[name, action])
            if log is not None:
                log(f"{action} is under way")
            return juju.Answer(name, getattr(self, f"_{action.replace('-', '_')}")(name, params))

    def _plan_path(self, unit: str, params: Mapping[str, Any]) -> dict[str, str]:
        if unit != self.leader:
            raise juju.ActionFailed(
                unit, "plan-path", f"{unit} is not the leader, and only the leader can share a plan"
            )
        number, address = int(params["source"].rpartition("/")[2]), params["destination"]
        if not address.startswith("fc00::"):
            raise juju.ActionFailed(unit, "plan-path", f"Neutron knows no port with the name '{address}'")
        plain = build.plan(run=f"20220314t101500-{len(self.asked):06x}")
        source = plain.source.model_copy(update={"label": params["source"], "unit": f"{APPLICATION}/{number}"})
        far = plain.destination.model_copy(update={"label": address, "unit": self.compute(address), "address": address})
        plan = plain.model_copy(update={"source": source, "destination": far})
        self.plans[plan.run] = plan
        self.at_once = max(self.at_once, len(set(self.plans) - self._reported))
        for old in list(self.plans)[:-KEPT_PLANS]:
            del self.plans[old]
        return {"run": plan.run, "units": f"{source.unit} {far.unit}", "plan": "in words"}

    def _plan_of(self, unit: str, params: Mapping[str, Any], action: str) -> path.Plan:
        if params["run"] not in self.plans:
            raise juju.ActionFailed(unit, action, f"run {params['run']!r} is not known here")
        return self.plans[params["run"]]

    def _probe_path(self, unit: str, params: Mapping[str, Any]) -> dict[str, str]:
        plan = self._plan_of(unit, params, "probe-path")
        world = self.worlds.get(plan.destination.address, build.World())
        seen = dataclasses.replace(world, plan=plan).run()[0 if unit == plan.source.unit else 1]
        found = seen.model_copy(update={"run": plan.run, "unit": unit})
        if unit in self.speaking_for:
            other, world = self.speaking_for[unit]
            found = dataclasses.replace(world, plan=plan).run()[0].model_copy(update={"run": plan.run, "unit": other})
        text = self.damaged.get(unit) or wire.to_json(found)
        return {"run": plan.run, "summary": f"{unit} has watched", "evidence": text}

    def _try_flows(self, unit: str, params: Mapping[str, Any]) -> dict[str, str]:
        plan = self._plan_of(unit, params, "try-flows")
        sent = unit == plan.source.unit
        found = record.Trial(
            run=plan.run,
            unit=unit,
            trial="flows",
            role=params["at"],
            started="2022-03-14T10:15:20+00:00",
            change="NORMAL flows",
            before=attempt(5 if sent else 0, 0),
            during=attempt(5 if sent else 0, 5 if sent else 0),
            after=attempt(5 if sent else 0, 0),
        )
        return {"run": plan.run, "summary": "it heals", "evidence": found.model_dump_json()}

    def _path_report(self, unit: str, params: Mapping[str, Any]) -> dict[str, str]:
        plan = self._plan_of(unit, params, "path-report")
        if not params.get("evidence"):
            raise juju.ActionFailed(unit, "path-report", f"no evidence for run {plan.run} has arrived")
        heard = witness.hear(plan, (), wire.read(params["evidence"]))
        self._reported.add(plan.run)
        return report.results(plan, heard.evidence, params.get("format", "text"), heard.trials, heard.refused)

    def _clean_up(self, unit: str, params: Mapping[str, Any]) -> dict[str, str]:
        self.left.discard(unit)
        return {"summary": "Nothing is left behind on this unit."}

    def _list_amphorae(self, unit: str, params: Mapping[str, Any]) -> dict[str, str]:
        amphorae = [
            {
                "id": f"{number:08x}-0000-0000-0000-000000000000",
                "status": "ALLOCATED",
                "management_address": self.address(number),
                "unit": f"{APPLICATION}/{self.sources + number}",
            }
            for number in range(self.computes)
        ]
        return {"answer": json.dumps({"summary": "some", "amphorae": amphorae}), "report": "some\n"}
