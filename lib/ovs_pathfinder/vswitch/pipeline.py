"""Where flows lead a packet: from table to table, through conntrack, over patch ports to other bridges.

What is not known of a packet may have any value, so each way that it may take is among the answers. Actions and fields
are those of ovs-actions(7) and ovs-fields(7), in the spellings of OpenFlow 1.0 to 1.5.
"""

import dataclasses
import functools
import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

Known = Mapping[str, int]
"""Fields of a packet whose value is certain; any other field may have any value."""
TAGGED = 0x1000
"""The bit that says that there is a VLAN tag (`CFI` in ovs-fields(7)); a VLAN is known as 0, or with this bit."""

_PROTOCOLS = {
    "ip": {"eth_type": 0x0800},
    "ipv6": {"eth_type": 0x86DD},
    "arp": {"eth_type": 0x0806},
    "icmp": {"eth_type": 0x0800, "ip_proto": 1},
    "icmp6": {"eth_type": 0x86DD, "ip_proto": 58},
    "tcp": {"eth_type": 0x0800, "ip_proto": 6},
    "tcp6": {"eth_type": 0x86DD, "ip_proto": 6},
    "udp": {"eth_type": 0x0800, "ip_proto": 17},
    "udp6": {"eth_type": 0x86DD, "ip_proto": 17},
    "sctp": {"eth_type": 0x0800, "ip_proto": 132},
    "sctp6": {"eth_type": 0x86DD, "ip_proto": 132},
}
_NAMES = {
    **dict.fromkeys(("dl_type", "eth_type"), "eth_type"),
    **dict.fromkeys(("nw_proto", "ip_proto"), "ip_proto"),
    **dict.fromkeys(("dl_src", "eth_src", "nxm_of_eth_src"), "eth_src"),
    **dict.fromkeys(("dl_dst", "eth_dst", "nxm_of_eth_dst"), "eth_dst"),
    **dict.fromkeys(("nw_src", "ip_src", "nxm_of_ip_src"), "ip_src"),
    **dict.fromkeys(("nw_dst", "ip_dst", "nxm_of_ip_dst"), "ip_dst"),
    **dict.fromkeys(("ipv6_src", "nxm_nx_ipv6_src"), "ipv6_src"),
    **dict.fromkeys(("ipv6_dst", "nxm_nx_ipv6_dst"), "ipv6_dst"),
    **dict.fromkeys(("icmp_type", "icmpv6_type"), "icmp_type"),
    **dict.fromkeys(("tp_src", "tcp_src", "udp_src", "sctp_src"), "tp_src"),
    **dict.fromkeys(("tp_dst", "tcp_dst", "udp_dst", "sctp_dst"), "tp_dst"),
    **dict.fromkeys(("in_port", "nxm_of_in_port"), "in_port"),
    **{f"reg{number}": f"reg{number}" for number in range(16)},
    **{f"nxm_nx_reg{number}": f"reg{number}" for number in range(16)},
}
"""One name for each field that is followed; registers, which overlap with `xreg` and `xxreg`, are among them."""
_VLAN = ("vlan", "vlan_vid", "vlan_tci", "nxm_of_vlan_tci")
_WIDE = re.compile(r"x?xreg\d+|nxm_nx_xxreg\d+|oxm_of_pkt_reg\d+")
_WHOLE = re.compile(r"(\w+)(?:\[\])?")
_LOCAL = 65534
_ITEM = re.compile(r"(?P<name>[\w-]+)(?P<separator>[:(=]?)(?P<value>.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Do:
    """One thing that a flow does, as far as it matters where a packet comes next."""

    what: Literal["set", "forget", "table", "recirculate", "output", "normal", "group", "inside"]
    """`set` a field; `forget` the value of one, or of all; go to a `table`; come back to one through conntrack
    (`recirculate`); leave by a port, by any port, or by those that MAC learning says; actions on a copy (`inside`)."""
    name: str = ""
    """Of the field; empty for all."""
    number: int | None = None
    """The field's value, the table, the port or the group; None where the packet decides on it, or the flow's own."""
    port: int | None = None
    """What a table is to take for the port that the packet came in by; None for that itself."""
    inner: "tuple[Do, ...]" = ()


def matches(match: str, known: Known) -> bool:
    """Say whether a packet may match; only what is certain not to is told apart."""
    return all(_agrees(field, known) for field in match.split(",") if field)


def is_certain(match: str, known: Known) -> bool:
    """Say whether a packet is certain to match: all that the match asks for is known of it."""
    wanted = [_wanted(field) for field in match.split(",") if field]
    return all(one is not None and all(key in known for key, _, _ in one) for one in wanted) and matches(match, known)


def _agrees(field: str, known: Known) -> bool:
    return all(key not in known or known[key] & mask == value & mask for key, value, mask in _wanted(field) or ())


def _wanted(field: str) -> Sequence[tuple[str, int, int]] | None:
    """Return what a field of a match asks for: names, values and masks; None where it is not followed."""
    name, separator, value = field.partition("=")
    if not separator:
        protocol = _PROTOCOLS.get(name)
        return None if protocol is None else [(key, number, -1) for key, number in protocol.items()]
    read = _vlan(name, value) if name in ("dl_vlan", *_VLAN) else _read(_NAMES.get(name, ""), value)
    return None if read is None else [read]


def _read(key: str, text: str) -> tuple[str, int, int] | None:
    """Return a field's name, value and mask; None where it is not followed or not understood."""
    value, _, mask = text.partition("/")
    number = _number(value)
    if not key or number is None:
        return None
    if not mask:
        return key, number, -1
    if "." in value or (":" in value and mask.isdecimal()):  # a prefix's length, of an address of that family
        width = 32 if "." in value else 128
        if mask.isdecimal():
            return (key, number, -1 << (width - int(mask))) if int(mask) <= width else None
    masked = _number(mask)
    return None if masked is None else (key, number, masked)


def _vlan(name: str, text: str) -> tuple[str, int, int] | None:
    read = _read("vlan", text)
    if read is None or name != "dl_vlan":
        return read and (read[0], read[1], read[2] & (TAGGED | 0xFFF))
    # `dl_vlan` has no bit for the tag, and 65535 for none (ovs-fields(7)).
    return ("vlan", 0, TAGGED) if read[1] == 0xFFFF else ("vlan", read[1] | TAGGED, (read[2] & 0xFFF) | TAGGED)


def _number(text: str) -> int | None:
    """Read a number, a MAC or an IP address, or the one port that has a name of its own."""
    if text.lower() == "local":
        return _LOCAL
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text, re.IGNORECASE):
        return int(text.replace(":", ""), 16)
    try:
        return int(ipaddress.ip_address(text)) if ":" in text or "." in text else int(text, 0)
    except ValueError:
        return None


def packet(text: str) -> dict[str, int]:
    """Return what is known of a packet that is written as a flow; registers are 0, as in a trace."""
    known = {f"reg{number}": 0 for number in range(16)} | {"vlan": 0}
    for field in text.split(","):
        name, separator, value = field.strip().partition("=")
        if not separator:
            known |= _PROTOCOLS.get(name, {})
            continue
        is_vlan = name in ("dl_vlan", *_VLAN)
        read = _vlan(name, value) if is_vlan else _read(_NAMES.get(name, ""), value)
        if read is not None:
            known[read[0]] = read[1]
        elif is_vlan or name in _NAMES:
            known.pop("vlan" if is_vlan else _NAMES[name], None)
        elif _WIDE.fullmatch(name):
            known = {key: number for key, number in known.items() if not key.startswith("reg")}
    return known


@functools.lru_cache(maxsize=20_000)
def read(actions: str) -> tuple[Do, ...]:
    """Read the actions of a flow: what leads on, and what changes the fields that are followed."""
    return tuple(one for item in _split(actions) for one in _do(item))


def leads_on(done: tuple[Do, ...]) -> bool:
    """Say whether actions lead a packet anywhere at all."""
    return any(one.what not in ("set", "forget") for one in done)


def _split(text: str) -> list[str]:
    """Part a list at the commas that are in no brackets."""
    found, depth, start = list[str](), 0, 0
    for at, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            found.append(text[start:at].strip())
            start = at + 1
    return [one for one in (*found, text[start:].strip()) if one]


def _do(item: str) -> Iterator[Do]:
    found = _ITEM.match(item)
    if item.lower() in ("normal", "flood", "all"):
        yield Do("normal")
    elif item.lower() in ("in_port", "output:in_port"):
        yield Do("output", "in_port")
    elif found is None or found["name"].lower() in _NOTHING:
        return
    elif (known := _ACTIONS.get(found["name"].lower())) is not None:
        value = found["value"]
        yield from known(value.rpartition(")")[0] if found["separator"] == "(" and ")" in value else value)
    elif not found["separator"]:
        yield Do("output", number=_number(item))
    else:
        yield Do("forget")


_NOTHING = {
    *("drop", "note", "conjunction", "dec_ttl", "ct_clear", "learn", "set_queue", "pop_queue", "meter", "exit"),
    *("fin_timeout", "controller", "controller_pause", "push", "clear_actions", "set_tunnel", "set_tunnel64"),
    *(
        "mod_nw_tos",
        "mod_nw_ttl",
        "mod_nw_ecn",
        "mod_vlan_pcp",
        "set_vlan_pcp",
        "write_metadata",
        "sample",
        "debug_slow",
    ),
}
"""Actions that lead nowhere and change no field that is followed."""


def _resubmit(value: str) -> Iterator[Do]:
    port, _, table = value.partition(",")
    number = _number(table.partition(",")[0].strip())
    yield Do("table", number=number, port=_number(port) if port and port.lower() != "in_port" else None)


def _ct(value: str) -> Iterator[Do]:
    items = _split(value)
    table = next((one.partition("=")[2] for one in items if one.startswith("table=")), None)
    if table is not None:
        yield Do("recirculate", "nat" if any(one.startswith("nat") for one in items) else "", _number(table))


def _set(value: str, field: str) -> Do:
    """Return what setting a field does, where all of it is set; forget it where a part of it is."""
    whole = _WHOLE.fullmatch(field.strip())
    name = (whole[1] if whole else field.partition("[")[0]).strip().lower()
    if _WIDE.fullmatch(name):
        return Do("forget", "reg")
    key = "vlan" if name in _VLAN else _NAMES.get(name, "")
    if not key:
        return Do("set")
    number = _number(value.strip())
    if whole is None or number is None:
        return Do("forget", key)
    return Do("set", key, number & (TAGGED | 0xFFF) if key == "vlan" else number)


def _set_field(value: str) -> Iterator[Do]:
    number, _, field = value.partition("->")
    yield _set(number, field)


def _forget(value: str) -> Iterator[Do]:
    """Forget the field that is written to: `move:A->B`, `pop:B`, `multipath(…,B)`."""
    yield _set("?", value.rpartition("->")[2] if "->" in value else value.rpartition(",")[2])


def _fixed(key: str) -> Callable[[str], Iterator[Do]]:
    return lambda value: iter((_set(value, key),))


def _tag(value: str) -> Iterator[Do]:
    number = _number(value)
    yield Do("forget", "vlan") if number is None else Do("set", "vlan", number | TAGGED)


def _output(value: str) -> Iterator[Do]:
    inner = re.match(r"port=([^,]+)", value)
    text = inner[1] if inner else value
    yield Do("output", number=_number(text.strip()))


def _enqueue(value: str) -> Iterator[Do]:
    yield Do("output", number=_number(re.split("[,:]", value)[0]))


_ACTIONS: dict[str, Callable[[str], Iterator[Do]]] = {
    "resubmit": lambda value: _resubmit(value if "," in value or not value else f"{value},"),
    "goto_table": lambda value: iter((Do("table", number=_number(value)),)),
    "ct": _ct,
    "set_field": _set_field,
    "load": _set_field,
    "move": _forget,
    "pop": _forget,
    "multipath": _forget,
    "bundle_load": _forget,
    "delete_field": _forget,
    "check_pkt_larger": lambda value: iter((Do("forget", "reg"),)),
    "mod_dl_src": _fixed("eth_src"),
    "mod_dl_dst": _fixed("eth_dst"),
    "mod_nw_src": _fixed("ip_src"),
    "mod_nw_dst": _fixed("ip_dst"),
    "mod_tp_src": _fixed("tp_src"),
    "mod_tp_dst": _fixed("tp_dst"),
    "mod_vlan_vid": _tag,
    "set_vlan_vid": _tag,
    "push_vlan": lambda value: iter((Do("set", "vlan", TAGGED),)),
    "strip_vlan": lambda value: iter((Do("set", "vlan", 0),)),
    "pop_vlan": lambda value: iter((Do("set", "vlan", 0),)),
    "output": _output,
    "enqueue": _enqueue,
    "bundle": lambda value: iter((Do("output"),)),
    "group": lambda value: iter((Do("group", number=_number(value)),)),
    "clone": lambda value: iter((Do("inside", inner=read(value)),)),
    # These come last, when the fields may have other values than now.
    "write_actions": lambda value: iter((Do("inside", inner=(Do("forget"), *read(value))),)),
}
