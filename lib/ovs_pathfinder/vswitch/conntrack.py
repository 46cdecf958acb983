"""How full the connection tracking tables are (`ovs-appctl dpctl/ct-get-limits` and others, ovs-dpctl(8))."""

import pathlib
import re

from .. import errors, files, path, process

_ZONE = re.compile(r"zone=(?P<zone>\d+),\s*limit=(?P<limit>\d+),\s*count=(?P<count>\d+)")
_KERNEL = pathlib.Path("/proc/sys/net/netfilter")
_SOURCES = 3


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
    """Ask the datapath, and the kernel where its conntrack is there; not each release and datapath knows each answer.

    Raises:
        PathfinderError: None of them answers, so that nothing is known.
    """
    found: list[Occupancy] = []
    failures: list[str] = []
    try:
        found += parse_limits(process.run(["ovs-appctl", "dpctl/ct-get-limits"]))
    except process.ProcessError as error:
        failures.append(str(error))
    try:
        count = int(process.run(["ovs-appctl", "dpctl/ct-get-nconns"]))
        limit = int(process.run(["ovs-appctl", "dpctl/ct-get-maxconns"]))
        found.append(Occupancy(table="the datapath's conntrack", count=count, limit=limit))
    except (process.ProcessError, ValueError) as error:  # the kernel's datapath does not know these two
        failures.append(str(error))
    try:
        count, limit = (int(files.text(_KERNEL / f"nf_conntrack_{name}")) for name in ("count", "max"))
        found.append(Occupancy(table="the kernel's conntrack", count=count, limit=limit))
    except (OSError, ValueError) as error:
        failures.append(str(error))
    if len(failures) == _SOURCES:
        raise errors.PathfinderError(failures[0])
    return found
