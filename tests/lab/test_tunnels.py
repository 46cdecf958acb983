"""show-tunnels on hosts of the lab, with real switches and routes."""

from typing import Any

import pytest

from tests import conftest
from tests.lab import asking, hosts, topology

pytestmark = pytest.mark.lab


def named(answer: asking.Asked, name: str) -> dict[str, Any]:
    return next(one for one in answer.answer["tunnels"] if one["name"] == name)


def add(lab: hosts.Lab, name: str, remote: str) -> None:
    """Add a tunnel port by hand, as the agent's are."""
    options = ["df_default=true", "egress_pkt_mark=0", "in_key=flow", "out_key=flow"]
    options += [f"local_ip={topology.OCTAVIA.tunnel_address}", f"remote_ip={remote}"]
    settings = [f"options:{one}" for one in options]
    lab.source.vsctl("add-port", "br-tun", name, "--", "set", "Interface", name, "type=gre", *settings)


def test_a_healthy_tunnel_then_what_is_wrong_with_others(start_lab: conftest.StartLab) -> None:
    lab = start_lab(heartbeats=False)
    port = lab.tunnel_port("octavia")
    lab.ping(3)

    healthy = asking.ask(lab, "octavia", "tunnels", cloud=True, changed=0.1)

    (tunnel,) = healthy.answer["tunnels"]
    assert healthy.summary == "1 gre tunnel: nothing wrong can be seen from this end."
    assert (tunnel["remote_unit"], tunnel["remote_principal"]) == ("ovs-pathfinder/1", "nova-compute/0")
    assert (tunnel["up"], tunnel["device"], tunnel["inner_mtu"]) == (True, "br-phy", topology.MTU["gre"])
    assert tunnel["neighbour_mac"] == topology.COMPUTE.underlay_mac
    assert min(tunnel["counters"]["tx_packets"], tunnel["counters"]["rx_packets"]) >= 3
    assert tunnel["moved"]["tx_packets"] >= 0
    assert [line for line in healthy.page.splitlines() if len(line) > 80] == []

    add(lab, "gre-0a0101fe", "10.1.1.1")
    add(lab, "gre-twin", topology.COMPUTE.tunnel_address)
    broken = asking.ask(lab, "octavia", "tunnels", cloud=True)

    stale, twin = named(broken, "gre-0a0101fe"), named(broken, "gre-twin")
    assert "the tunnel is stale" in " ".join(stale["problems"])
    assert "its name tells of 10.1.1.254" in " ".join(stale["problems"])
    assert "This host has no route to 10.1.1.1." in stale["problems"]
    assert twin["ofport"] == -1
    assert "File exists" in " ".join(twin["problems"])
    assert f"gre-twin leads to {topology.COMPUTE.tunnel_address} too" in " ".join(named(broken, port)["problems"])

    for name in ("gre-0a0101fe", "gre-twin", port):
        lab.source.vsctl("del-port", name)
    bare = asking.ask(lab, "octavia", "tunnels", cloud=True)

    assert bare.summary == "This host has no tunnels, and 1 is missing."
    assert bare.answer["missing"][0]["unit"] == "ovs-pathfinder/1"
