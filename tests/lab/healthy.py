"""Healthy paths under load: labs of all shapes, traffic of others, flows that come and go, clocks that differ."""

import concurrent.futures
import contextlib
import dataclasses
import datetime
import itertools
import pathlib
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose
from ovs_pathfinder.evidence import record

from . import hosts, node, probing, topology

SKEWS = (0, 300, -300, 90, -7)
"""Seconds by which the clock of the destination's host differs."""
_PROTOCOLS: tuple[tuple[path.Protocol, int | None], ...] = (
    ("icmp", None),
    ("tcp", topology.API_PORT),
    ("udp", topology.HEARTBEAT_PORT),
)
_RUNS = 8
"""In one lab."""
_CHATTER = str(pathlib.Path(__file__).with_name("_chatter.py"))
_PAUSE = 0.2
"""Seconds between two changes of flows."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One probe: what is sent, whether neighbours are unknown, and how the clocks differ."""

    protocol: path.Protocol
    port: int | None
    cold: bool
    skew: int

    def __str__(self) -> str:
        return f"{self.protocol}, {'cold' if self.cold else 'warm'}, clocks {self.skew:+} s apart"


@dataclasses.dataclass(frozen=True)
class Batch:
    """What is run in one lab."""

    shape: tuple[tuple[str, Any], ...]
    runs: tuple[Run, ...]


@dataclasses.dataclass(frozen=True)
class Result:
    """What was said of a run."""

    name: str
    is_fine: bool
    found: str
    """The whole diagnosis, as JSON, or what went wrong."""


def batches(count: int) -> Iterator[Batch]:
    """Spread `count` runs over labs of all shapes."""
    shapes = itertools.cycle(itertools.product((False, True), (6, 4), ("gre", "vxlan"), (True, False)))
    runs = [
        Run(*_PROTOCOLS[number % 3], cold=number % 4 > 1, skew=SKEWS[number % len(SKEWS)]) for number in range(count)
    ]
    for start in range(0, count, _RUNS):
        names = ("same_host", "ip", "tunnel", "l2population")
        shape = tuple(zip(names, next(shapes), strict=True))
        # One lab in three has bridges without OpenFlow 1.0.
        shape += (("protocols", "OpenFlow13,OpenFlow14"),) if start // _RUNS % 3 == 1 else ()
        yield Batch(shape, tuple(runs[start : start + _RUNS]))


def run(batch: Batch) -> list[Result]:
    """Probe the healthy path of one lab again and again, while much else goes on."""
    words = ", ".join(f"{name}={value}" for name, value in batch.shape)
    try:
        with hosts.Lab.start(cloud=False, guests=2, **dict(batch.shape)) as lab:
            _let_datagrams_in(lab)
            lab.warm_up()
            _chat(lab)
            with _churning(lab):
                return [_probe(lab, words, one) for one in batch.runs]
    except (AssertionError, OSError, RuntimeError) as error:
        return [Result(words, is_fine=False, found=f"the lab failed: {error}")]


def _probe(lab: hosts.Lab, words: str, one: Run) -> Result:
    if one.cold:
        lab.forget_neighbours()
    plan = probing.plan_of(lab, one.protocol, one.port)
    found = diagnose.diagnose(plan, _skewed(probing.gather(lab, plan), one.skew))
    return Result(f"{words}: {one}", found.verdict == "ok", found.model_dump_json(indent=1))


def _skewed(evidence: Sequence[record.Evidence], skew: int) -> list[record.Evidence]:
    """Date what the destination's host says as a clock would that differs; nothing else in it is of a clock."""
    return [one if "source" in one.roles else _dated(one, skew) for one in evidence]


def _dated(one: record.Evidence, skew: int) -> record.Evidence:
    started = datetime.datetime.fromisoformat(one.started) + datetime.timedelta(seconds=skew)
    return one.model_copy(update={"started": started.isoformat(timespec="milliseconds")})


def _let_datagrams_in(lab: hosts.Lab) -> None:
    """Give the amphora's group the rule for UDP that the health manager's has."""
    rules = lab.description["security_group_rules"]
    group = next(one for one in lab.description["security_groups"] if one["id"] == topology.AMPHORA_GROUP)
    for number, rule in enumerate([one for one in rules if one["protocol"] == "udp"]):
        theirs = {**rule, "id": f"5b0c8f1d-77b5-4d8f-8a6e-0d6f5c2b4b{number:02}", "security_group_id": group["id"]}
        rules.append(theirs)
        group["security_group_rules"].append(theirs)
    lab.write_description()
    lab.apply("br-int")


# Traffic of others


def _chat(lab: hosts.Lab) -> None:
    """Ping and connect between the probed ports, and between those and a third, until the lab ends."""
    guests = (topology.GUEST, topology.GUEST2)
    for other in guests:
        for address in (other.address6, other.address4):
            lab.source.start("other-ping", "ping", "-n", "-q", "-i", "0.2", address)
        lab.source.start("chatter", sys.executable, _CHATTER, other.address(lab.shape.ip), str(topology.API_PORT))
        for target in (topology.SOURCE, *guests):
            if target is not other:
                lab.guests[other.key].start("other-ping", "ping", "-n", "-q", "-i", "0.3", target.address6)


# Flows that come and go


@contextlib.contextmanager
def _churning(lab: hosts.Lab) -> Generator[None]:
    """Change flows of other ports all the time, and now and then write all anew, as an agent does that restarts."""
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        churning = pool.submit(_churn, lab, stop)
        try:
            yield
        finally:
            stop.set()
        churning.result()  # or the paths were left in peace


def _churn(lab: hosts.Lab, stop: threading.Event) -> None:
    cookies = {(host.site.key, bridge): lab.cookie(host.site, bridge) for host, bridge in _bridges(lab)}
    for number in itertools.count(1):
        for host in lab.hosts.values():
            cookie = cookies[host.site.key, "br-int"]
            flow = f"table=71,priority=95,reg5={0x60 + number % 8:#x},in_port={0x60 + number % 8},dl_vlan=99"
            host.ofctl("add-flow", "br-int", f"cookie={cookie:#x},{flow},actions=drop")
            host.ofctl("--strict", "del-flows", "br-int", flow)
            if stop.wait(_PAUSE):
                return
        if number % 5 == 0:
            _restart_agents(lab, cookies)


def _bridges(lab: hosts.Lab) -> Iterator[tuple[node.Host, str]]:
    return itertools.product(lab.hosts.values(), ("br-int", "br-tun"))


def _restart_agents(lab: hosts.Lab, cookies: dict[tuple[str, str], int]) -> None:
    """Replace all flows by the same ones with a new cookie."""
    for host, bridge in _bridges(lab):
        key = host.site.key, bridge
        cookies[key] = cookies[key] + 1 & 0xFFFFFFFFFFFFFFFF or 1
        text = lab.flows(host.site)[bridge]
        new = text.replace(f"{lab.cookie(host.site, bridge):#x}", f"{cookies[key]:#x}")
        host.ofctl("--bundle", "replace-flows", bridge, "-", text_in=new)
