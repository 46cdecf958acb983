"""The peer relation: facts about units, plans out, evidence in."""

import json
import logging
import socket
from collections.abc import Collection, Sequence

import ops
import pydantic

from ovs_pathfinder import errors, path
from ovs_pathfinder.evidence import record, wire

RELATION = "paths"
KEPT_PLANS = 20
KEPT_EVIDENCE = 5
"""Of each unit: so many runs can be under way or looked at again."""

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
        try:
            binding = self._charm.model.get_binding(RELATION)
            address = str(binding.network.ingress_address or "") if binding else ""
        except ops.ModelError as error:
            logger.warning("Juju cannot tell this unit's address: %s", error)
            address = ""
        return path.Unit(
            name=self._charm.unit.name,
            principal=principal(),
            hostnames=tuple(name for name in names if name),
            tunnel_address=switch.tunnel_address,
            management_address=address,
            ovs_version=switch.version,
        )

    def units(self) -> list[path.Unit]:
        """Return what every unit, this one included, has told of itself."""
        relation = self._relation
        found: list[path.Unit] = []
        for unit in (self._charm.unit, *relation.units):
            text = relation.data[unit].get("unit", "")
            try:
                found += [path.Unit.model_validate_json(text)] if text else []
            except pydantic.ValidationError as error:
                logger.warning("what %s tells of itself cannot be read: %s", unit.name, error)
        return found

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
        version = json.loads(text).get("version")
        if version != path.PLAN_VERSION:
            raise errors.PathfinderError(
                f"the plan of run {run} has format {version}, and this unit knows {path.PLAN_VERSION}; "
                "refresh the charm on all units to one revision and plan again"
            )
        return path.Plan.model_validate_json(text)

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
        others = [one for one in _trials_of(data) if one.run == trial.run and not _repeats(one, trial)]
        found = [one.model_dump(mode="json") for one in (*others, trial)]
        data[f"trials-{trial.run}"] = json.dumps(found)

    def trials(self, plan: path.Plan, handed_over: Sequence[record.Trial]) -> list[record.Trial]:
        """Return the trials of a run that have arrived, but for those that were handed over."""
        relation = self._relation
        found = [one for unit in (self._charm.unit, *relation.units) for one in _trials_of(relation.data[unit])]
        theirs = [one for one in found if one.run == plan.run]
        return [one for one in theirs if not any(_repeats(one, given) for given in handed_over)]

    def evidence(self, plan: path.Plan, handed_over: Collection[str]) -> list[record.Evidence]:
        """Return what has arrived for a run from the units that did not hand theirs over.

        Inside an action another unit's may be missing though it was written.
        """
        relation = self._relation
        wanted = {plan.source.unit, plan.destination.unit}.difference(handed_over)
        units = [unit for unit in (self._charm.unit, *relation.units) if unit.name in wanted]
        texts = {unit.name: relation.data[unit].get(f"evidence-{plan.run}", "") for unit in units}
        return [_evidence_of(unit, text) for unit, text in texts.items() if text]


def _repeats(one: record.Trial, other: record.Trial) -> bool:
    """Whether a unit has made the same trial again; the later one counts."""
    return (one.unit, one.trial, one.role) == (other.unit, other.trial, other.role)


def _trials_of(data: ops.RelationDataContent) -> list[record.Trial]:
    """Read a unit's trials."""
    texts = [data[key] for key in sorted(data) if key.startswith("trials-")]
    return [trial for text in texts for trial in _read_trials(text)]


def _read_trials(text: str) -> tuple[record.Trial, ...]:
    try:
        return wire.read(text).trials
    except errors.PathfinderError as error:  # trials only add to a diagnosis
        logger.warning("a trial in the peer relation cannot be used: %s", error)
        return ()


def _evidence_of(unit: str, text: str) -> record.Evidence:
    try:
        return wire.from_data(json.loads(text))
    except (ValueError, errors.PathfinderError) as error:
        raise errors.PathfinderError(f"what {unit} left in the peer relation cannot be used: {error}") from error


def handed_over(plan: path.Plan, text: str) -> wire.Handed:
    """Read the evidence that came as a parameter: it wins, as unit data can be old inside an action."""
    found = wire.read(text) if text.strip() else wire.Handed()
    for one in (*found.evidence, *found.trials):
        if one.run != plan.run:
            raise errors.PathfinderError(
                f"the evidence of {one.unit} is of run {one.run}, and this report is of run {plan.run}; "
                "hand over what probe-path answered for this run"
            )
    latest = {(one.unit, one.trial, one.role): one for one in found.trials}
    return found.model_copy(update={"trials": tuple(latest.values())})


def principal() -> str:
    """Return the unit that this one is subordinate to, such as `octavia/2`."""
    return ops.JujuContext.from_environ().principal_unit or ""
