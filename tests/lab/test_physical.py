"""Trials on networks without tunnels: NORMAL flows take packets past the rules of either end."""

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.evidence import bypass
from tests import conftest
from tests.lab import faults, hosts, node, probing, processes, topology

pytestmark = pytest.mark.lab

PRIORITY = 96


def flows_of(lab: hosts.Lab, host: node.Host, role: path.Role) -> str:
    """Write the trial's flows for one end, as its unit would."""
    port, patch = host.ofport(lab.shape.plugged(host.site)[0].device), host.ofport("int-br-phy")
    tag = "vlan_tci=0" if lab.shape.segment is None else f"dl_vlan={lab.shape.segment}"
    near, far, actions = f"in_port={port}", f"in_port={patch},{tag}", f"mod_vlan_vid:{topology.VLAN},NORMAL"
    come = (
        bypass.Ways(forward=near, reply=far, reply_actions=actions)
        if role == "source"
        else bypass.Ways(forward=far, reply=near, forward_actions=actions)
    )
    rules = bypass.rules(probing.plan_of(lab), come, PRIORITY, neighbours=True)
    return "".join(f"{one}\n" for one in rules)


@pytest.mark.parametrize("kind", ["vlan", "flat"])
@pytest.mark.parametrize(
    ("fault", "role"), [("egress-rule-missing", "source"), ("ingress-rule-missing", "destination")]
)
def test_normal_flows_let_packets_pass(
    start_lab: conftest.StartLab, kind: topology.NetworkType, fault: str, role: path.Role
) -> None:
    lab = start_lab(cloud=False, tunnel=kind)
    faults.load(fault).inject(lab)
    assert lab.ping() == 0
    host = lab.source if role == "source" else lab.destination

    host.ofctl("add-flows", "br-int", "-", text_in=flows_of(lab, host, role))

    processes.wait_until(lambda: lab.ping() == 3, "packets that pass")
