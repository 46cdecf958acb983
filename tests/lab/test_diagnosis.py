"""Every fault of the lab is found where it is, and a healthy path is never accused."""

import dataclasses
from typing import Literal

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import verdict
from tests import conftest
from tests.lab import faults, probing, topology

pytestmark = pytest.mark.lab

PORTS = {"icmp": None, "tcp": topology.API_PORT, "udp": topology.HEARTBEAT_PORT}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A shape of the lab, and what is sent through it."""

    tunnel: topology.TunnelType = "gre"
    ip: topology.IpVersion = 6
    l2population: bool = True
    same_host: bool = False
    protocol: path.Protocol = "icmp"
    cold: bool = False

    def __str__(self) -> str:
        words = [self.tunnel, f"ip{self.ip}", self.protocol]
        words += ["no-l2pop"] if not self.l2population else []
        words += ["same-host"] if self.same_host else []
        return "-".join([*words, "cold"] if self.cold else words)


WARM = Setting()
FAR = Setting(tunnel="vxlan", ip=4, l2population=False, cold=True)
TCP = Setting(tunnel="vxlan", protocol="tcp")
NEEDS_L2POPULATION = {"forwarding-entry-wrong", "reply-ingress-lost"}
NOT_OF_TCP = {"ingress-rule-missing", "guest-filters-icmp"}
"""These break ICMP alone."""


def diagnose(start_lab: conftest.StartLab, fault: str, setting: Setting) -> verdict.Diagnosis:
    lab = start_lab(
        cloud=False,
        tunnel=setting.tunnel,
        ip=setting.ip,
        l2population=setting.l2population,
        same_host=setting.same_host,
    )
    faults.load(fault).inject(lab)
    if setting.cold:
        lab.forget_neighbours()
    plan = probing.plan_of(lab, setting.protocol, PORTS[setting.protocol])
    return probing.diagnosis(lab, plan)


def check(found: verdict.Diagnosis, truth: faults.Truth, *, cold: bool = False) -> None:
    hop, direction = truth.cold if cold and truth.cold else (truth.hop, truth.direction)
    told = (found.verdict, found.hop, found.direction)
    assert told == (truth.verdict, hop, direction), found.model_dump_json(indent=1)
    assert found.code in (truth.code, *truth.also), found.summary
    if found.code != truth.code:
        assert found.certainty != "proven"


@pytest.mark.parametrize("name", faults.names())
def test_fault_is_found_on_a_warm_path(start_lab: conftest.StartLab, name: str):
    check(diagnose(start_lab, name, WARM), faults.load(name).TRUTH)


@pytest.mark.parametrize("name", [name for name in faults.names() if name not in NEEDS_L2POPULATION])
def test_fault_is_found_on_a_cold_path_of_another_shape(start_lab: conftest.StartLab, name: str):
    check(diagnose(start_lab, name, FAR), faults.load(name).TRUTH, cold=True)


@pytest.mark.parametrize("name", [name for name in faults.names() if name not in NOT_OF_TCP])
def test_fault_is_found_with_tcp(start_lab: conftest.StartLab, name: str):
    truth = faults.load(name).TRUTH
    silent = {"guest-silent": "service-silent"}.get(truth.code, truth.code)
    check(diagnose(start_lab, name, TCP), dataclasses.replace(truth, code=silent))


@pytest.mark.parametrize("protocol", ["icmp", "tcp"])
@pytest.mark.parametrize("same_host", [True, False])
@pytest.mark.parametrize("ip", [4, 6])
def test_healthy_path_is_never_accused(
    start_lab: conftest.StartLab, ip: Literal[4, 6], same_host: bool, protocol: path.Protocol
):
    found = diagnose(start_lab, "none", Setting(ip=ip, same_host=same_host, protocol=protocol, cold=True))

    assert (found.verdict, found.code) == ("ok", "path-ok"), found.model_dump_json(indent=1)


@pytest.mark.parametrize("name", ["switch-disobeys", "ingress-rule-missing", "guest-down"])
def test_fault_is_found_on_one_host(start_lab: conftest.StartLab, name: str):
    found = diagnose(start_lab, name, Setting(same_host=True))

    check(found, faults.load(name).TRUTH)


def test_guest_that_cannot_ask_is_not_called_silent(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    faults.load("port-disabled").inject(lab)
    lab.guest.run("ip", "neigh", "flush", "dev", "eth0")

    found = probing.diagnosis(lab, probing.plan_of(lab))

    assert (found.code, found.hop, found.direction) == ("port-disabled", "destination-br-int", "reply"), found.summary


def test_datagrams_that_arrive_are_enough(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    lab.port("guest").update(port_security_enabled=False, security_groups=[])
    lab.apply("br-int")

    found = probing.diagnosis(lab, probing.plan_of(lab, "udp", topology.HEARTBEAT_PORT))

    assert (found.verdict, found.code) == ("ok", "path-ok"), found.model_dump_json(indent=1)


def test_refused_connection_is_the_services(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    plan = probing.plan_of(lab, "tcp", 22)

    found = probing.diagnosis(lab, plan)

    assert (found.verdict, found.code, found.hop, found.certainty) == ("broken", "service-refused", "guest", "proven")
