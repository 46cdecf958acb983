"""The main job, shown: two hosts, a fault, three actions of the real charm, and the report.

python -m tests.lab.demo [--fault NAME|help] [--tunnel gre|vxlan] [--ip 4|6] [--protocol icmp|tcp|udp]
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

from . import faults, hosts, topology

JUJU = pathlib.Path(__file__).with_name("juju")


class Stopwatch:
    """Prints stages, each with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        """Print a stage."""
        print(f"[{time.monotonic() - self._start:5.1f} s] {text}", flush=True)


class Juju:
    """The operator at the keyboard: types a command, reads its answer."""

    def __init__(self, model: pathlib.Path, watch: Stopwatch) -> None:
        self._environment = {**os.environ, "LAB_JUJU_MODEL": str(model)}
        self._watch = watch

    def call(self, *arguments: str) -> str:
        """Run the stand-in for the `juju` command and return its stdout."""
        command = [str(JUJU), *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise SystemExit(f"demo: juju {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def run(self, units: str, action: str, **parameters: str) -> dict[str, dict[str, Any]]:
        """Run an action on units; return each one's results, or stop with the action's message."""
        words = [*units.split(), action, *(f"{key}={value}" for key, value in parameters.items())]
        self._watch.say(f"$ juju run {' '.join(words)}")
        answers = json.loads(self.call("run", "--format", "json", *words))
        for unit, answer in answers.items():
            if answer["status"] != "completed":
                raise SystemExit(f"demo: {action} on {unit}: {answer.get('message') or answer['status']}")
        return {unit: answer["results"] for unit, answer in answers.items()}


def show(options: argparse.Namespace) -> int:
    """Run the demo; return 0 if the report says what was injected."""
    watch = Stopwatch()
    fault = faults.load(options.fault)
    with hosts.Lab.start(tunnel=options.tunnel, ip=options.ip) as lab:
        watch.say(f"two hosts, real Open vSwitch, a {options.tunnel} tunnel with IPv{options.ip} inside")
        lab.warm_up()
        fault.inject(lab)
        watch.say(f"fault: {options.fault}: {faults.summary(options.fault)}")
        juju = Juju(lab.write_model(lab.directory / "model.yaml"), watch)
        juju.call("status")
        watch.say("the charm is deployed on both hosts")
        protocol = options.protocol or ("tcp" if "icmp" in fault.TRUTH.unless else "icmp")
        results = probe(juju, lab, protocol)
    watch.say("everything removed")
    print(f"\n{results['report']}")
    return compare(fault.TRUTH, results)


def probe(juju: Juju, lab: hosts.Lab, protocol: str) -> dict[str, Any]:
    """Plan, probe, report: what an operator does."""
    port = {"icmp": {}, "tcp": {"port": str(topology.API_PORT)}, "udp": {"port": "5555"}}[protocol]
    wanted = {"source": "octavia/2", "destination": lab.address, "protocol": protocol, **port}
    (plan,) = juju.run("ovs-pathfinder/leader", "plan-path", **wanted).values()
    for unit, found in juju.run(plan["units"], "probe-path", run=plan["run"]).items():
        print(f"          {unit}: {found['summary']}")
    (report,) = juju.run("ovs-pathfinder/leader", "path-report", run=plan["run"]).values()
    return report


def compare(truth: faults.Truth, results: dict[str, Any]) -> int:
    """Say whether the report names what was injected."""
    told = tuple(results.get(key, "") for key in ("verdict", "hop", "direction"))
    if told == (truth.verdict, truth.hop or "", truth.direction or ""):
        return 0
    print(f"demo: injected was {truth}, reported {told}", file=sys.stderr)
    return 1


def catalogue() -> None:
    """List the faults."""
    print("make demo FAULT=NAME, where NAME is one of")
    for name in faults.names():
        print(f"  {name:32}{faults.summary(name)}")


def main() -> int:
    """Parse the command line and run the demo."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.demo", description=__doc__)
    parser.add_argument("--fault", default="switch-disobeys")
    parser.add_argument("--tunnel", choices=("gre", "vxlan"), default="gre")
    parser.add_argument("--ip", type=int, choices=(4, 6), default=6)
    parser.add_argument("--protocol", choices=("icmp", "tcp", "udp"))
    options = parser.parse_args()
    if options.fault == "help":
        catalogue()
        return 0
    if options.fault not in faults.names():
        parser.error(f"there is no fault {options.fault!r}; FAULT=help lists them")
    if reason := hosts.missing():
        parser.error(reason)
    try:
        return show(options)
    except KeyboardInterrupt:
        print("\ninterrupted; everything removed", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
