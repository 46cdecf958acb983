#!/usr/bin/env python3
"""The charm: events and actions → calls into the library. What packages cost much to import, actions import."""

import contextlib
import datetime
import logging
import os
import secrets
from collections.abc import Generator
from typing import TYPE_CHECKING

import ops

from ovs_pathfinder import errors

if TYPE_CHECKING:
    from ovs_pathfinder import path
    from ovs_pathfinder.evidence import record

logger = logging.getLogger(__name__)


class PathfinderCharm(ops.CharmBase):
    """A subordinate on every host whose switch may be asked."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        publishing = (
            self.on.start,
            self.on.upgrade_charm,
            self.on.config_changed,
            self.on["paths"].relation_created,
            self.on["paths"].relation_joined,
        )
        for event in publishing:
            framework.observe(event, self._on_facts)
        for event in (
            self.on["keystone-credentials"].relation_joined,
            self.on["keystone-credentials"].relation_changed,
            self.on.leader_elected,
        ):
            framework.observe(event, self._on_credentials)
        framework.observe(self.on.collect_unit_status, self._on_collect_status)
        framework.observe(self.on["plan-path"].action, self._on_plan_path)
        framework.observe(self.on["probe-path"].action, self._on_probe_path)
        framework.observe(self.on["path-report"].action, self._on_path_report)

    def _on_facts(self, _: ops.EventBase) -> None:
        import exchange

        try:
            exchange.Exchange(self).publish_unit()
        except errors.PathfinderError:
            logger.exception("this unit cannot tell the others about itself yet")

    def _on_credentials(self, _: ops.EventBase) -> None:
        if self.unit.is_leader():
            for relation in self.model.relations["keystone-credentials"]:
                relation.data[self.unit]["username"] = "ovs-pathfinder"

    def _on_collect_status(self, event: ops.CollectStatusEvent) -> None:
        """Say what is missing without blocking: a unit can be probed whether or not it can plan."""
        lacks = self.unit.is_leader() and not self.model.relations["keystone-credentials"]
        event.add_status(ops.ActiveStatus("plan-path needs keystone-credentials" if lacks else ""))

    def _on_plan_path(self, event: ops.ActionEvent) -> None:
        with _answering(event):
            import credentials
            import exchange
            import parameters
            from ovs_pathfinder import cloud, path

            wanted = parameters.read(parameters.PlanPath, event.params)
            if not self.unit.is_leader():
                raise errors.PathfinderError(
                    f"{self.unit.name} is not the leader, and only the leader can share a plan; "
                    f"run this there: {_command(self.app.name + '/leader', 'plan-path')}"
                )
            peers = exchange.Exchange(self)
            now = datetime.datetime.now(datetime.timezone.utc)
            event.log("asking OpenStack for the two ports")
            with cloud.connect(credentials.read(self)) as openstack:
                plan = cloud.make_plan(
                    openstack,
                    source=wanted.source,
                    destination=wanted.destination,
                    protocol=wanted.protocol,
                    port=wanted.port,
                    units=peers.units(),
                    run=path.new_run(now, secrets.token_bytes(8)),
                    created=now.isoformat(timespec="seconds"),
                )
            peers.publish_plan(plan)
            event.set_results(_plan_results(plan, self.app.name))

    def _on_probe_path(self, event: ops.ActionEvent) -> None:
        with _answering(event):
            import exchange
            import parameters
            from ovs_pathfinder.evidence import practice, probe, record

            wanted = parameters.read(parameters.ProbePath, event.params)
            peers = exchange.Exchange(self)
            plan = peers.plan(wanted.run)
            peers.publish_unit()
            settings = probe.Settings(count=wanted.count, interval=wanted.interval, size=wanted.size)
            found = practice.gather(plan, self.unit.name, settings, wait=wanted.wait, log=event.log)
            peers.publish_evidence(found)
            event.set_results(
                {
                    "run": plan.run,
                    "role": " and ".join(found.roles),
                    "summary": _probe_summary(plan, found),
                    "evidence": record.to_json(found),
                    "next": _command(f"{self.app.name}/leader", f"path-report run={plan.run}"),
                }
            )

    def _on_path_report(self, event: ops.ActionEvent) -> None:
        with _answering(event):
            import exchange
            import parameters
            from ovs_pathfinder import report

            wanted = parameters.read(parameters.PathReport, event.params)
            peers = exchange.Exchange(self)
            plan = peers.plan(wanted.run)
            given = _handed_over(plan, wanted.evidence)
            found = [*given.values(), *peers.evidence(plan, given)]
            if not found:
                raise _nothing_arrived(plan)
            event.set_results(report.results(plan, found, wanted.format))


def _handed_over(plan: "path.Plan", text: str) -> "dict[str, record.Evidence]":
    """Read the evidence that came as a parameter, by unit: it wins, as unit data can be old inside an action."""
    from ovs_pathfinder.evidence import record

    found = record.read(text) if text.strip() else []
    for one in found:
        if one.run != plan.run:
            raise errors.PathfinderError(
                f"the evidence of {one.unit} is of run {one.run}, and this report is of run {plan.run}; "
                "hand over what probe-path answered for this run"
            )
    return {one.unit: one for one in found}


def _nothing_arrived(plan: "path.Plan") -> errors.PathfinderError:
    units = sorted({plan.source.unit, plan.destination.unit} - {""})
    return errors.PathfinderError(
        f"no evidence for run {plan.run} has arrived: run probe-path on {' and '.join(units)}, "
        f"then this again ({_command(' '.join(units), f'probe-path run={plan.run}')})"
    )


def _plan_results(plan: "path.Plan", application: str) -> dict[str, str]:
    units = " ".join(sorted({plan.source.unit, plan.destination.unit} - {""}))
    lines = [
        f"{plan.source.label} ({plan.source.address}, {plan.source.port.mac}) on {plan.source.port.host}",
        f"{plan.destination.label} ({plan.destination.address}, {plan.destination.port.mac}) "
        f"on {plan.destination.port.host}",
        f"network {plan.network.name}: {plan.network.type} key {plan.network.segmentation_id:#x}, "
        + ("one host" if plan.same_host else f"{plan.source.tunnel_address} to {plan.destination.tunnel_address}"),
        *plan.warnings,
    ]
    probe = _command(units, f"probe-path run={plan.run}")
    report = _command(f"{application}/leader", f"path-report run={plan.run}")
    return {
        "run": plan.run,
        "summary": f"{plan.protocol} from {plan.source.label} to {plan.destination.label}, {units}",
        "plan": "\n".join(lines),
        "units": units,
        "next": f"{probe}\n{report}",
    }


def _probe_summary(plan: "path.Plan", found: "record.Evidence") -> str:
    parts: list[str] = []
    if found.probe is not None:
        parts.append(f"{found.probe.answered} of {found.probe.transmitted} packets were answered")
    for one in found.observations:
        seen = one.error or f"{len(one.forward)} forward, {len(one.reply)} reply"
        parts.append(f"{one.point} ({one.device}): {seen}")
    return "; ".join(parts) or f"nothing could be watched for run {plan.run}"


def _command(unit: str, action: str) -> str:
    """Return the command to paste, in the syntax of the Juju that runs."""
    name, _, rest = action.partition(" ")
    is_old = os.environ.get("JUJU_VERSION", "3").startswith("2.")
    return f"juju {'run-action --wait' if is_old else 'run'} {unit} {name} {rest}".rstrip()


@contextlib.contextmanager
def _answering(event: ops.ActionEvent) -> Generator[None]:
    """Turn every error into one sentence: an exception would lose what was written, and show a traceback."""
    try:
        yield
    except errors.PathfinderError as error:
        event.fail(str(error))
    except Exception as error:
        logger.exception("unexpected error in an action")
        event.fail(
            f"ovs-pathfinder met an error of its own ({type(error).__name__}: {error}); "
            "please report it with the traceback in `juju debug-log`"
        )


if __name__ == "__main__":
    ops.main(PathfinderCharm)
