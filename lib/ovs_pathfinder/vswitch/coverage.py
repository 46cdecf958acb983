"""What vswitchd has counted of its own events (`ovs-appctl coverage/show`)."""

import re

from .. import process

_COUNTER = re.compile(r"^(?P<name>\w+)\s+.*total: (?P<total>\d+)\s*$")
_TELLING = re.compile(r"^(?:conntrack_full|conntrack_zone_full|drop_action_|datapath_drop_)")


def parse(text: str) -> dict[str, int]:
    """Read the counters that speak of packets dropped, by name; the others are left out."""
    found = (_COUNTER.match(line) for line in text.splitlines())
    return {one["name"]: int(one["total"]) for one in found if one is not None and _TELLING.search(one["name"])}


def read() -> dict[str, int]:
    """Ask vswitchd.

    Raises:
        ProcessError: It does not answer.
    """
    return parse(process.run(["ovs-appctl", "coverage/show"]))


def risen(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return by how much each counter rose; one that is shown for the first time rose from nothing."""
    rises = {name: total - before.get(name, 0) for name, total in after.items()}
    return {name: rise for name, rise in rises.items() if rise > 0}
