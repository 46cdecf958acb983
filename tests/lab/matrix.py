"""Every fault in every setting that it applies to, held against the truth; or healthy paths, of which none is accused.

python -m tests.lab.matrix [--fault NAME] [--healthy N]
"""

import argparse
import concurrent.futures
import ctypes
import dataclasses
import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import verdict

from . import faults, healthy, hosts, probing, topology

PORTS: dict[path.Protocol, int | None] = {"icmp": None, "tcp": topology.API_PORT, "udp": topology.HEARTBEAT_PORT}
_LABS = 2
"""How many run at a time."""
_RIGHT_PLACES, _RIGHT_CODES = 1.0, 0.95
_PR_SET_PDEATHSIG = 1

One = TypeVar("One")
Answer = TypeVar("Answer")


@dataclasses.dataclass(frozen=True)
class Setting:
    """A shape of the lab, and what is sent through it."""

    tunnel: topology.NetworkType = "gre"
    ip: topology.IpVersion = 6
    l2population: bool = True
    same_host: bool = False
    protocol: path.Protocol = "icmp"
    cold: bool = False
    bond: bool = False
    protocols: str = topology.AGENTS_PROTOCOLS

    @property
    def is_tunnelled(self) -> bool:
        """Whether packets travel in tunnels between the hosts."""
        return self.tunnel not in ("vlan", "flat")

    @property
    def words(self) -> set[str]:
        """What can be said of it; a truth may not hold for some of that."""
        population = set[str]() if self.l2population else {"no-l2pop"}
        way: faults.Word = "tunnelled" if self.is_tunnelled else "physical"
        bond: faults.Word = "bond" if self.bond else "single"
        return {self.tunnel, f"ip{self.ip}", self.protocol, "cold" if self.cold else "warm", way, bond, *population}

    @property
    def shape(self) -> dict[str, Any]:
        """The lab's part of it."""
        return {
            "tunnel": self.tunnel,
            "ip": self.ip,
            "l2population": self.l2population,
            "same_host": self.same_host,
            "bond": self.bond,
            "protocols": self.protocols,
        }

    def __str__(self) -> str:
        words = [self.tunnel, f"ip{self.ip}", self.protocol]
        words += ["no-l2pop"] if not self.l2population else []
        words += ["same-host"] if self.same_host else []
        words += ["bond"] if self.bond else []
        words += ["no-of10"] if self.protocols != topology.AGENTS_PROTOCOLS else []
        return "-".join([*words, "cold"] if self.cold else words)


SETTINGS = (
    Setting(),
    Setting(tunnel="vxlan", ip=4, l2population=False, cold=True),
    Setting(tunnel="vxlan", protocol="tcp", protocols="OpenFlow13,OpenFlow14"),
    Setting(same_host=True, protocols="OpenFlow13"),
    Setting(tunnel="vlan", ip=4),
    Setting(tunnel="flat", protocol="tcp"),
)


BONDED = Setting(tunnel="vlan", bond=True)
"""The charm's default with DPDK; for the faults that ask for it."""


def settings_of(fault: str) -> list[Setting]:
    """Return the settings in which a fault does what its truth says."""
    truth = faults.load(fault).TRUTH
    known = (*SETTINGS, BONDED) if truth.bond else SETTINGS
    fitting = [one for one in known if truth.one_host or not one.same_host]
    return [one for one in fitting if not one.words & {*truth.unless}]


def one_each() -> dict[str, Setting]:
    """Return one setting for each fault, spread over those that there are."""
    found: dict[str, Setting] = {}
    for number, fault in enumerate(faults.names()):
        fitting = settings_of(fault)
        found[fault] = fitting[number % len(fitting)]
    return found


@dataclasses.dataclass(frozen=True)
class Case:
    """A fault in a setting."""

    fault: str
    setting: Setting


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a case."""

    case: Case
    place_is_right: bool = False
    code_is_right: bool = False
    """Including that a second fault is not denied."""
    certainty: str = ""
    seconds: float = 0.0
    """From the probe's start to the verdict."""
    told: str = ""
    """Verdict, hop, direction and code."""
    wanted: str = ""
    summary: str = ""

    @property
    def is_right(self) -> bool:
        """Whether all is."""
        return self.place_is_right and self.code_is_right

    @property
    def is_wrongly_proven(self) -> bool:
        """Whether the diagnosis calls proven what is not so."""
        return self.certainty == "proven" and not self.is_right

    def __str__(self) -> str:
        marks = [_mark(self.place_is_right), _mark(self.code_is_right)]
        line = f"{self.case.fault:40} {self.case.setting!s:32} {marks[0]:6} {marks[1]:6} {self.certainty:9}"
        line += f"{self.seconds:6.1f}"
        if not self.is_right:
            line += f"\n    wanted  {self.wanted}\n    told    {self.told}\n    {self.summary}"
        return line


def _mark(right: bool) -> str:
    return "right" if right else "WRONG"


def run(case: Case) -> Result:
    """Start a lab, break it, probe it, and hold the diagnosis against the truth."""
    try:
        with hosts.Lab.start(cloud=False, **case.setting.shape) as lab:
            lab.warm_up()
            started, found = probe(lab, case)
    except (AssertionError, OSError, RuntimeError, ValueError) as error:
        return Result(case, wanted="a diagnosis", told="none", summary=f"{type(error).__name__}: {error}")
    return judge(case, found, time.monotonic() - started)


def probe(lab: hosts.Lab, case: Case) -> tuple[float, verdict.Diagnosis]:
    """Break a healthy lab and diagnose its path; return when the probe began, too."""
    faults.load(case.fault).inject(lab)
    if case.setting.cold:
        lab.forget_neighbours()
    plan = probing.plan_of(lab, case.setting.protocol, PORTS[case.setting.protocol])
    started = time.monotonic()
    return started, probing.diagnosis(lab, plan)


def judge(case: Case, found: verdict.Diagnosis, seconds: float = 0.0) -> Result:
    """Hold a diagnosis against the truth."""
    truth = faults.load(case.fault).TRUTH
    is_cold = case.setting.cold or found.carrier == "neighbour"  # on a slow machine an entry may have gone stale
    place = (truth.verdict, *truth.place(cold=is_cold, physical=not case.setting.is_tunnelled))
    codes = truth.codes(case.setting.protocol)
    later = truth.later(physical=not case.setting.is_tunnelled)
    second = f", then {later.code} at {later.hop}" if later else ""
    return Result(
        case,
        place_is_right=(found.verdict, found.hop, found.direction) == place,
        code_is_right=found.code in codes and not (later and _is_denied(later, found)),
        certainty=found.certainty,
        seconds=seconds,
        told=" ".join(str(one) for one in (found.verdict, found.hop, found.direction, found.code))
        + "".join(f", then {one.code} at {one.hop}" for one in found.findings[1:]),
        wanted=" ".join(str(one) for one in (*place, " or ".join(codes))) + second,
        summary=found.summary,
    )


def _is_denied(second: faults.Second, found: verdict.Diagnosis) -> bool:
    """Whether the further findings leave a second fault out that must be told, or put another in its place."""
    later = found.findings[1:]
    if any((one.code, one.hop) == (second.code, second.hop) for one in later):
        return False
    return second.told or any((one.hop, one.direction) == (second.hop, second.direction) for one in later)


def side_by_side(work: Callable[[One], Answer], items: Iterable[One]) -> Iterator[Answer]:
    """Do the work, two items at a time, each in a process of its own, and yield what is done."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(_LABS, context, _end_with_parent) as pool:
        waiting = iter(items)
        running = {pool.submit(_work, work, one) for one in itertools.islice(waiting, _LABS)}
        try:
            while running:
                done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                running |= {pool.submit(_work, work, one) for one in itertools.islice(waiting, len(done))}
                for one in done:
                    yield one.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Let this process leave its lab, and so end it, by any signal and when the one that started it has died."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _work(work: Callable[[One], Answer], one: One) -> Answer:
    """Do one item's work; a process that was told to end takes no other, as the pool would have it."""
    try:
        return work(one)
    except SystemExit:
        os._exit(130)


def _leave(*_: object) -> None:
    raise SystemExit(130)


def show_faults(names: Sequence[str]) -> int:
    """Run faults, print a table, and return the exit status."""
    cases = [Case(name, setting) for name in names for setting in settings_of(name)]
    print(f"{'fault':40} {'setting':32} {'place':6} {'code':6} {'certainty':9}{'s':>6}")
    results: list[Result] = []
    for one in side_by_side(run, cases):
        results.append(one)
        print(one, flush=True)
    return _total(results)


def _total(results: Sequence[Result]) -> int:
    places = sum(one.place_is_right for one in results) / len(results)
    codes = sum(one.code_is_right for one in results) / len(results)
    proven = sum(one.is_wrongly_proven for one in results)
    faults_ = len({one.case.fault for one in results})
    print(
        f"\n{faults_} faults, {len(results)} cases: hop and direction right in {places:.1%}, code in {codes:.1%}; "
        f"wrong and called proven: {proven}; slowest verdict: {max(one.seconds for one in results):.1f} s"
    )
    return int(places < _RIGHT_PLACES or codes < _RIGHT_CODES or proven > 0)


def show_healthy(count: int) -> int:
    """Run healthy paths, print each that is accused, and return the exit status."""
    accused = runs = 0
    began = time.monotonic()
    for labs, batch in enumerate(side_by_side(healthy.run, healthy.batches(count)), start=1):
        for one in batch:
            runs += 1
            accused += not one.is_fine
            if not one.is_fine:
                print(f"\naccused: {one.name}\n{one.found}", flush=True)
        print(f"{runs} runs in {labs} labs, {accused} accused, {time.monotonic() - began:.0f} s", flush=True)
    print(f"clocks differed by up to {max(healthy.SKEWS)} s in the evidence: `started` was shifted, no clock was set")
    return int(accused > 0)


def main() -> int:
    """Parse the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.matrix", description=__doc__)
    parser.add_argument("--fault", choices=faults.names(), metavar="NAME", help="this one alone")
    parser.add_argument("--healthy", type=int, metavar="N", help="N runs on healthy paths instead")
    options = parser.parse_args()
    if reason := hosts.missing():
        parser.error(reason)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.healthy:
            return show_healthy(options.healthy)
        return show_faults([options.fault] if options.fault else faults.names())
    except (KeyboardInterrupt, SystemExit, concurrent.futures.BrokenExecutor):
        print("\ninterrupted; the labs are removed", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
