"""A switch whose datapath's flows are not what its rules say."""

import pathlib
import subprocess
import sys

from .. import hosts, node, topology

_PROGRAM = str(pathlib.Path(__file__).with_name("_disobedience.py"))


def turn(lab: hosts.Lab, host: node.Host, device: str) -> None:
    """Prime a port's datapath flows, and let a process of the host's own turn them into drops."""
    host.vsctl("set", "Open_vSwitch", ".", "other_config:max-idle=3600000")
    for ip in (6, 4):
        lab.ping(2, ip=ip)
    lab.source.run(sys.executable, _PROGRAM, "prime", topology.GUEST.address6, topology.GUEST.address4)
    argv = [sys.executable, _PROGRAM, "disobey", device, host.env["OVS_RUNDIR"]]
    hosts.wait_for_line(host.start("disobedience", *argv, stdout=subprocess.PIPE), "ready")
    host.appctl("dpctl/flush-conntrack")  # so that every connection is new, as the drops expect
