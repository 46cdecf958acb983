"""A question does not hurt the host that it is asked on."""

import pathlib

import pytest

from ovs_pathfinder.diagnosis import diagnose
from tests import conftest
from tests.lab import faults, node, probing

pytestmark = pytest.mark.lab

_FEW = 10 * 1024
"""KiB by which ovs-vswitchd may grow during a probe."""


def resident(host: node.Host) -> int:
    """Return how much memory a host's ovs-vswitchd has, in KiB."""
    pid = (host.directory / "run" / "ovs-vswitchd.pid").read_text().strip()
    status = pathlib.Path("/proc", pid, "status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def test_probe_into_a_circle_of_conntrack_takes_no_memory(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    lab.warm_up()
    faults.load("conntrack-loop").inject(lab)
    before = resident(lab.source)

    evidence = probing.gather(lab, probing.plan_of(lab))

    found = diagnose.diagnose(probing.plan_of(lab), evidence)
    assert (found.code, found.certainty) == ("conntrack-loop", "proven"), found.summary
    assert resident(lab.source) < before + _FEW
    assert lab.source.appctl("version")


def test_packets_that_pass_by_a_circle_are_not_accused_and_the_report_says_why_nothing_was_traced(
    start_lab: conftest.StartLab,
):
    lab = start_lab(cloud=False)
    lab.warm_up()
    # ofproto/trace could come to it, as far as is known of the packet; nothing in this lab has the mark.
    lab.source.ofctl("add-flow", "br-int", "table=71,priority=111,icmp6,pkt_mark=0x7,actions=ct(table=71)")

    found = diagnose.diagnose(probing.plan_of(lab), probing.gather(lab, probing.plan_of(lab)))

    assert (found.verdict, found.code) == ("ok", "path-ok"), found.summary
    assert any("Nothing was traced" in sentence and "pkt_mark=0x7" in sentence for sentence in found.missing)
