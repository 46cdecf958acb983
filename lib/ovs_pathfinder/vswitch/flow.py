"""OpenFlow flows as `ovs-ofctl dump-flows` prints them (ovs-ofctl(8), ovs-fields(7))."""

import re
from collections.abc import Iterator

from .. import path, process
from . import dump as dump_
from . import ofctl, tables

_PRIORITY = re.compile(rb" priority=(\d+)")
_HEAD_FIELDS = {
    "cookie",
    "duration",
    "table",
    "n_packets",
    "n_bytes",
    "idle_timeout",
    "hard_timeout",
    "idle_age",
    "hard_age",
    "importance",
}


class Flow(path.Model):
    """One flow of a table."""

    table: int
    priority: int = 32768
    cookie: str = "0x0"
    match: str = ""
    """What it matches, as printed, without the priority."""
    actions: str = ""
    packets: int = 0
    bytes: int = 0
    raw: str = ""
    """The line it was read from."""


def parse(line: str) -> Flow | None:
    """Read one line of `dump-flows`; None for what is no flow (a reply's heading, an empty line)."""
    matched, separator, actions = line.strip().partition("actions=")
    if not separator or ("table=" not in matched and "priority=" not in matched and "cookie=" not in matched):
        return None
    head: dict[str, str] = {}
    match: list[str] = []
    priority = 32768
    for field in re.split(r",\s*|\s+", matched.strip().rstrip(",")):
        name, _, value = field.partition("=")
        if name in _HEAD_FIELDS:
            head[name] = value
        elif name == "priority" and value.isascii() and value.isdecimal():
            priority = int(value)
        elif field and field not in ("reset_counts", "send_flow_rem", "check_overlap", "no_packet_counts"):
            match.append(field)
    if not all(head.get(name, "0").isdecimal() for name in ("table", "n_packets", "n_bytes")):
        return None
    return Flow(
        table=int(head.get("table", "0")),
        priority=priority,
        cookie=head.get("cookie", "0x0"),
        match=",".join(match),
        actions=actions,
        packets=int(head.get("n_packets", "0")),
        bytes=int(head.get("n_bytes", "0")),
        raw=line.strip(),
    )


def dump(bridge: str, match: str = "") -> list[Flow]:
    """Return the flows of a bridge that are as narrow as `match` or narrower (`table=71,in_port=2`).

    Raises:
        ProcessError: The bridge does not exist or does not answer.
    """
    command = ofctl.command(bridge, ["dump-flows"], *([match] if match else []))
    parsed = (parse(line) for line in process.run(command, timeout=10).splitlines())
    return [flow for flow in parsed if flow is not None]


def agent_cookies() -> dict[str, str]:
    """Return the cookie of Neutron's agent on each bridge, from tables that hold one flow, and that is the agent's.

    Raises:
        ProcessError: vswitchd does not answer.
    """
    found = {bridge: dump(bridge, f"table={table}") for bridge, table in tables.AGENTS_OWN.items()}
    return {bridge: flows[0].cookie for bridge, flows in found.items() if len(flows) == 1}


def find(bridge: str, table: int, priority: int, match: str, cookie: str = "") -> Flow | None:
    """Return the one flow of that table, priority and match, as a trace names it; None where it is gone.

    The switch is asked for flows at least as narrow, so the answer stays small in a table of any size; of the flow that
    matches everything in a table which grows with the ports of the host, nothing is said. In any other table such a
    flow is looked for among those with its cookie, and no more than one of them is held at a time.

    Raises:
        PathfinderError: The bridge does not exist or does not answer.
    """
    fields = match.split(",") if match else []
    if not fields and (bridge, table) in tables.GROWING:
        return None
    if "icmp6" in fields:  # ovs-ofctl prints icmp_type for ICMPv6, and refuses to read it
        renamed = [
            field.replace("icmp_type=", "icmpv6_type=").replace("icmp_code=", "icmpv6_code=") for field in fields
        ]
    else:
        renamed = fields
    owned = [f"cookie={cookie}/-1"] if cookie and not fields else []
    # The priority of 32768, which is OpenFlow's default, is not printed.
    marked = b"" if priority == 32768 else b"priority=%d" % priority
    wanted = frozenset(fields)
    for line in _lines(bridge, ",".join([f"table={table}", *owned, *renamed])):
        one = parse(line.decode(errors="replace")) if marked in line else None
        if one is not None and one.priority == priority and frozenset(one.match.split(",")) - {""} == wanted:
            return one
    return None


def priorities(bridge: str, table: int) -> set[int]:
    """Return the priorities at which a table holds flows.

    Raises:
        PathfinderError: The bridge does not exist or does not answer.
    """
    found = (_PRIORITY.search(line) for line in _lines(bridge, f"table={table}"))
    return {int(one[1]) if one else 32768 for one in found}


def _lines(bridge: str, match: str) -> Iterator[bytes]:
    """Yield flows as they come: a table may hold 100,000."""
    for chunk in dump_.Flows(bridge, match):
        yield from chunk.splitlines()
