"""Measure, and print as JSON: the charm's three actions against the same questions asked by hand.

The peer is what an operator types in a day with the manual method, run back to back by a script without a pause, in
the same lab and the same run. Machines are noisy: compare within one run.
"""

import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jubilant

from . import demo, faults, hosts, topology

ROUNDS = 3
COUNT, INTERVAL = 5, 0.2
PROBE = (COUNT - 1) * INTERVAL
"""Seconds between the first and the last packet; a broken path adds the wait for the last answer."""
ANSWER_WAIT = 1.0


def by_hand(lab: hosts.Lab) -> float:
    """Run the manual method's commands on both hosts, and return the seconds that they took."""
    source, destination = lab.hosts["octavia"], lab.hosts["compute"]
    tap = lab.shape.interfaces[1].device
    near, far = lab.shape.interfaces[0], lab.shape.interfaces[1]
    echo = "icmp6[icmp6type]=icmp6-echo" if lab.shape.ip == 6 else "icmp[icmptype]=icmp-echo"
    family, kind = ("ipv6", "icmp6,icmpv6_type=128") if lab.shape.ip == 6 else ("nw", "icmp,icmp_type=8")
    flow = (
        f"in_port=o-hm0,{kind},dl_src={near.mac},dl_dst={far.mac},"
        f"{family}_src={lab.shape.interfaces[0].address(lab.shape.ip)},{family}_dst={lab.address}"
    )
    tunnel = {"octavia": "ac1400d1", "compute": "ac14008b"}
    ping = ["ping", "-c", str(COUNT), "-i", str(INTERVAL), "-W", "1", lab.address]
    began = time.monotonic()
    _any(source, *ping)
    _any(source, "nc", "-zvw1", lab.address, str(topology.API_PORT))
    _watched(destination, ["tcpdump", "-i", tap, "-l", echo], source, ping)
    for host, key in ((destination, "compute"), (source, "octavia")):
        _any(host, "ovs-vsctl", "show")
        device = f"{lab.shape.tunnel}-{tunnel[key]}"
        _watched(host, ["ovs-tcpdump", "-i", device, "-l", echo], source, ping)
    _any(source, "ovs-ofctl", "dump-flows", "br-int")
    _any(source, "ovs-appctl", "ofproto/trace", "br-int", flow)
    capture = lab.directory / "ping.pcap"
    _watched(source, ["tcpdump", "-Z", "root", "-i", "o-hm0", "-c", "1", "-w", str(capture), echo], source, ping)
    packets = _any(source, "ovs-pcap", str(capture)).split()
    if packets:
        _any(source, "ovs-appctl", "ofproto/trace", "br-int", "in_port=o-hm0", packets[0])
    _any(source, "ovs-vsctl", "list", "interface")
    return time.monotonic() - began


def _argv(host: Any, command: tuple[str, ...] | list[str]) -> list[str]:
    return [*host.enter, "env", *(f"{key}={value}" for key, value in host.env.items()), *command]


def _any(host: Any, *command: str) -> str:
    done = subprocess.run(_argv(host, command), capture_output=True, text=True, timeout=60, check=False)
    return done.stdout


def _watched(watcher: Any, capture: list[str], sender: Any, ping: list[str]) -> None:
    """Capture on one host while another sends, and stop when it has."""
    tool = subprocess.Popen(_argv(watcher, capture), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert tool.stderr is not None
    for line in tool.stderr:
        if "listening on" in line:
            break
    _any(sender, *ping)
    tool.send_signal(2)
    try:
        tool.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        tool.kill()
        tool.communicate()


def by_charm(lab: hosts.Lab, juju: jubilant.Juju) -> dict[str, float]:
    """Plan, probe on both units at once, report; return the seconds of each, and what the units say themselves."""
    began = time.monotonic()
    params = {"source": "octavia/2", "destination": lab.address}
    plan = juju.run("ovs-pathfinder/0", "plan-path", params).results
    planned = time.monotonic()
    probe = {"run": plan["run"], "count": COUNT, "interval": INTERVAL}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        futures = [pool.submit(juju.run, unit, "probe-path", probe) for unit in plan["units"].split()]
        tasks = [future.result() for future in futures]
    probed = time.monotonic()
    report = juju.run("ovs-pathfinder/0", "path-report", {"run": plan["run"]}).results
    reported = time.monotonic()
    evidence = [json.loads(task.results["evidence"]) for task in tasks]
    sent = next(one["probe"] for one in evidence if one["probe"])
    return {
        "plan-path": planned - began,
        "probe-path": probed - planned,
        "path-report": reported - probed,
        "verdict": reported - began,
        "gather-on-source": next(one["seconds"] for one in evidence if one["probe"]),
        "packets": sent["duration"],
        "is-" + report["code"]: 1.0,
    }


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {key: round(statistics.median(run.get(key, 0.0) for run in runs), 3) for key in runs[0]}


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def dispatch_seconds(lab: hosts.Lab, model: Path) -> dict[str, float]:
    """Measure an empty hook through the charm's entry point, and the import of the charm alone."""
    environment = {**os.environ, "LAB_JUJU_MODEL": str(model)}
    fire = [str(demo.JUJU), "fire", "update-status", "ovs-pathfinder/0"]
    load = [sys.executable, "-c", "import sys; sys.path[:0] = ['lib', 'src']; import charm"]
    nothing = [sys.executable, "-c", "pass"]

    def once(command: list[str]) -> float:
        return timed(
            lambda: subprocess.run(
                command, env=environment, cwd=hosts.CHECKOUT, capture_output=True, timeout=60, check=True
            )
        )

    return {
        "stand-in and empty hook": round(statistics.median(once(fire) for _ in range(5)), 3),
        "import charm": round(statistics.median(once(load) - once(nothing) for _ in range(5)), 3),
    }


def measure(fault: str) -> dict[str, Any]:
    """Measure one fault's lab."""
    with hosts.Lab.start() as lab:
        lab.warm_up()
        faults.load(fault).inject(lab)
        model = lab.write_model(lab.directory / "model.yaml")
        os.environ["LAB_JUJU_MODEL"] = str(model)
        juju = jubilant.Juju(cli_binary=str(demo.JUJU))
        juju.status()
        charm = median([by_charm(lab, juju) for _ in range(ROUNDS)])
        hand = round(statistics.median(by_hand(lab) for _ in range(ROUNDS)), 3)
        packets = charm.pop("packets")
        return {
            "charm": charm,
            "packets": packets,
            "source besides its packets": round(charm["gather-on-source"] - packets, 3),
            "share not waiting for packets": round(1 - packets / charm["verdict"], 3),
            "by hand": hand,
            "by hand / charm": round(hand / charm["verdict"], 2),
            "entry point": dispatch_seconds(lab, model),
        }


def main() -> None:
    """Print the figures as JSON."""
    with tempfile.TemporaryDirectory(prefix="opf-bench-"):
        print(json.dumps({fault: measure(fault) for fault in ("none", "switch-disobeys")}, indent=2))


if __name__ == "__main__":
    main()
