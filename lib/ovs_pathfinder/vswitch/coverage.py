"""What vswitchd has counted of its own events (`ovs-appctl coverage/show`)."""

import re

from .. import process

_COUNTER = re.compile(r"^(?P<name>\w+)\s+.*total: (?P<total>\d+)\s*$")
_TELLING = re.compile(
    r"^(?:conntrack_(?:zone_)?full$|drop_action_|datapath_drop_|netdev_push_header_drops$|dpif_execute_error$"
    r"|miniflow_extract_\w+_len_error$)"
)
_LOST = re.compile(r"^\s+lookups: .*\blost:(?P<lost>\d+)", re.MULTILINE)
LOST = "datapath_lookups_lost"
"""`lost` of `dpctl/show`: packets that the datapath could not hand to ovs-vswitchd when it had no flow for them."""


def parse(text: str) -> dict[str, int]:
    """Read the counters that speak of packets dropped, by name; the others are left out."""
    found = (_COUNTER.match(line) for line in text.splitlines())
    return {one["name"]: int(one["total"]) for one in found if one is not None and _TELLING.search(one["name"])}


def lost(text: str) -> dict[str, int]:
    """Read `dpctl/show`, whose datapaths are counted together."""
    found = [int(one["lost"]) for one in _LOST.finditer(text)]
    return {LOST: sum(found)} if found else {}


def read() -> dict[str, int]:
    """Ask vswitchd.

    Raises:
        ProcessError: It does not answer.
    """
    counted = parse(process.run(["ovs-appctl", "coverage/show"]))
    return {**counted, **lost(process.run(["ovs-appctl", "dpctl/show"]))}


def risen(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return by how much each counter rose; one that is shown for the first time rose from nothing."""
    rises = {name: total - before.get(name, 0) for name, total in after.items()}
    return {name: rise for name, rise in rises.items() if rise > 0}
