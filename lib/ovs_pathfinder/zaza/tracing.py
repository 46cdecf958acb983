"""Paths traced for a suite of tests, and what is written of them."""

import dataclasses
import logging
import pathlib
from collections.abc import Sequence

from .. import errors, text
from ..command import engine, juju, keeping, sweep
from ..report import outcome, render
from . import client as client_
from . import options as options_


@dataclasses.dataclass(frozen=True)
class Traced:
    """What became of some paths."""

    found: outcome.Outcomes
    captures: tuple[pathlib.Path, ...]


async def trace(options: options_.Options) -> Traced:
    """Trace from all sources to all destinations, and write the captured packets.

    Raises:
        PathfinderError: No path is to be traced.
    """
    client = client_.Client(options.application)
    captures = keeping.Captures(options.folder / "captures")
    by = engine.Engine(client, options.application, keep=captures.keep)
    units = await client.units()
    if not units:
        raise errors.PathfinderError(
            f"the application {options.application} has no units; add ovs_pathfinder.zaza.deploy to configure in "
            "tests.yaml"
        )
    by.turns.aliases = sweep.aliases(units, by.leader)
    jobs = await _jobs(options, by, units)
    found = await sweep.Sweep(by, options.settings, options.at_once).run(jobs)
    return Traced(found, tuple(captures.files))


async def _jobs(options: options_.Options, by: engine.Engine, units: Sequence[juju.Unit]) -> list[sweep.Job]:
    """Pair sources and destinations; Octavia is asked for its amphorae only where none is named."""
    known = {one.principal: one.name for one in units}
    sources = options.sources or tuple(one.principal for one in sweep.sources(units, ()))
    ports = [sweep.Port(one) for one in options.destinations]
    if not ports:
        answer = await by.client.run(
            sweep.beside(units), "list-amphorae", {"limit": sweep.LISTED, "format": "json"}, within=sweep.LIST
        )
        ports = sweep.destinations(answer)
        for note in sweep.notes(answer):
            logging.warning("%s", text.plain(note))
    if not ports:
        raise errors.PathfinderError(
            "there is no amphora to trace to; make a load balancer before, or name destinations in tests_options: "
            f"{options_.NAME}.destinations"
        )
    return [
        sweep.Job(engine.Pair(source, port.name, port.note), known.get(source, ""), port.unit)
        for port in ports
        for source in sources
    ]


def write(found: outcome.Outcomes, file: pathlib.Path) -> pathlib.Path:
    """Write a report for people, programs and browsers: `.txt`, `.json`, `.html`; return the last.

    Raises:
        PathfinderError: It cannot be written.
    """
    forms: dict[str, render.Form] = {".txt": "text", ".json": "json", ".html": "html"}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for suffix, form in forms.items():
            file.with_name(file.name + suffix).write_text(render.document(found, form), encoding="utf-8")
    except OSError as error:
        raise errors.PathfinderError(
            f"reports cannot be written into {file.parent} ({error.strerror}); set tests_options: "
            f"{options_.NAME}.log-dir to a folder that can be"
        ) from error
    return file.with_name(f"{file.name}.html")
