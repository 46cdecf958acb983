"""Every fault of the lab is found where it is, and a healthy path is never accused."""

import dataclasses
import os
import pathlib
import signal
from typing import Literal

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose as rules
from ovs_pathfinder.diagnosis import verdict
from ovs_pathfinder.evidence import probe
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
    is_cold = cold or found.carrier == "neighbour"  # on a slow machine an entry may have gone stale meanwhile
    hop, direction = truth.cold if is_cold and truth.cold else (truth.hop, truth.direction)
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


def test_second_address_of_the_source_does_not_hide_the_probe(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    lab.source.configure(f"address add fc00:5896:ff23:44dc::2/64 dev {topology.SOURCE.device} nodad")

    found = probing.diagnosis(lab, probing.plan_of(lab))

    assert (found.verdict, found.sent) == ("ok", 5), found.model_dump_json(indent=1)


def test_packets_in_fragments_are_found_where_they_stop(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    faults.load("ingress-rule-missing").inject(lab)

    found = probing.diagnosis(lab, probing.plan_of(lab), probe.Settings(size=2000))

    assert (found.code, found.hop) == ("ingress-rule-missing", "destination-br-int"), found.summary
    assert any("fragments" in sentence for sentence in found.missing)


def test_tunnel_on_another_udp_port_is_watched(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False, tunnel="vxlan")
    for key, host in lab.hosts.items():
        host.vsctl("set", "Interface", lab.tunnel_port(key), "options:dst_port=8472")
    faults.load("ingress-rule-missing").inject(lab)

    found = probing.diagnosis(lab, probing.plan_of(lab))

    assert (found.code, found.hop) == ("ingress-rule-missing", "destination-br-int"), found.summary


def test_stale_neighbour_entry_is_named(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    entry = ["replace", lab.address, "lladdr", "fa:16:3e:00:00:99", "dev", topology.SOURCE.device, "nud", "permanent"]
    lab.source.run("ip", "neigh", *entry)

    found = probing.diagnosis(lab, probing.plan_of(lab))

    assert (found.verdict, found.code, found.hop) == ("broken", "neighbour-entry-wrong", "source-port"), found.summary


def test_unit_that_comes_late_accuses_nobody(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    plan = probing.plan_of(lab)
    first = probing.gather(lab, plan)
    second = probing.gather(lab, plan)
    source = next(one for one in first if "source" in one.roles)
    destination = next(one for one in second if "destination" in one.roles)

    found = rules.diagnose(plan, [source, destination])

    assert (found.verdict, found.code) == ("ok", "path-ok")
    assert any("did not watch at the same time" in sentence for sentence in found.missing)


def test_guest_as_the_source_cannot_be_probed_and_is_not_accused(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    plan = probing.plan_of(lab)
    turned = plan.model_copy(update={"source": plan.destination, "destination": plan.source})

    found = probing.diagnosis(lab, turned)

    assert (found.verdict, found.code) == ("cannot-tell", "cannot-tell"), found.summary
    assert "guest's port" in found.summary


def test_switch_that_died_is_named(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    plan = probing.plan_of(lab)
    pid = int((pathlib.Path(lab.source.env["OVS_RUNDIR"]) / "ovs-vswitchd.pid").read_text())
    os.kill(pid, signal.SIGKILL)

    with pytest.raises(AssertionError, match="ovs-vswitchd does not answer on this host"):
        probing.gather(lab, plan, wait=0.1)
