"""Temporary changes: the trials, an operator's own flows, and the undoing of what was left behind."""

from collections.abc import Callable

import ops

import credentials
import parameters
from ovs_pathfinder import cloud, errors, path
from ovs_pathfinder.evidence import probe, record, trial
from ovs_pathfinder.temporary import injection, journal, protocol, sweep
from ovs_pathfinder.vswitch import database

Log = Callable[[str], None]


def book(charm: ops.CharmBase) -> journal.Journal:
    """Return the host's journal, for what this unit makes."""
    return journal.Journal(unit=charm.unit.name)


def longest(charm: ops.CharmBase) -> int:
    """Return for how many seconds a change may live, as configured."""
    return parameters.read(parameters.Configuration, charm.config).max_change_duration


def swept(
    charm: ops.CharmBase, *, everything: bool = False, leaving: bool = False, dry_run: bool = False
) -> list[sweep.Found]:
    """Undo what is left of earlier actions; port security too, where the credentials for it are there."""
    return sweep.sweep(book(charm), _credentials(charm), everything=everything, leaving=leaving, dry_run=dry_run)


def orphaned(charm: ops.CharmBase, *, dry_run: bool) -> list[sweep.Found]:
    """Undo what is unmistakably this charm's own, though no journal knows it."""
    return sweep.orphans(book(charm), dry_run=dry_run)


def _credentials(charm: ops.CharmBase) -> cloud.Credentials | None:
    try:
        return credentials.read(charm)
    except errors.PathfinderError:
        return None


def try_flows(charm: ops.CharmBase, plan: path.Plan, wanted: parameters.TryFlows, log: Log) -> record.Trial:
    """Make the trial with NORMAL flows."""
    return trial.try_flows(
        plan,
        charm.unit.name,
        _settings(wanted),
        at=wanted.at,
        wait=wanted.wait,
        book=book(charm),
        longest=longest(charm),
        log=log,
    )


def try_port_security(
    charm: ops.CharmBase, plan: path.Plan, wanted: parameters.TryPortSecurity, log: Log
) -> record.Trial:
    """Make the trial without port security."""
    return trial.try_port_security(
        plan,
        charm.unit.name,
        _settings(wanted),
        of=wanted.port,
        settle=wanted.settle,
        credentials=credentials.read(charm),
        book=book(charm),
        longest=longest(charm),
        log=log,
    )


def _settings(wanted: parameters.TryFlows | parameters.TryPortSecurity) -> probe.Settings:
    return probe.Settings(count=wanted.count, interval=wanted.interval, size=wanted.size)


def inject(charm: ops.CharmBase, plan: path.Plan | None, wanted: parameters.InjectFlows) -> journal.Entry:
    """Add an operator's own flows for the stated time."""
    limit = longest(charm)
    if wanted.duration > limit:
        raise errors.PathfinderError(
            f"the flows cannot stay for {wanted.duration} s: max-change-duration allows {limit} s; ask for less, or "
            "raise it with juju config"
        )
    kind = injection.prepare(wanted.flows, wanted.bridge, database.read(), plan, allow_broad=wanted.allow_broad)
    run = plan.run if plan else ""
    return protocol.leave(book(charm), kind, seconds=wanted.duration, action="inject-flows", run=run)


_BY = {"action": "its action", "guard": "its guard", "sweep": "a sweep"}


def latest() -> str:
    """Say what was undone last, and by whom; empty where nothing ever was."""
    closed = journal.Journal().closed()[:1]
    return "".join(
        f"{one} — closed {one.closed} by {_BY[one.by or 'sweep']}: {one.outcome.text if one.outcome else ''}"
        for one in closed
    )
