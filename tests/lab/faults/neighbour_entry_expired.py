"""The source's tunnel leads to another host, and the neighbour entry for the amphora runs out during the probe."""

from .. import hosts, topology
from . import Truth, tunnel_mismatch

TRUTH = Truth("broken", "tunnel-mismatch", "source-br-tun", "forward", unless=("physical", "cold"))
_TIMERS = {"delay_first_probe_time": 0, "retrans_time_ms": 130}
"""Three questions in 390 ms, at once; by default they begin after 5 s and take 3."""


def inject(lab: hosts.Lab) -> None:
    """Make the kernel impatient, and let it doubt what it knows."""
    tunnel_mismatch.inject(lab)
    device = topology.SOURCE.device
    settings = [f"net.{ip}.neigh.{device}.{name}={value}" for ip in ("ipv4", "ipv6") for name, value in _TIMERS.items()]
    lab.source.run("sysctl", "-qw", *settings)
    for address in (topology.GUEST.address6, topology.GUEST.address4):
        argv = ["neigh", "replace", address, "lladdr", topology.GUEST.mac, "dev", device, "nud", "stale"]
        lab.source.run("ip", *argv)
