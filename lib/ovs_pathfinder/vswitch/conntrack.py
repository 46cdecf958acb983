"""How full the connection tracking tables are (`ovs-appctl dpctl/ct-get-limits` and others, ovs-dpctl(8))."""

import contextlib
import pathlib
import re

from .. import files, path, process

_ZONE = re.compile(r"zone=(?P<zone>\d+),\s*limit=(?P<limit>\d+),\s*count=(?P<count>\d+)")
_KERNEL = pathlib.Path("/proc/sys/net/netfilter")


class Occupancy(path.Model):
    """How many connections a table holds, and how many it may."""

    table: str
    count: int
    limit: int

    @property
    def is_full(self) -> bool:
        """Whether a new connection finds no room."""
        return 0 < self.limit <= self.count

    def __str__(self) -> str:
        return f"{self.table} holds {self.count} of {self.limit} connections"


def parse_limits(text: str) -> list[Occupancy]:
    """Read `dpctl/ct-get-limits`: the zones that have a limit of their own."""
    return [
        Occupancy(table=f"conntrack zone {one['zone']}", count=int(one["count"]), limit=int(one["limit"]))
        for one in _ZONE.finditer(text)
    ]


def read() -> list[Occupancy]:
    """Ask the datapath, and the kernel where its conntrack is there; what does not answer is left out."""
    found: list[Occupancy] = []
    with contextlib.suppress(process.ProcessError):
        found += parse_limits(process.run(["ovs-appctl", "dpctl/ct-get-limits"]))
    with contextlib.suppress(process.ProcessError, ValueError):  # the kernel's datapath does not know these two
        count = int(process.run(["ovs-appctl", "dpctl/ct-get-nconns"]))
        limit = int(process.run(["ovs-appctl", "dpctl/ct-get-maxconns"]))
        found.append(Occupancy(table="the datapath's conntrack", count=count, limit=limit))
    with contextlib.suppress(OSError, ValueError):
        count, limit = (int(files.text(_KERNEL / f"nf_conntrack_{name}")) for name in ("count", "max"))
        found.append(Occupancy(table="the kernel's conntrack", count=count, limit=limit))
    return found
