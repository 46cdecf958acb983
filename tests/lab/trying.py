"""The trial with flows on the hosts of a lab, without Juju: for shapes of the lab and for two trials at once.

`python -m tests.lab.trying` reads what to try as JSON on stdin, and prints the trial's record or, as a JSON string, why
there is none; it is what runs in a host's namespaces.
"""

import json
import subprocess
import sys
from typing import Any

from ovs_pathfinder import errors, path
from ovs_pathfinder.evidence import probe, record, trial
from ovs_pathfinder.temporary import journal
from tests.lab import hosts, probing

LIMIT = 90.0
Found = record.Trial | str
"""A trial's record, or the sentence that refuses it."""


def start(lab: hosts.Lab, key: str, plan: path.Plan, at: path.Role = "source", **more: Any) -> "subprocess.Popen[str]":
    """Start a trial on one host.

    Args:
        lab: the lab.
        key: the host's.
        plan: the path.
        at: the end whose switch gets the flows.
        more: settings, a dictionary; wait, in seconds; longest, in seconds.

    """
    given: dict[str, Any] = {"settings": {}, "wait": 5.0, "longest": 300.0, **more}
    given |= {"plan": plan.model_dump(mode="json"), "unit": probing.UNITS[key][0], "at": at}
    host = lab.hosts[key]
    environment = [f"{name}={value}" for name, value in host.env.items()]
    running = subprocess.Popen(
        [*host.enter, "env", *environment, sys.executable, "-m", "tests.lab.trying"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=hosts.CHECKOUT,
        env={"PYTHONPATH": "lib:src:.", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    assert running.stdin is not None
    running.stdin.write(json.dumps(given))
    running.stdin.close()
    running.stdin = None
    return running


def finish(running: "subprocess.Popen[str]") -> Found:
    """Wait for a trial's end."""
    found = json.loads(running.communicate(timeout=LIMIT)[0])
    return found if isinstance(found, str) else record.Trial.model_validate_json(json.dumps(found))


def run(lab: hosts.Lab, plan: path.Plan, at: path.Role = "source", **more: Any) -> list[record.Trial]:
    """Make a trial on all hosts that it takes; return the records."""
    keys = ["octavia", "compute"] if at == "destination" and not plan.same_host else ["octavia"]
    found = [finish(one) for one in [start(lab, key, plan, at, **more) for key in keys]]
    assert all(isinstance(one, record.Trial) for one in found), found
    return [one for one in found if isinstance(one, record.Trial)]


def main() -> None:
    """Make one trial."""
    given = json.load(sys.stdin)
    plan = path.Plan.model_validate_json(json.dumps(given["plan"]))
    settings = probe.Settings.model_validate(given["settings"])
    limits = {name: given[name] for name in ("at", "wait", "longest")}
    try:
        found = trial.try_flows(plan, given["unit"], settings, book=journal.Journal(), **limits)
    except errors.PathfinderError as error:
        print(json.dumps(str(error)))
    else:
        print(found.model_dump_json())


if __name__ == "__main__":
    main()
