"""Measure what is done with whole flow tables, and print it as JSON: against ovs-ofctl and grep, in the same run.

`python -m tests.lab.bench_flows` installs 100,000 flows in Neutron's shape on a switch of its own and asks: how long do
snapshot-flows, diff-flows and dump-flows take, each in a process of its own, and the same by hand? Machines are noisy:
compare ratios, which are of runs one after the other. Each figure is a median of several rounds.
"""

import dataclasses
import json
import os
import pathlib
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.lab import agent, hosts
from tests.unit.vswitch import private

ROUNDS = 3
MODULES = {"snapshot-flows": "snapshots", "diff-flows": "differences", "dump-flows": "flows"}
_COOKIE = 0xDD425F3D4D56904E
_RULES_OF_A_PORT = 130
_FLOWS_OF_A_PORT = 340
_PORTS_OF_A_NETWORK = 10
_GROUP, _REMOTE = "7739e40f-679c-4d9f-ac84-c99d700399d8", "c01a6b7c-55e6-49ba-a141-d67401c42b6d"
_MIB = 1024
"""KiB in one, as /proc counts; `ru_maxrss` would be at least what the process held that started it."""
_ACT = """
import importlib, json, pathlib, sys
from ovs_pathfinder.inspection import context
from ovs_pathfinder.temporary import journal
folder = pathlib.Path(sys.argv[2])
about = context.Context(
    unit="ovs-pathfinder/0", units=list, connect=None, plan=None, book=journal.Journal(folder), folder=folder,
    longest=300, log=str, command=lambda *words: " ".join(("juju run", *words)),
)
module = importlib.import_module(f"ovs_pathfinder.inspection.{sys.argv[1]}")
module.run(module.Query.model_validate(json.loads(sys.argv[3])), about)
(held,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(held.split()[1])
"""
"""Runs an action as the charm would, but for Juju and the cloud, which it does not need."""


def measure(flows: int = 100_000) -> dict[str, Any]:
    """Measure on a switch with about so many flows, and on one with a tenth of them."""
    small, large = (_measure(count) for count in (flows // 10, flows))
    for action in MODULES:
        for unit in ("seconds", "processor seconds"):
            large[action][f"{unit}, for 10 times the flows"] = round(large[action][unit] / small[action][unit], 2)
    return large


def _measure(flows: int) -> dict[str, Any]:
    with private.running() as place, tempfile.TemporaryDirectory(prefix="opf-bench-") as folder:
        return _Bench(place, pathlib.Path(folder), flows).measure()


@dataclasses.dataclass(frozen=True)
class _Used:
    """What a process and those that it waited for have used."""

    seconds: float
    processor: float
    """Seconds of processors."""
    said: str
    """What it printed."""


def _use(argv: Sequence[str], environment: Mapping[str, str]) -> _Used:
    began = time.monotonic()
    child = subprocess.Popen(
        argv, env=environment, cwd=hosts.CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed with {child.returncode}")
    return _Used(seconds, used.ru_utime + used.ru_stime, said)


class _Bench:
    """One switch, and a folder for snapshots."""

    def __init__(self, place: pathlib.Path, folder: pathlib.Path, flows: int) -> None:
        self._environment = {**os.environ, "OVS_RUNDIR": str(place), "PYTHONPATH": "lib:src:."}
        self._folder = folder
        ports = [_wired(number) for number in range(max(1, flows // _FLOWS_OF_A_PORT))]
        _plug(ports)
        table = agent.br_int(ports, _rules(), _COOKIE, {_REMOTE: [f"10.9.{one}.0/24" for one in range(20)]})
        self._install("add-flows", table)
        self._flows = table.count("\n")

    def measure(self) -> dict[str, Any]:
        """Measure all three actions; the dumps to compare differ in ten flows."""
        by_hand = self._folder / "by-hand"
        taken = self._compared(
            "snapshot-flows",
            {"label": "before"},
            ("ovs-ofctl dump-flows br-int > FILE", f"ovs-ofctl dump-flows br-int > {by_hand}"),
        )
        self._install("add-flows", "".join(f"table=0,priority={one},ip,actions=drop\n" for one in range(90, 100)))
        self._run("snapshot-flows", {"label": "after"})
        first, second = (self._cut(label) for label in ("before", "after"))
        compared = self._compared(
            "diff-flows",
            {"before": "before", "after": "after"},
            ("ovs-ofctl diff-flows FILE FILE", f"ovs-ofctl -O OpenFlow14 diff-flows {first} {second} | wc -l"),
        )
        dumped = self._compared(
            "dump-flows",
            {},
            (
                "ovs-ofctl dump-flows br-int | grep -v n_packets=0",
                "ovs-ofctl dump-flows br-int | grep -v n_packets=0 | wc -l",
            ),
        )
        moved = self._folder / "snapshots" / "20300101t000000z-ovs-pathfinder-0+moved.flows"
        moved.write_text(_renumbered(self._snapshot("after").read_text()))
        others = {"before": "after", "after": "moved"}
        compared["seconds with all ports, VLANs and cookies others"] = self._median(others)
        compared["seconds with the live switch"] = self._median({"before": "before"})
        return {"flows": self._flows, "snapshot-flows": taken, "diff-flows": compared, "dump-flows": dumped}

    def _compared(self, action: str, given: Mapping[str, Any], hand: tuple[str, str]) -> dict[str, Any]:
        name, command = hand
        ours: list[_Used] = []
        by_hand: list[_Used] = []
        for _ in range(ROUNDS):
            by_hand.append(_use(["sh", "-c", command], self._environment))
            ours.append(self._run(action, given))
        seconds, peer = (statistics.median(one.seconds for one in runs) for runs in (ours, by_hand))
        work, peers_work = (statistics.median(one.processor for one in runs) for runs in (ours, by_hand))
        return {
            "seconds": round(seconds, 3),
            name: round(peer, 3),
            "ratio": round(statistics.median(a.seconds / b.seconds for a, b in zip(ours, by_hand, strict=True)), 2),
            "processor seconds": round(work, 3),
            "processor seconds by hand": round(peers_work, 3),
            "MiB at most": round(max(int(one.said) for one in ours) / _MIB),
        }

    def _median(self, given: Mapping[str, Any]) -> float:
        return round(statistics.median(self._run("diff-flows", given).seconds for _ in range(ROUNDS)), 3)

    def _run(self, action: str, given: Mapping[str, Any]) -> "_Used":
        """Run an action in a process of its own."""
        argv = [sys.executable, "-c", _ACT, MODULES[action], str(self._folder), json.dumps(given)]
        return _use(argv, self._environment)

    def _install(self, command: str, flows: str) -> None:
        ofctl = ["ovs-ofctl", "-O", "OpenFlow14", "--bundle", command, "br-int", "-"]
        subprocess.run(ofctl, input=flows, text=True, env=self._environment, check=True, stderr=subprocess.DEVNULL)

    def _snapshot(self, label: str) -> pathlib.Path:
        return max(self._folder.glob(f"snapshots/*+{label}*.flows"))

    def _cut(self, label: str) -> str:
        """Cut the flows out of a snapshot as ovs-ofctl reads them: it prints icmp_type for ICMPv6, and refuses it."""
        file = self._folder / f"{label}.txt"
        lines = (line for line in self._snapshot(label).read_text().splitlines() if not line.startswith("#"))
        file.write_text("".join(re.sub(r"(icmp6.*?)icmp_type=", r"\1icmpv6_type=", line) + "\n" for line in lines))
        return shlex.quote(str(file))


def _wired(number: int) -> agent.Wired:
    low = f"{number >> 8 & 255:02x}:{number & 255:02x}"
    port = {
        "mac_address": f"fa:16:3e:00:{low}",
        "fixed_ips": [{"ip_address": f"10.0.{number >> 8}.{number & 255}"}, {"ip_address": f"fd00::{number + 1:x}"}],
        "port_security_enabled": True,
        "admin_state_up": True,
        "security_groups": [_GROUP],
    }
    return agent.Wired(port, number + 2, number // _PORTS_OF_A_NETWORK + 1, f"fe80::{number + 1:x}")


def _rules() -> list[dict[str, Any]]:
    return [_rule(number) for number in range(_RULES_OF_A_PORT)]


def _rule(number: int) -> dict[str, Any]:
    return {
        "id": f"rule-{number}",
        "security_group_id": _GROUP,
        "direction": "ingress" if number % 4 else "egress",
        "ethertype": "IPv4" if number % 2 else "IPv6",
        "protocol": "tcp",
        "port_range_min": 1000 + number,
        "port_range_max": 1000 + number,
        "remote_ip_prefix": None,
        "normalized_cidr": None,
        "remote_group_id": _REMOTE if number % 16 == 5 else None,
    }


def _plug(ports: Sequence[agent.Wired]) -> None:
    lines = ["add-br br-int", "set Bridge br-int datapath_type=dummy fail_mode=secure"]
    for wired in ports:
        name, mac = f"tap{wired.ofport:08x}-aa", wired.port["mac_address"]
        ids = f"external_ids:iface-id={wired.ofport:08x}-aaaa external_ids:attached-mac={mac}"
        known = f"other_config:network_type=gre other_config:segmentation_id={1000 + wired.vlan}"
        lines += [
            f"add-port br-int {name} tag={wired.vlan}",
            f"set Interface {name} type=dummy ofport_request={wired.ofport} {ids}",
            f"set Port {name} {known} other_config:tag={wired.vlan}",
        ]
    private.configure(" -- ".join(lines))


def _renumbered(text: str) -> str:
    """Give each port, VLAN and conjunction of a snapshot another number, and each flow another cookie."""
    port = r"(in_port=|output:|\"ofport\":)(\d+)"
    text = re.sub(port, lambda found: f"{found[1]}{int(found[2]) + 7}", text)
    text = re.sub(r"reg5=0x([0-9a-f]+)|0x([0-9a-f]+)->reg5", _shifted(7), text)
    text = re.sub(r"reg6=0x([0-9a-f]+)|0x([0-9a-f]+)->reg6", _shifted(3), text)
    text = re.sub(r"(dl_vlan=|ct_zone=|\"tag\":\"?)(\d+)", _vlan, text)
    return text.replace(f"cookie={_COOKIE:#x}", "cookie=0x1234567890abcdef")


def _vlan(found: re.Match[str]) -> str:
    return found[0] if found[2] == "4095" else f"{found[1]}{int(found[2]) + 3}"


def _shifted(by: int) -> Callable[[re.Match[str]], str]:
    def shift(found: re.Match[str]) -> str:
        number = found[1] or found[2]
        return found[0].replace(f"0x{number}", f"{int(number, 16) + by:#x}")

    return shift


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=2))
