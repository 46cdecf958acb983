"""The datapath: its ports, and the megaflows that really forward packets (`dpif/show`, `dpctl/dump-flows`)."""

import re
import time

from .. import path, process

_PORT = re.compile(r"^\s+(?P<name>\S+) (?P<ofport>\d+)/(?P<port>\d+|none): \((?P<type>[^:)]+)")
_FLOW = re.compile(
    r"^(?:ufid:(?P<ufid>[0-9a-f-]+), )?(?P<key>.*?), packets:(?P<packets>[0-9]{1,20}), bytes:(?P<bytes>[0-9]{1,20}), "
    r"used:(?P<used>[^,]+)(?:, flags:[^,]*)?(?:, (?:offloaded:(?P<offloaded>[^,]*)|dp:(?P<dp>[^,]+)))*, "
    r"actions:(?P<actions>.*?)(?:, dp-extra-info:.*)?$"
)

_TUPLE = re.compile(r"\bct_tuple6\([^)]*\)")
_DUMP = re.compile(r"dump duration\s*:\s*(\d{1,9})ms")
_ANSWER = 0.05
"""Seconds that an answer of vswitchd may be late."""


def _number(text: str) -> int | None:
    """Return the bits that are written as a number; None where they are written by name, as `+est+trk`."""
    try:
        return int(text or "0", 0)
    except ValueError:
        return None


class Megaflow(path.Model):
    """One flow of the datapath's cache, with the actions it was given."""

    ufid: str = ""
    """Its name; empty where the datapath gives none."""
    key: str
    packets: int
    used: str
    """Seconds since it was last used, as printed (`0.533s`, `never`)."""
    actions: str
    offloaded: bool = False
    """Whether a NIC forwards its packets by itself, and not only in part."""
    raw: str

    @property
    def ct_invalid(self) -> bool:
        """Whether it matches packets that conntrack calls invalid (bit 0x10 of ct_state, ovs-fields(7))."""
        found = re.search(r"ct_state\((?P<state>[^()/]*)(?:/(?P<mask>[^()]*))?\)", self.key)
        if found is None:
            return False
        state, mask = found["state"], found["mask"]
        if "inv" in state:
            return "+inv" in state or "inv" in state.split("|")
        bits, looked_at = _number(state), _number(mask) if mask else 0xFF
        return bits is not None and looked_at is not None and bool(bits & looked_at & 0x10)

    @property
    def ct_marked(self) -> bool:
        """Whether it matches connections with bit 0 of ct_mark set, Neutron's sign for one that was cut off."""
        found = re.search(r"ct_mark\((?P<mark>0x[0-9a-f]+|\d+)(?:/(?P<mask>0x[0-9a-f]+|\d+))?\)", self.key)
        if found is None:
            return False
        mark, mask = _number(found["mark"]), _number(found["mask"] or "0xffffffff")
        return mark is not None and mask is not None and bool(mark & mask & 1)

    @property
    def readable(self) -> str:
        """The key in words that `ofproto/trace` reads too.

        The ports of the original IPv6 tuple are printed under names that the parser of Open vSwitch does not know
        (`format_odp_key_attr` and `scan_ct_tuple6`), and it then takes the whole key for the name of a bridge.
        """
        return _TUPLE.sub(lambda found: re.sub(r"\b(src|dst)_port=", r"tp_\1=", found[0]), self.key)

    @property
    def age(self) -> float | None:
        """Seconds since it was last used; None where it never was."""
        found = re.match(r"^([0-9]{1,12}(?:\.[0-9]{1,9})?)s$", self.used)
        return float(found[1]) if found else None


class Megaflows(path.Model):
    """What the datapath's cache holds for one kind of packet."""

    flows: tuple[Megaflow, ...] = ()
    unknown: tuple[str, ...] = ()
    """Lines that were not understood."""


def ports(text: str) -> dict[str, str]:
    """Read `dpif/show`: the datapath's port number of each device; tunnels of one type share theirs."""
    found = (_PORT.match(line) for line in text.splitlines())
    return {one["name"]: one["port"] for one in found if one is not None}


def read_ports() -> dict[str, str]:
    """Ask vswitchd for the datapath's port numbers.

    Raises:
        ProcessError: vswitchd does not answer.
    """
    return ports(process.run(["ovs-appctl", "dpif/show"]))


def parse(text: str) -> Megaflows:
    """Read `dpctl/dump-flows -m`."""
    flows: list[Megaflow] = []
    unknown: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("flow-dump from"):
            continue
        found = _FLOW.match(line.strip())
        if found is None:
            unknown.append(line.strip())
            continue
        flows.append(
            Megaflow(
                ufid=found["ufid"] or "",
                key=found["key"],
                packets=int(found["packets"]),
                used=found["used"],
                actions=found["actions"],
                offloaded=found["offloaded"] == "yes",
                raw=line.strip(),
            )
        )
    return Megaflows(flows=tuple(flows), unknown=tuple(unknown))


def dump(match: str) -> Megaflows:
    """Return the megaflows that packets of `match` (`icmp6,ipv6_src=…`) could use.

    Raises:
        ProcessError: vswitchd does not answer.
    """
    return parse(process.run(process.Command(["ovs-appctl", "dpctl/dump-flows", "-m"], f"filter={match}"), timeout=10))


def get(ufid: str) -> Megaflow | None:
    """Return the megaflow of that name; None where it is gone, or not understood.

    Raises:
        ProcessError: vswitchd does not answer.
    """
    try:
        command = process.Command(["ovs-appctl", "dpctl/get-flow", "-m"], f"ufid:{ufid}")
        found = parse(process.run(command, timeout=10))
    except process.ProcessError as error:
        if "No such file" in error.stderr or "ENOENT" in error.stderr:
            return None
        raise
    return found.flows[0] if found.flows else None


def synchronise(since: float) -> None:
    """Wait until the OpenFlow counters hold all packets that the datapath had forwarded at a time.

    The revalidators bring the counts over, in passes that begin every half second (`max-revalidator`). A pass that was
    under way at that time may have looked at a datapath flow before its last packet: then the next one is waited for.

    Args:
        since: Seconds of the monotonic clock.

    Raises:
        ProcessError: vswitchd does not answer.
    """
    for _ in range(2):
        process.run(["ovs-appctl", "revalidator/wait"], timeout=10)
        ended = time.monotonic()
        found = _DUMP.search(process.run(["ovs-appctl", "upcall/show"]))
        if found is not None and ended - int(found[1]) / 1000 - _ANSWER > since:
            return
