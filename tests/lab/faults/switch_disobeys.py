"""The switch drops what its rules forward: the datapath's flows are not what ofproto/trace computes."""

import pathlib
import subprocess
import sys

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "switch-disobeys", "source-br-int", "forward")


def inject(lab: hosts.Lab) -> None:
    """Prime the source port's datapath flows, and let a process of its own turn them into drops."""
    host = lab.source
    host.vsctl("set", "Open_vSwitch", ".", "other_config:max-idle=3600000")
    for ip in (6, 4):
        lab.ping(2, ip=ip)
    program = pathlib.Path(__file__).with_name("_disobedience.py")
    addresses = (topology.GUEST.address6, topology.GUEST.address4)
    argv = [sys.executable, str(program), topology.SOURCE.device, host.env["OVS_RUNDIR"], *addresses]
    child = host.start("disobedience", *argv, stdout=subprocess.PIPE)
    hosts.wait_for_line(child, "ready")
    host.appctl("dpctl/flush-conntrack")  # so that every connection is new, as the drops expect
