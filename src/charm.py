#!/usr/bin/env python3
"""The charm: events and actions → calls into the library. What packages cost much to import, actions import."""

import contextlib
import datetime
import logging
import secrets
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

import ops

import replies
from ovs_pathfinder import errors, text

if TYPE_CHECKING:
    from ovs_pathfinder import path
    from ovs_pathfinder.evidence import record

logger = logging.getLogger(__name__)

INSPECTIONS = (
    "list-amphorae",
    "find-port",
    "show-tunnels",
    "ping",
    "check-port",
    "capture",
    "trace-packet",
    "explain-security",
    "dump-flows",
    "snapshot-flows",
    "diff-flows",
)
"""Actions that ask one question each; `inspections.MODULES` says who answers."""


class PathfinderCharm(ops.CharmBase):
    """A subordinate on every host whose switch may be asked."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        replies.filter_log()
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
        for event in (self.on.install, self.on.start, self.on.upgrade_charm):
            framework.observe(event, self._on_arrival)
        for event in (self.on.start, self.on.upgrade_charm, self.on.update_status):
            framework.observe(event, self._on_sweep)
        framework.observe(self.on.stop, self._on_end)
        framework.observe(self.on.remove, self._on_end)
        framework.observe(self.on.collect_unit_status, self._on_collect_status)
        framework.observe(self.on["plan-path"].action, self._on_plan_path)
        framework.observe(self.on["probe-path"].action, self._on_probe_path)
        framework.observe(self.on["path-report"].action, self._on_path_report)
        framework.observe(self.on["try-flows"].action, self._on_try_flows)
        framework.observe(self.on["try-port-security"].action, self._on_try_port_security)
        framework.observe(self.on["inject-flows"].action, self._on_inject_flows)
        framework.observe(self.on["clean-up"].action, self._on_clean_up)
        for name in INSPECTIONS:
            framework.observe(self.on[name].action, self._on_inspection)

    def _on_arrival(self, _: ops.EventBase) -> None:
        """Write down that this unit lives here: another one of the host that goes leaves alone what is not its own."""
        from ovs_pathfinder.temporary import journal

        try:
            journal.Journal(unit=self.unit.name).register(self.charm_dir)
        except OSError as error:
            logger.warning("the folder of this host's units cannot be written: %s", error)

    def _on_sweep(self, _: ops.EventBase) -> None:
        for sentence in _sweep(self):
            logger.warning("%s", sentence)

    def _on_end(self, event: ops.EventBase) -> None:
        """Undo what is this unit's own, the last unit of a host everything; Juju tries a hook that failed again."""
        left = _sweep(self, leaving=True)
        if left:
            logger.error("the unit cannot go while a temporary change is left: %s", "; ".join(left))
            sys.exit(1)
        if isinstance(event, ops.RemoveEvent):
            from ovs_pathfinder.temporary import journal

            journal.Journal(unit=self.unit.name).remove()

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
        left = _left_behind(self.unit.name)
        if left:
            event.add_status(
                ops.BlockedStatus(f"not undone: {left} temporary change{'s' if left > 1 else ''}; run clean-up")
            )
        import credentials

        event.add_status(ops.ActiveStatus(text.plain(credentials.lack(self)) if self.unit.is_leader() else ""))

    def _on_plan_path(self, event: ops.ActionEvent) -> None:
        with _answering(self, event) as reply:
            import answers
            import credentials
            import exchange
            import parameters
            from ovs_pathfinder import cloud, path

            wanted = parameters.read(parameters.PlanPath, event.params)
            if not self.unit.is_leader():
                raise errors.PathfinderError(
                    f"{self.unit.name} is not the leader, and only the leader can share a plan; "
                    f"run this there: {answers.command([self.app.name + '/leader'], 'plan-path')}"
                )
            peers = exchange.Exchange(self)
            units, doubts = peers.introduced()
            now = datetime.datetime.now(datetime.timezone.utc)
            reply.log("asking OpenStack for the two ports")
            with cloud.connect(credentials.read(self)) as openstack:
                plan = cloud.make_plan(
                    openstack,
                    source=wanted.source,
                    destination=wanted.destination,
                    protocol=wanted.protocol,
                    port=wanted.port,
                    units=units,
                    doubts=doubts,
                    run=path.new_run(now, secrets.token_bytes(8)),
                    created=now.isoformat(timespec="seconds"),
                )
            peers.publish_plan(plan)
            reply.give(answers.plan(plan, self.app.name))

    def _on_probe_path(self, event: ops.ActionEvent) -> None:
        with _answering(self, event) as reply:
            import answers
            import exchange
            import parameters
            from ovs_pathfinder.evidence import practice, probe, record
            from ovs_pathfinder.inspection import history
            from ovs_pathfinder.temporary import journal

            wanted = parameters.read(parameters.ProbePath, event.params)
            peers = exchange.Exchange(self)
            plan = peers.plan(wanted.run)
            peers.publish_unit()
            settings = probe.Settings(count=wanted.count, interval=wanted.interval, size=wanted.size)
            kept: list[record.Capture] = []
            found = practice.gather(
                plan,
                self.unit.name,
                settings,
                wait=wanted.wait,
                log=reply.log,
                keep=kept.extend if wanted.captures else None,
            )
            if not found.vswitchd:
                found = history.added(found, journal.Journal().directory)
            peers.publish_evidence(found)
            captures = record.Captures(captures=tuple(kept)) if wanted.captures else None
            reply.give(answers.probe(plan, found, self.app.name, captures))

    def _on_path_report(self, event: ops.ActionEvent) -> None:
        with _answering(self, event) as reply:
            import answers
            import exchange
            import parameters
            from ovs_pathfinder import report

            wanted = parameters.read(parameters.PathReport, event.params)
            peers = exchange.Exchange(self)
            plan = peers.plan(wanted.run)
            heard = peers.hear(plan, wanted.evidence)
            if not heard.evidence:
                raise errors.PathfinderError(answers.nothing_arrived(plan, heard.refused))
            results = report.results(plan, heard.evidence, wanted.format, heard.trials, heard.refused)
            reply.give(results | answers.next_trial(plan, results, heard.trials))

    def _on_try_flows(self, event: ops.ActionEvent) -> None:
        with _answering(self, event) as reply:
            import changes
            import parameters

            wanted = parameters.read(parameters.TryFlows, event.params)
            plan = self._plan(wanted.run)
            self._tell_trial(reply, plan, changes.try_flows(self, plan, wanted, reply.log))

    def _on_try_port_security(self, event: ops.ActionEvent) -> None:
        with _answering(self, event) as reply:
            import changes
            import parameters

            wanted = parameters.read(parameters.TryPortSecurity, event.params)
            plan = self._plan(wanted.run)
            self._tell_trial(reply, plan, changes.try_port_security(self, plan, wanted, reply.log))

    def _on_inject_flows(self, event: ops.ActionEvent) -> None:
        with _answering(self, event) as reply:
            import answers
            import changes
            import parameters

            wanted = parameters.read(parameters.InjectFlows, event.params)
            entry = changes.inject(self, self._plan(wanted.run) if wanted.run else None, wanted)
            reply.give(answers.injection(entry, self.unit.name))

    def _on_clean_up(self, event: ops.ActionEvent) -> None:
        with _answering(self, event, sweep=False) as reply:
            import answers
            import changes
            import parameters

            wanted = parameters.read(parameters.CleanUp, event.params)
            found = changes.swept(self, everything=True, dry_run=wanted.dry_run)
            found += changes.orphaned(self, dry_run=wanted.dry_run)
            results = answers.clean_up(found, changes.latest(), dry_run=wanted.dry_run)
            reply.give(results)
            if "left" in results and not wanted.dry_run:
                left = "; ".join(results["left"].splitlines())
                reply.fail(f"not everything could be undone: {left}")

    def _on_inspection(self, event: ops.ActionEvent) -> None:
        with _answering(self, event) as reply:
            import inspections

            asked = ops.JujuContext.from_environ().action_name or ""
            reply.give(inspections.run(self, asked, event.params, reply.log))

    def _plan(self, run: str) -> "path.Plan":
        import exchange

        return exchange.Exchange(self).plan(run)

    def _tell_trial(self, reply: replies.Reply, plan: "path.Plan", found: "record.Trial") -> None:
        """Leave a trial for the coordinator, and say what it showed."""
        import answers
        import exchange

        exchange.Exchange(self).publish_trial(found)
        reply.give(answers.trial(found, self.app.name))
        if found.left:
            reply.fail(found.left)


def _left_behind(unit: str) -> int:
    """Return how many changes, other units' aside, neither an action nor a guard sees to any more."""
    from ovs_pathfinder.temporary import place

    if not place.open_entries(place.directory()):
        return 0
    from ovs_pathfinder.temporary import journal

    try:
        book = journal.Journal(unit=unit)
        others = book.others()
        return sum(bool(entry.conflict or entry.error) for entry in book.entries() if entry.unit not in others)
    except errors.PathfinderError:
        return 1


def _sweep(charm: ops.CharmBase, *, leaving: bool = False) -> list[str]:
    """Undo what earlier actions left; return sentences on what is still there."""
    from ovs_pathfinder.temporary import place

    if not place.open_entries(place.directory()):
        return []
    import changes
    from ovs_pathfinder.temporary import journal

    try:
        found = changes.swept(charm, everything=leaving, leaving=leaving)
    except journal.Busy as busy:
        return [str(busy)] if leaving else []
    except errors.PathfinderError as error:
        return [str(error)]
    for one in found:
        logger.info("swept: %s", one)
    return [str(one) for one in found if one.error or (one.entry.conflict and one.outcome is None and not one.owner)]


@contextlib.contextmanager
def _answering(charm: ops.CharmBase, event: ops.ActionEvent, *, sweep: bool = True) -> Generator[replies.Reply]:
    """Sweep first, then turn every error into one sentence: an exception would lose results and show a traceback."""
    reply = replies.Reply(event)
    try:
        for sentence in _sweep(charm) if sweep else ():
            reply.log(f"left behind by an earlier action: {sentence}")
        yield reply
    except errors.PathfinderError as error:
        reply.fail(str(error))
    except Exception as error:
        logger.exception("unexpected error in an action")
        reply.fail(
            f"ovs-pathfinder met an error of its own ({type(error).__name__}: {error}); "
            "please report it with the traceback in `juju debug-log`"
        )


if __name__ == "__main__":
    ops.main(PathfinderCharm)
