"""ovs-vswitchd on the destination's host hangs."""

import os
import signal

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "vswitchd-not-answering", "destination-br-int", "forward")


def inject(lab: hosts.Lab) -> None:
    """Stop it; with the datapath in userspace, packets stop with it."""
    os.kill(int((lab.destination.directory / "run" / "ovs-vswitchd.pid").read_text()), signal.SIGSTOP)
