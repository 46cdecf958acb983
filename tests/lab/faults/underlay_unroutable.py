"""The source's host has no route to the other tunnel end."""

from .. import hosts, processes, topology
from . import Truth

TRUTH = Truth("broken", "underlay-unroutable", "source-underlay", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Delete the underlay's route, and wait until the switch has noticed."""
    lab.source.configure(f"route del {topology.COMPUTE.tunnel_address.rsplit('.', 1)[0]}.0/24 dev br-phy")
    remote = topology.COMPUTE.tunnel_address
    processes.wait_until(
        lambda: lab.source.run("ovs-appctl", "ovs/route/lookup", remote, check=False).returncode, "the route's end"
    )
