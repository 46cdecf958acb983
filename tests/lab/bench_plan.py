"""Measure what a plan costs in clouds of 10 and of 50,000 ports, and print it as JSON.

`python -m tests.lab.bench_plan` serves both from a process of its own. `plan besides the API` is the time from the
start of signing in to the plan, less that in which the services were answering something. Each figure is a median.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from tests.lab.cloud import server
from tests.unit.cloud import sky

ROUNDS = 5
SIZES = (10, 50_000)
_PLAN = """
import json, sys, time
from ovs_pathfinder import cloud, path
given = json.loads(sys.stdin.read())
units = [path.Unit.model_validate_json(json.dumps(unit)) for unit in given["units"]]
began = time.monotonic()
with cloud.connect(cloud.Credentials.model_validate(given["credentials"])) as openstack:
    cloud.make_plan(openstack, units=units, run=given["run"], created="now", **given["ends"])
print(time.monotonic() - began)
"""


def measure() -> dict[str, Any]:
    """Plan the path to an amphora in clouds of both sizes."""
    return {f"{size} ports": _measure(size) for size in SIZES}


def _measure(size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="opf-bench-") as folder:
        file = pathlib.Path(folder) / "cloud.json"
        file.write_text(json.dumps(_cloud(size)))
        with server.Server(file) as stand_in:
            here = sky.Sky(stand_in, file)
            rounds = [_round(here) for _ in range(ROUNDS + 1)][1:]  # the first one also reads the description
            return {name: round(statistics.median(one[name] for one in rounds), 3) for name in rounds[0]}


def _round(here: sky.Sky) -> dict[str, float]:
    here.stand_in.requests.clear()
    here.stand_in.busy.clear()
    credentials = here.credentials()
    given = {
        "credentials": {**credentials.model_dump(), "password": credentials.password.get_secret_value()},
        "units": [unit.model_dump(mode="json") for unit in sky.UNITS],
        "run": sky.RUN,
        "ends": {"source": "octavia/2", "destination": sky.AMPHORA},
    }
    command = [sys.executable, "-W", "ignore", "-c", _PLAN]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=120, check=True)
    whole, api = float(done.stdout), _union(here.stand_in.busy)
    return {
        "requests": len(here.stand_in.requests),
        "plan": whole,
        "API": api,
        "plan besides the API": whole - api,
    }


def _cloud(size: int) -> dict[str, Any]:
    content = sky.describe()
    content["ports"] += [
        sky.port(f"{number:08x}-0000-4000-8000-00000000000c", name=f"crowd-{number}", security_groups=["g"])
        | {"fixed_ips": [sky.fixed(f"fc00:5896:ff23:44dc::{number:x}")]}
        for number in range(size - len(content["ports"]))
    ]
    return content


def _union(spans: list[tuple[float, float]]) -> float:
    """Return for how long at least one of them lasted."""
    total, until = 0.0, 0.0
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
