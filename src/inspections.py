"""The inspecting actions: each asks one question of `ovs_pathfinder.inspection`."""

import contextlib
import importlib
from collections.abc import Callable, Generator, Mapping
from typing import Any

import ops

import answers
import changes
import credentials
import exchange
import parameters
from ovs_pathfinder import cloud
from ovs_pathfinder.inspection import context
from ovs_pathfinder.report import view

MODULES = {
    "list-amphorae": "amphorae",
    "find-port": "ports",
    "show-tunnels": "tunnels",
    "ping": "ping",
    "check-port": "service",
    "capture": "captures",
    "trace-packet": "traces",
    "dump-flows": "flows",
    "explain-security": "security",
    "snapshot-flows": "snapshots",
    "diff-flows": "differences",
}


def run(charm: ops.CharmBase, action: str, given: Mapping[str, Any], log: Callable[[str], None]) -> dict[str, str]:
    """Ask, and return the action's results."""
    module = importlib.import_module(f"ovs_pathfinder.inspection.{MODULES[action]}")
    query = parameters.read(module.Query, given)
    return view.view(module.run(query, _context(charm, log)), query.format)


def _context(charm: ops.CharmBase, log: Callable[[str], None]) -> context.Context:
    peers = exchange.Exchange(charm)
    book = changes.book(charm)

    @contextlib.contextmanager
    def connect() -> Generator[cloud.Cloud]:
        with cloud.connect(credentials.read(charm)) as openstack:
            yield openstack

    return context.Context(
        unit=charm.unit.name,
        units=peers.units,
        connect=connect,
        plan=peers.plan,
        book=book,
        folder=book.directory,
        longest=changes.longest(charm),
        log=log,
        command=lambda unit, action, *params: answers.command([unit], action, *params),
    )
