"""Measure what a sweep costs the operator in time and memory, against one of a quarter of its paths; print it as JSON.

`python -m tests.lab.bench_sweep` sweeps from 3 units of Octavia to 197 compute hosts, through the real engine, with
units that answer at once: what is left is the scheduling, the reading of answers and the writing of the report. The
units are simulated in the same process, and their answers prepared before. Machines are noisy: compare ratios.
"""

import asyncio
import dataclasses
import json
import statistics
import time
import tracemalloc
from collections.abc import Mapping
from typing import Any

from ovs_pathfinder.command import engine, juju, sweep, turns
from ovs_pathfinder.report import outcome, render
from tests.unit.command import model
from tests.unit.diagnosis import build

ROUNDS = 3
SOURCES = 3
_LOST = build.World(lost_after={("forward", "source-port"): 5})
_MIB = 2**20


@dataclasses.dataclass
class Prepared(model.Model):
    """Units whose probes and reports were made before, once for all runs; every tenth path is broken."""

    _answers: dict[tuple[str, bool], dict[str, str]] = dataclasses.field(
        default_factory=dict[tuple[str, bool], dict[str, str]]
    )

    def _prepared(self, action: str, unit: str, params: Mapping[str, Any]) -> dict[str, str]:
        plan = self.plans[params["run"]]
        is_broken = plan.destination.address.endswith("0")
        if (action, is_broken) not in self._answers:
            self.worlds[plan.destination.address] = _LOST if is_broken else build.World()
            real = super()._probe_path if action == "probe-path" else super()._path_report
            made = real(plan.source.unit if action == "probe-path" else unit, params)
            self._answers[action, is_broken] = {key: text.replace(plan.run, "{run}") for key, text in made.items()}
        return {key: text.replace("{run}", plan.run) for key, text in self._answers[action, is_broken].items()}

    def _probe_path(self, unit: str, params: Mapping[str, Any]) -> dict[str, str]:
        return self._prepared("probe-path", unit, params)

    def _path_report(self, unit: str, params: Mapping[str, Any]) -> dict[str, str]:
        self._reported.add(params["run"])
        return self._prepared("path-report", unit, params)


def _sweep(units: int) -> outcome.Outcomes:
    client = Prepared(sources=SOURCES, computes=units - SOURCES)
    leader = f"{model.APPLICATION}/leader"

    async def work() -> outcome.Outcomes:
        by = engine.Engine(client, turns=turns.Turns(sweep.aliases(client.units(), leader)))
        answer: juju.Answer = await client.run(sweep.beside(client.units()), "list-amphorae", {}, within=1)
        wanted = sweep.jobs(sweep.sources(client.units(), ()), sweep.destinations(answer))
        return await sweep.Sweep(by, engine.Settings()).run(wanted)

    return asyncio.run(work())


def _seconds(units: int) -> tuple[float, float, int]:
    began = time.perf_counter()
    found = _sweep(units)
    swept = time.perf_counter()
    render.document(found, "html")
    return swept - began, time.perf_counter() - swept, len(found.paths)


def _memory(units: int) -> float:
    """Return the most MiB that a sweep and its report held at one moment."""
    tracemalloc.start()
    try:
        render.document(_sweep(units), "html")
        return tracemalloc.get_traced_memory()[1] / _MIB
    finally:
        tracemalloc.stop()


def _measure(units: int) -> dict[str, float]:
    runs = [_seconds(units) for _ in range(ROUNDS)]
    seconds, written = (statistics.median(run[at] for run in runs) for at in (0, 1))
    return {
        "units": units,
        "paths": runs[0][2],
        "seconds": round(seconds, 3),
        "milliseconds a path": round(1000 * seconds / runs[0][2], 3),
        "seconds to write the report as HTML": round(written, 3),
        "MiB at the most": round(_memory(units), 1),
    }


def measure(units: int = 200) -> dict[str, float]:
    """Measure with so many units, and with about a quarter of the paths."""
    _seconds(SOURCES + 1)  # imports
    small, large = (_measure(SOURCES + (units - SOURCES) // parts) for parts in (4, 1))
    more = large["paths"] / small["paths"]
    for name in ("seconds", "MiB at the most"):
        large[f"{name}, for {more:.1f} times the paths"] = round(large[name] / small[name], 2)
    return large


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
