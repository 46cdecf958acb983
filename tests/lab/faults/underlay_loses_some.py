"""The underlay loses every second packet of the tunnel from the source to the destination."""

import pathlib
import subprocess
import sys

from .. import hosts
from . import Truth

TRUTH = Truth("degraded", "underlay-loss", "underlay", "forward")


def inject(lab: hosts.Lab) -> None:
    """Put a process into the place of the underlay's bridge, which forwards frames and leaves some out."""
    for key in lab.hosts:
        lab.fabric.configure(f"link set u-{key} nomaster", f"link set u-{key} promisc on up")
    program = pathlib.Path(__file__).with_name("_lossy_wire.py")
    argv = [sys.executable, str(program), "u-octavia", "u-compute"]
    hosts.wait_for_line(lab.fabric.start("lossy-wire", *argv, stdout=subprocess.PIPE), "ready")
