"""Special cases of the diagnosis in a real lab; `test_faults` has the faults themselves."""

import os
import pathlib
import signal

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose as rules
from ovs_pathfinder.evidence import probe
from tests import conftest
from tests.lab import faults, matrix, probing, topology

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(("ip", "same_host"), [(6, True), (4, True), (4, False)])
def test_healthy_path_is_never_accused(start_lab: conftest.StartLab, ip: topology.IpVersion, same_host: bool):
    lab = start_lab(cloud=False, ip=ip, same_host=same_host)
    protocols: tuple[path.Protocol, ...] = ("icmp", "tcp")
    for protocol in protocols:
        lab.forget_neighbours()

        found = probing.diagnosis(lab, probing.plan_of(lab, protocol, matrix.PORTS[protocol]))

        assert (found.verdict, found.code) == ("ok", "path-ok"), found.model_dump_json(indent=1)


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

    found = rules.diagnose(plan, probing.gather(lab, plan, wait=0.1))

    assert (found.code, found.hop) == ("vswitchd-not-answering", "source-br-int"), found.summary
