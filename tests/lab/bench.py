"""Measure, and print as JSON: paths, whole flow tables, plans.

Of paths: the charm's three actions against the same questions asked by hand. The peer is what an operator types on
the two hosts in a manual investigation (without its OpenStack commands, which take some seconds each), run back to
back by a script without a pause, in the same lab and the same run. `bench_flows` and `bench_plan` tell of the others.

Machines are noisy: compare within one run. Every figure is in seconds, a median of several rounds.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

import jubilant
import yaml

from . import bench_flows, bench_plan, bench_sweep, demo, faults, hosts, topology

ROUNDS = 3
COUNT, INTERVAL = 5, 0.2
ACTIONS = ("plan-path", "probe-path", "path-report")
STOPWATCH = pathlib.Path(__file__).with_name("_stopwatch.py")


class Hand:
    """The manual investigation's commands on the two hosts."""

    def __init__(self, lab: hosts.Lab) -> None:
        self._lab = lab
        self._source, self._destination = lab.hosts["octavia"], lab.hosts["compute"]
        self._ping = ["ping", "-c", str(COUNT), "-i", str(INTERVAL), "-W", "1", lab.address]

    def investigate(self) -> float:
        """Run them one after the other, and return the seconds that they took."""
        lab, source, destination = self._lab, self._source, self._destination
        echo = "icmp6[icmp6type]=icmp6-echo"
        near, far = lab.shape.interfaces[:2]
        flow = (
            f"in_port=o-hm0,icmp6,icmpv6_type=128,dl_src={near.mac},dl_dst={far.mac},"
            f"ipv6_src={near.address6},ipv6_dst={far.address6}"
        )
        capture = lab.directory / "ping.pcap"
        began = time.monotonic()
        self._run(source, *self._ping)
        self._run(source, "nc", "-zvw1", lab.address, str(topology.API_PORT))
        self._watched(destination, "tcpdump", "-i", far.device, "-l", echo)
        for host, key in ((destination, "compute"), (source, "octavia")):
            self._run(host, "ovs-vsctl", "show")
            self._watched(host, "ovs-tcpdump", "-i", lab.tunnel_port(key), "-l", echo)
        self._run(source, "ovs-ofctl", "dump-flows", "br-int")
        self._run(source, "ovs-appctl", "ofproto/trace", "br-int", flow)
        self._watched(source, "tcpdump", "-Z", "root", "-i", "o-hm0", "-c", "1", "-w", str(capture), echo)
        for packet in self._run(source, "ovs-pcap", str(capture)).split()[:1]:
            self._run(source, "ovs-appctl", "ofproto/trace", "br-int", "in_port=o-hm0", packet)
        self._run(source, "ovs-vsctl", "list", "interface")
        return time.monotonic() - began

    @staticmethod
    def _argv(host: Any, command: tuple[str, ...] | list[str]) -> list[str]:
        return [*host.enter, "env", *(f"{key}={value}" for key, value in host.env.items()), *command]

    def _run(self, host: Any, *command: str) -> str:
        done = subprocess.run(self._argv(host, command), capture_output=True, text=True, timeout=60, check=False)
        return done.stdout

    def bypass(self) -> float:
        """Add NORMAL flows, send, and delete them again, as by hand; return how long they lived besides the packets."""
        near, peer = self._source.ofport("o-hm0"), self._source.ofport("patch-tun")
        matches = [f"table=0,priority=96,icmp6,in_port={port}" for port in (near, peer)]
        began = time.monotonic()
        for match in matches:
            self._run(self._source, "ovs-ofctl", "add-flow", "br-int", f"{match},actions=NORMAL")
        sending = time.monotonic()
        self._run(self._source, *self._ping)
        sent = time.monotonic()
        for match in matches:
            self._run(self._source, "ovs-ofctl", "--strict", "del-flows", "br-int", match)
        return time.monotonic() - began - (sent - sending)

    def _watched(self, watcher: Any, *capture: str) -> None:
        """Capture on one host while the source pings, and stop when it has."""
        tool = subprocess.Popen(
            self._argv(watcher, capture), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert tool.stderr is not None
        for line in tool.stderr:
            if "listening on" in line:
                break
        self._run(self._source, *self._ping)
        tool.send_signal(2)
        try:
            tool.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            tool.kill()
            tool.communicate()


class Charm:
    """The charm on both hosts, with a stopwatch before its entry point."""

    def __init__(self, lab: hosts.Lab) -> None:
        self._lab = lab
        self._notes = lab.directory / "stopwatch"
        model = yaml.safe_load(lab.write_model(lab.directory / "model.yaml").read_text())
        for unit in model["units"].values():
            unit["enter"] = [*unit["enter"], sys.executable, str(STOPWATCH), str(self._notes)]
        os.environ["LAB_JUJU_MODEL"] = str(lab.write_model(lab.directory / "model.yaml", units=model["units"]))
        self._juju = jubilant.Juju(cli_binary=str(demo.JUJU))
        self._juju.status()

    def investigate(self) -> dict[str, Any]:
        """Plan, probe on both units at once, report."""
        self._notes.write_text("")
        began = time.monotonic()
        ends = {"source": "octavia/2", "destination": self._lab.address}
        plan = self._juju.run("ovs-pathfinder/0", "plan-path", ends).results
        settings = {"run": plan["run"], "count": COUNT, "interval": INTERVAL}
        with concurrent.futures.ThreadPoolExecutor() as pool:
            futures = [pool.submit(self._juju.run, unit, "probe-path", settings) for unit in plan["units"].split()]
            evidence = [json.loads(future.result().results["evidence"]) for future in futures]
        report = self._juju.run("ovs-pathfinder/0", "path-report", {"run": plan["run"]}).results
        whole = time.monotonic() - began
        on_unit = self._on_units()
        packets = max(one["probe"]["duration"] for one in evidence if one["probe"])
        return {
            "code": report["code"],
            "packets": packets,
            "probe-path besides packets, library": max(one["seconds"] for one in evidence) - packets,
            **{f"{name}, whole process": on_unit[f"actions/{name}"] for name in ACTIONS},
            "verdict, actions alone": sum(on_unit[f"actions/{name}"] for name in ACTIONS),
            "verdict, with the stand-in of juju": whole,
        }

    def bypass(self) -> dict[str, float]:
        """Try NORMAL flows at the source, and return how long they lived."""
        self._notes.write_text("")
        ends = {"source": "octavia/2", "destination": self._lab.address}
        plan = self._juju.run("ovs-pathfinder/0", "plan-path", ends).results
        settings = {"run": plan["run"], "count": COUNT, "interval": INTERVAL}
        found = json.loads(self._juju.run("ovs-pathfinder/0", "try-flows", settings).results["evidence"])
        return {
            "try-flows, whole process": self._on_units()["actions/try-flows"],
            "try-flows, flows lived": found["lived"],
            "try-flows, flows lived besides its packets": found["exposure"],
        }

    def _on_units(self) -> dict[str, float]:
        longest: dict[str, float] = collections.defaultdict(float)
        for line in self._notes.read_text().splitlines():
            name, seconds = line.split()
            longest[name] = max(longest[name], float(seconds))
        return longest

    def empty_hook(self) -> float:
        """Return what an empty hook takes, from dispatch to its end."""
        self._notes.write_text("")
        for _ in range(5):
            self._juju.cli("fire", "update-status", "ovs-pathfinder/0", include_model=False)
        return statistics.median(float(line.split()[1]) for line in self._notes.read_text().splitlines())


def measure(fault: str) -> dict[str, Any]:
    """Measure one fault's lab."""
    with hosts.Lab.start() as lab:
        lab.warm_up()
        faults.load(fault).inject(lab)
        charm = Charm(lab)
        runs = [charm.investigate() for _ in range(ROUNDS)]
        (code,) = {run.pop("code") for run in runs}
        medians = {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}
        verdict = medians["verdict, actions alone"]
        hand = Hand(lab)
        by_hand = round(statistics.median(hand.investigate() for _ in range(ROUNDS)), 3)
        trials = _trials(charm, hand) if code != "path-ok" else {}
        return {
            "code": code,
            **medians,
            "share not waiting for packets": round(1 - medians["packets"] / verdict, 3),
            "by hand, without OpenStack's commands": by_hand,
            "by hand / actions alone": round(by_hand / verdict, 2),
            "empty hook, whole process": round(charm.empty_hook(), 3),
            **trials,
        }


def _trials(charm: Charm, hand: Hand) -> dict[str, float]:
    """Measure how long temporary flows live, against the same flows added and deleted by hand."""
    runs = [charm.bypass() for _ in range(ROUNDS)]
    medians = {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}
    return {**medians, "the same by hand": round(statistics.median(hand.bypass() for _ in range(ROUNDS)), 3)}


if __name__ == "__main__":
    found: dict[str, Any] = {
        "paths": {fault: measure(fault) for fault in ("none", "switch-disobeys")},
        "flow tables": bench_flows.measure(),
        "plans": bench_plan.measure(),
        "sweep": bench_sweep.measure(),
    }
    print(json.dumps(found, indent=2))
