"""The peer relation: facts about units, plans out, evidence in."""

import json
import logging
import socket

import ops

from ovs_pathfinder import document, errors, path
from ovs_pathfinder.evidence import record, wire, witness

RELATION = "paths"
KEPT_PLANS = 20
KEPT_EVIDENCE = 5
"""Of each unit: so many runs can be under way or looked at again."""

_MAX_FACTS = 20_000
_MAX_PLAN = 500_000

logger = logging.getLogger(__name__)


class Exchange:
    """What the units of ovs-pathfinder tell each other."""

    def __init__(self, charm: ops.CharmBase) -> None:
        self._charm = charm

    @property
    def _relation(self) -> ops.Relation:
        relation = self._charm.model.get_relation(RELATION)
        if relation is None:
            raise errors.PathfinderError(
                "the units of ovs-pathfinder are not connected yet; wait until `juju status` shows them settled"
            )
        return relation

    def publish_unit(self) -> None:
        """Tell the others which host this unit is on, so that Neutron's hosts can be mapped to units."""
        relation = self._charm.model.get_relation(RELATION)
        if relation is None:
            return
        facts = json.dumps(self._describe_unit().model_dump(mode="json"), sort_keys=True)
        data = relation.data[self._charm.unit]
        if data.get("unit") != facts:
            data["unit"] = facts

    def _describe_unit(self) -> path.Unit:
        from ovs_pathfinder.vswitch import database

        try:
            switch = database.read()
        except errors.PathfinderError as error:
            logger.warning("Open vSwitch cannot be asked yet: %s", error)
            switch = database.Switch()
        names = dict.fromkeys((switch.hostname, socket.getfqdn(), socket.gethostname()))
        told = switch.tunnel_address
        return path.Unit(
            name=self._charm.unit.name,
            principal=principal(),
            hostnames=tuple(name for name in names if path.is_host_name(name)),
            tunnel_address=told if path.is_host_address(told) else "",
            management_address=self._own_address(),
            ovs_version=switch.version,
        )

    def _own_address(self) -> str:
        try:
            binding = self._charm.model.get_binding(RELATION)
            told = str(binding.network.ingress_address or "") if binding else ""
        except ops.ModelError as error:
            logger.warning("Juju cannot tell this unit's address: %s", error)
            return ""
        return told if path.is_host_address(told) else ""

    def units(self) -> list[path.Unit]:
        """Return what every unit, this one included, has told of itself."""
        return self.introduced()[0]

    def introduced(self) -> tuple[list[path.Unit], list[str]]:
        """Return what every unit has told of itself, and sentences on what cannot be used.

        Its name and its address are what Juju says, whatever the unit says.
        """
        found: list[path.Unit] = []
        doubts: list[str] = []
        for unit in (self._charm.unit, *self._relation.units):
            text = self._relation.data[unit].get("unit", "")
            if not text:
                continue
            try:
                told = document.read(path.Unit, text, most=_MAX_FACTS)
                named = {"name": unit.name, "management_address": self._address(unit)}
                found.append(document.check(path.Unit, {**told.model_dump(), **named}))
            except errors.PathfinderError as error:
                doubts.append(f"What {unit.name} tells of itself {error}, so it cannot be found by its host.")
        for doubt in doubts:
            logger.warning("%s", doubt)
        return found, doubts

    def _address(self, unit: ops.Unit) -> str:
        """Return where Juju says that a unit can be reached; empty where it does not say, or names no host."""
        if unit is self._charm.unit:
            return self._own_address()
        data = self._relation.data[unit]  # Juju writes these keys when the unit joins
        told = data.get("ingress-address") or data.get("private-address") or ""
        return told if path.is_host_address(told) else ""

    def publish_plan(self, plan: path.Plan) -> None:
        """Share a plan with all units; only the leader can. The oldest plans give way."""
        data = self._relation.data[self._charm.app]
        keys = sorted(key for key in data if key.startswith("plan-"))
        for key in keys[: max(0, len(keys) - KEPT_PLANS + 1)]:
            del data[key]
        data[f"plan-{plan.run}"] = json.dumps(plan.model_dump(mode="json"))

    def plan(self, run: str) -> path.Plan:
        """Return the plan of a run.

        Raises:
            PathfinderError: There is none, or it was written by a newer version.
        """
        data = self._relation.data[self._charm.app]
        text = data.get(f"plan-{run}", "")
        if not text:
            known = sorted(key.removeprefix("plan-") for key in data if key.startswith("plan-"))
            hint = f"the latest is {known[-1]}" if known else "there is none yet"
            raise errors.PathfinderError(f"run {run!r} is not known here; name one that plan-path made ({hint})")
        try:
            (data,) = document.several(text, most=_MAX_PLAN)
            version = data.get("version")
        except (errors.PathfinderError, ValueError, AttributeError) as error:
            raise _unusable(run, "is not a plan") from error
        if version != path.PLAN_VERSION:
            raise errors.PathfinderError(
                f"the plan of run {run} has format {str(version)[:20]!r}, and this unit knows {path.PLAN_VERSION}; "
                "refresh the charm on all units to one revision and plan again"
            )
        try:
            plan = document.check(path.Plan, data)
        except errors.PathfinderError as error:
            raise _unusable(run, str(error)) from error
        if plan.run != run:
            raise _unusable(run, f"is that of run {plan.run}")
        return self._reachable(plan)

    def _reachable(self, plan: path.Plan) -> path.Plan:
        """Return a plan with the units' addresses as Juju names them here: whoever planned is another unit, too."""
        known = {unit.name: self._address(unit) for unit in (self._charm.unit, *self._relation.units)}

        def end(one: path.Endpoint) -> path.Endpoint:
            return document.check(path.Endpoint, {**one.model_dump(), "management_address": known.get(one.unit, "")})

        return plan.model_copy(update={"source": end(plan.source), "destination": end(plan.destination)})

    def publish_evidence(self, found: record.Evidence) -> None:
        """Leave this unit's evidence for the coordinator. The oldest gives way."""
        data = self._relation.data[self._charm.unit]
        keys = sorted(key for key in data if key.startswith("evidence-") and key != f"evidence-{found.run}")
        for key in keys[: max(0, len(keys) - KEPT_EVIDENCE + 1)]:
            del data[key]
        data[f"evidence-{found.run}"] = wire.to_json(found, texts=False)

    def publish_trial(self, trial: record.Trial) -> None:
        """Leave what a trial showed for the coordinator, beside the run's other trials of this unit."""
        data = self._relation.data[self._charm.unit]
        keys = sorted(key for key in data if key.startswith("trials-") and key != f"trials-{trial.run}")
        for key in keys[: max(0, len(keys) - KEPT_EVIDENCE + 1)]:
            del data[key]
        before = wire.left(trial.unit, data.get(f"trials-{trial.run}", "") or "[]")
        known = [one.found for one in before if isinstance(one.found, record.Trial)]
        others = [one for one in known if one.run == trial.run and not _repeats(one, trial)]
        found = [one.model_dump(mode="json") for one in (*others, trial)]
        data[f"trials-{trial.run}"] = json.dumps(found)

    def hear(self, plan: path.Plan, handed_over: str) -> witness.Heard:
        """Return what counts of the evidence that has arrived for a run, and of that which was handed over.

        Only the databags of the path's own units are read. Inside an action another unit's evidence may be missing
        though it was written.

        Raises:
            PathfinderError: What was handed over cannot be used.
        """
        relation = self._relation
        ends = {plan.source.unit, plan.destination.unit}
        left: list[wire.Said] = []
        for unit in (one for one in (self._charm.unit, *relation.units) if one.name in ends):
            texts = [relation.data[unit].get(f"{kind}-{plan.run}", "") for kind in ("evidence", "trials")]
            left += [said for text in texts if text for said in wire.left(unit.name, text)]
        return witness.hear(plan, left, wire.read(handed_over) if handed_over.strip() else ())


def _unusable(run: str, why: str) -> errors.PathfinderError:
    return errors.PathfinderError(f"the plan of run {run} cannot be used, as it {why}; plan again with plan-path")


def _repeats(one: record.Trial, other: record.Trial) -> bool:
    """Whether a unit has made the same trial again; the later one counts."""
    return (one.unit, one.trial, one.role) == (other.unit, other.trial, other.role)


def principal() -> str:
    """Return the unit that this one is subordinate to, such as `octavia/2`."""
    return ops.JujuContext.from_environ().principal_unit or ""
