"""The header fields and metadata of one packet, as `ofproto/trace` prints them, held against the matches of flows.

Source: ovs-fields(7); `flow_format` in `flow.c` leaves out metadata that is 0.
"""

import ipaddress
import re
from collections.abc import Mapping

_PROTOCOLS = {
    "ip": (0x0800, None),
    "icmp": (0x0800, 1),
    "tcp": (0x0800, 6),
    "udp": (0x0800, 17),
    "sctp": (0x0800, 132),
    "ipv6": (0x86DD, None),
    "icmp6": (0x86DD, 58),
    "tcp6": (0x86DD, 6),
    "udp6": (0x86DD, 17),
    "sctp6": (0x86DD, 132),
    "arp": (0x0806, None),
    "rarp": (0x8035, None),
}
"""Ethernet type and IP protocol of the words that stand for them."""
_ONE_NAME = {
    "eth_src": "dl_src",
    "eth_dst": "dl_dst",
    "eth_type": "dl_type",
    "ip_src": "nw_src",
    "ip_dst": "nw_dst",
    "ip_proto": "nw_proto",
    "icmpv6_type": "icmp_type",
    "icmpv6_code": "icmp_code",
    **{f"{kind}_{end}": f"tp_{end}" for kind in ("tcp", "udp", "sctp") for end in ("src", "dst")},
}
_METADATA = re.compile(r"^(?:x{0,2}reg\d+|metadata|tun_id|ct_(?:zone|mark|label)|pkt_mark)$")
"""What is 0 where a trace does not print it."""
_LOST_AT_PATCH = re.compile(r"^(?:x{0,2}reg\d+|metadata|tun_.*|ct_.*)$")
"""What a packet loses on its way through a patch port (`patch_port_output` in `ofproto-dpif-xlate.c`)."""
_SET = re.compile(r"^set_field:(?P<value>[^/]+)->(?P<name>\w+)$")
_LOAD = re.compile(r"^load:(?P<value>\w+)->NXM_NX_(?P<name>REG\d+|TUN_ID)\[\]$")
_MODIFIED = re.compile(r"^mod_(?P<name>dl_src|dl_dst):(?P<value>\S+)$")
_HARMLESS = ("learn(", "note:", "output", "NORMAL", "drop", "meter:", "set_queue:", "pop_queue", "->", ">>")
"""Actions, and a trace's remarks, that leave the fields as they are."""
_TAGGED = 0x1000

Fields = Mapping[str, str]
"""By the name that OpenFlow 1.0 gives them; `protocol` holds the word that stands for Ethernet type and protocol."""


def parse(text: str) -> dict[str, str]:
    """Read what a trace prints behind `Flow:`."""
    found: dict[str, str] = {}
    for part in text.strip().split(","):
        name, separator, value = part.partition("=")
        if separator:
            found[_ONE_NAME.get(name, name)] = value
        elif name in _PROTOCOLS:
            found["protocol"] = name
    return found


def write(fields: Fields) -> str:
    """Write a packet as a flow that `ofproto/trace` reads, without what belongs to a recirculation."""
    renamed = {"icmp_type": "icmpv6_type", "icmp_code": "icmpv6_code"} if fields.get("protocol") == "icmp6" else {}
    left_out = ("protocol", "recirc_id", "vlan_tci1")
    parts = [f"{renamed.get(name, name)}={value}" for name, value in fields.items() if name not in left_out]
    return ",".join([*([fields["protocol"]] if "protocol" in fields else []), *parts])


def tag(fields: Fields) -> int | None:
    """Return the VLAN tag of a packet; None for none."""
    control = _tag_control(fields)
    return control & 0x0FFF if control & _TAGGED else None


def matches(match: str, fields: Fields) -> bool | None:
    """Say whether a packet matches a flow; None where the match asks for what is not known of the packet."""
    named = (part.partition("=") for part in match.split(",") if part)
    answers = [_matches(name, value, fields) for name, _, value in named]
    if False in answers:
        return False
    return None if None in answers else True


def _matches(name: str, value: str, fields: Fields) -> bool | None:
    name = _ONE_NAME.get(name, name)
    if not value:
        return _is_protocol(name, fields)
    if name == "ct_state":
        return _is_tracked(value, fields.get("ct_state", ""))
    if name in ("dl_vlan", "vlan_tci", "vlan_vid"):
        return _has_tag(name, value, _tag_control(fields))
    has = fields.get(name, "0" if _METADATA.match(name) else "")
    wanted, _, mask = value.partition("/")
    try:
        return _number(has) & _mask(wanted, mask) == _number(wanted) & _mask(wanted, mask)
    except ValueError:
        return has == value or None


def _is_protocol(word: str, fields: Fields) -> bool | None:
    if word not in _PROTOCOLS or fields.get("protocol") not in _PROTOCOLS:
        return None
    wanted, has = _PROTOCOLS[word], _PROTOCOLS[fields["protocol"]]
    return has[0] == wanted[0] and wanted[1] in (None, has[1])


def _is_tracked(wanted: str, has: str) -> bool | None:
    """Compare conntrack states: `+new-est` in a flow, `new|trk` in a packet."""
    flags = re.findall(r"([+-])(\w+)", wanted)
    if not flags:
        return None
    states = set(has.split("|"))
    return all((flag in states) == (sign == "+") for sign, flag in flags)


def _has_tag(name: str, value: str, control: int) -> bool | None:
    wanted, _, mask = value.partition("/")
    try:
        number, bits = int(wanted, 0), int(mask or "0xffff", 0)
    except ValueError:
        return None
    if name == "vlan_tci":
        return control & bits == number & bits
    if name == "dl_vlan":
        number, bits = (0, 0x1FFF) if number == 0xFFFF else (number | _TAGGED, 0x1FFF)
    return control & bits & 0x1FFF == number & bits & 0x1FFF


def _tag_control(fields: Fields) -> int:
    """Return the VLAN tag with its priority, and the bit that says that there is one."""
    if "dl_vlan" in fields:
        return int(fields["dl_vlan"], 0) | _TAGGED | int(fields.get("dl_vlan_pcp", "0"), 0) << 13
    return int(fields.get("vlan_tci", "0"), 0)


def _number(text: str) -> int:
    """Return a number, a MAC address or an IP address as a number."""
    if re.fullmatch(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", text):
        return int(text.replace(":", ""), 16)
    if ":" in text or text.count(".") == 3:
        return int(ipaddress.ip_address(text))
    return int(text, 0)


def _mask(wanted: str, mask: str) -> int:
    """Return which bits count: all, those of a mask, or those of a prefix's length."""
    if not mask:
        return (1 << 128) - 1
    if (":" in wanted or "." in wanted) and mask.isdecimal():
        width = 128 if ":" in wanted else 32
        return ((1 << int(mask)) - 1) << (width - int(mask))
    return _number(mask)


def changed(fields: Fields, action: str) -> dict[str, str] | None:
    """Return the packet after one action, in the words of a trace; None where that cannot be told."""
    if action.startswith(_HARMLESS):
        return dict(fields)
    if action == "ct_clear" or (action.startswith("ct(") and "nat" not in action):
        return {name: value for name, value in fields.items() if not name.startswith("ct_")}
    if action in ("pop_vlan", "strip_vlan"):
        return {**_untagged(fields), "vlan_tci": "0x0000"}
    if action.startswith("push_vlan:"):
        return {**_untagged(fields), "dl_vlan": "0"}
    if (tagged := re.match(r"^(?:mod_vlan_vid:(\d+)|set_field:(\d+)->vlan_vid)$", action)) is not None:
        return {**_untagged(fields), "dl_vlan": str(int(tagged[1] or tagged[2]) & 0x0FFF)}
    found = _SET.match(action) or _LOAD.match(action) or _MODIFIED.match(action)
    if found is None:
        return None
    name = found["name"].lower()
    return {**fields, _ONE_NAME.get(name, name): found["value"]}


def behind_patch(fields: Fields, ofport: int, vlan: int | None) -> dict[str, str]:
    """Return the packet in the next bridge.

    Args:
        fields: The packet as it left.
        ofport: The patch port there.
        vlan: The VLAN tag that it gets on the way, as by NORMAL from an access port; None to leave it as it is.
    """
    kept = {name: value for name, value in fields.items() if not _LOST_AT_PATCH.match(name)}
    if vlan is not None:
        kept = {**_untagged(kept), "dl_vlan": str(vlan)}
    return {**kept, "in_port": str(ofport)}


def _untagged(fields: Fields) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in ("dl_vlan", "dl_vlan_pcp", "vlan_tci")}
