"""What a flow says, whatever its numbers and its spelling: the same for two dumps of rules that treat packets alike.

Port numbers become names of ports, and Neutron's local VLANs the networks that they stand for: both are given out anew
when ports are plugged again or an agent starts afresh. Of a rule that each version of OpenFlow or of Open vSwitch
spells in its own way, one spelling is chosen (`ofp-actions.c`, `match.c`; NEWS of 2.15 and 2.17).

A table of 100,000 flows has few distinct fields: each is understood once, and a line is split, looked up and joined.
"""

import dataclasses
import ipaddress
import re
from collections.abc import Iterable, Mapping

from . import state

INTEGRATION, TUNNEL = "br-int", "br-tun"
_MOST = 300_000
"""Distinct fields that are kept."""

_NOISE = re.compile(
    rb"(?:idle_age|hard_age|importance)=\d+, |"
    rb"(?:reset_counts|send_flow_rem|check_overlap|no_packet_counts|no_byte_counts) "
)
"""What a line has before its match that means nothing to packets."""
_LEARN_COOKIE = re.compile(rb",cookie=0x[0-9a-f]+")
_TIMEOUT = re.compile(rb" (?:idle|hard)_timeout=\d+,")

_PORT_TOKENS = [(b"in_port=", b""), (b"output:", b""), (b"output(port=", b""), (b"resubmit(", b"")]
_VLAN_TOKENS = [
    *((b"dl_vlan=", b""), (b"mod_vlan_vid:", b""), (b"set_vlan_vid:", b""), (b"set_field:", b"->vlan_vid")),
    *((b"vlan_tci=", b"/0x1fff"), (b"vlan_tci=", b"/0x0fff"), (b"vlan_vid=", b"/0x1fff")),
]
_REGISTER_5 = [(b"reg5=", b""), (b"set_field:", b"->reg5"), (b"load:", b"->NXM_NX_REG5[]")]
_REGISTER_6 = [
    *((b"reg6=", b""), (b"set_field:", b"->reg6"), (b"load:", b"->NXM_NX_REG6[]")),
    *((b"ct_zone=", b""), (b"zone=", b"")),
]
"""Neutron's firewall keeps the port in register 5 and the local VLAN in register 6, which is the conntrack zone too."""
_TOKEN = re.compile(
    rb"(?<![\w.])(in_port=|output:|output\(port=|resubmit\(|reg[56]=|(?:dl|local|provider)_vlan=|(?:mod|set)_vlan_vid:|"
    rb"(?:ct_)?zone=|set_field:|load:|vlan_tci=|vlan_vid=)"
    rb"(0x[0-9a-f]+|\d+)(->[\w]+(?:\[\])?|/0x[0-9a-f]+)?(?![\w/.:\[-])"
)
_ADDRESSES = (b"dl_src=", b"dl_dst=", b"nw_", b"ipv6_", b"arp_", b"nd_", b"tp_", b"ct_state=")
"""Beginnings of the fields of which there are most; they hold nothing to be named or spelt."""
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w.:-]*")

_SPELT = re.compile(
    rb"load:|goto_table:|strip_vlan|mod_(?:dl|nw|tp)_|_vlan_pcp:|set_vlan_vid|->nw_ecn|clear_actions|->(?:tc|ud|sct)p_|icmpv6_|igmp|(?:tc|ud|sct)p_(?:src|dst)="
    rb"|eth_(?:src|dst)=|[=:]0x0\b|slaves:"
)
_LOAD = re.compile(rb"load:(0x[0-9a-f]+|0)->(\w+)\[(?:(\d+)(?:\.\.(\d+))?)?\]")
_TOS = re.compile(rb"\bmod_nw_tos:(\d+)")
_LOADED = {
    **{f"NXM_NX_REG{number}".encode(): (f"reg{number}".encode(), "hex") for number in range(16)},
    b"NXM_NX_TUN_ID": (b"tun_id", "hex"),
    b"OXM_OF_METADATA": (b"metadata", "hex"),
    b"NXM_NX_CT_MARK": (b"ct_mark", "hex"),
    b"NXM_NX_PKT_MARK": (b"pkt_mark", "hex"),
    b"NXM_OF_ETH_SRC": (b"eth_src", "mac"),
    b"NXM_OF_ETH_DST": (b"eth_dst", "mac"),
    b"NXM_NX_ARP_SHA": (b"arp_sha", "mac"),
    b"NXM_NX_ARP_THA": (b"arp_tha", "mac"),
    b"NXM_OF_ARP_SPA": (b"arp_spa", "ip"),
    b"NXM_OF_ARP_TPA": (b"arp_tpa", "ip"),
    b"NXM_OF_IP_SRC": (b"ip_src", "ip"),
    b"NXM_OF_IP_DST": (b"ip_dst", "ip"),
    b"NXM_OF_ARP_OP": (b"arp_op", "decimal"),
    b"NXM_NX_IP_TTL": (b"nw_ttl", "decimal"),
    b"NXM_NX_IP_ECN": (b"nw_ecn", "decimal"),
}
"""Fields that OpenFlow 1.0 loads and 1.5 sets, with the form in which that prints the value."""
_SPELLINGS = [
    (re.compile(rb"\bgoto_table:(\d+)"), rb"resubmit(,\1)"),
    (re.compile(rb"\bstrip_vlan\b"), rb"pop_vlan"),
    (re.compile(rb"\bmod_dl_(src|dst):([0-9a-f:]+)"), rb"set_field:\2->eth_\1"),
    (re.compile(rb"\bmod_nw_(src|dst):([0-9.]+)"), rb"set_field:\2->ip_\1"),
    (re.compile(rb"\b(?:mod|set)_vlan_pcp:(\d+)"), rb"set_field:\1->vlan_pcp"),
    (re.compile(rb"\bset_vlan_vid:([^,]+)"), rb"set_field:\1->vlan_vid"),
    (re.compile(rb"\bmod_nw_ecn:(\d)"), rb"set_field:\1->nw_ecn"),
    (re.compile(rb"/0x3->nw_ecn\b"), rb"->nw_ecn"),
    (re.compile(rb"\bmod_nw_ttl:(\d+)"), rb"set_field:\1->nw_ttl"),
    (re.compile(rb"\bclear_actions\b"), rb"drop"),
    (re.compile(rb"\bmod_tp_(src|dst):(\d+)"), rb"set_field:\2->tp_\1"),
    (re.compile(rb"->(?:tcp|udp|sctp)_(src|dst)\b"), rb"->tp_\1"),
    (re.compile(rb"\b(?:tcp|udp|sctp)_(src|dst)="), rb"tp_\1="),
    (re.compile(rb"\beth_(src|dst)="), rb"dl_\1="),
    (re.compile(rb"\bicmpv6_(type|code)="), rb"icmp_\1="),
    (re.compile(rb"(?<![\w.])igmp(?!\w)"), rb"ip,nw_proto=2"),
    (re.compile(rb"\bslaves:"), rb"members:"),
    (re.compile(rb"([=:])0x0\b(?!/)"), rb"\g<1>0"),
]
_PUSHED = re.compile(rb"push_vlan:0x8100,set_field:([^,]*)->vlan_vid")
_PUSHED_PRIORITY = re.compile(rb"push_vlan:0x8100,(set_field:[^,]*->vlan_pcp)")


@dataclasses.dataclass(frozen=True)
class Names:
    """What the numbers in the flows of one bridge stand for."""

    ports: Mapping[int, str]
    networks: Mapping[int, str]
    """By local VLAN."""


def names(switch: state.State, bridge: str) -> Names:
    """Return what the numbers in a bridge's flows stand for, as the database of that time says."""
    ports = {one.ofport: one.name for one in switch.ports_of(bridge) if one.ofport is not None and one.ofport > 0}
    found = {one.local_vlan: one.network for one in switch.ports_of(INTEGRATION) if one.local_vlan and one.network}
    return Names(ports, found)


def together(before: Names, after: Names) -> tuple[Names, Names]:
    """Let each know by the other what its own database does not say, for flows that outlive their port.

    A number means there what it meant here, unless that database gives the number, or its name, another meaning.
    """
    return (
        Names(_more(before.ports, after.ports), _more(before.networks, after.networks)),
        Names(_more(after.ports, before.ports), _more(after.networks, before.networks)),
    )


def _more(own: Mapping[int, str], others: Mapping[int, str]) -> dict[int, str]:
    taken = set(own.values())
    return {**{number: name for number, name in others.items() if number not in own and name not in taken}, **own}


def texts(chunk: bytes) -> list[bytes]:
    """Return what each flow of a chunk says: table, timeouts, match and actions, without cookie, counters and ages.

    Args:
        chunk: Whole lines of `dump-flows`, each a flow; the result has as many.
    """
    if not chunk:
        return []
    if b"learn(" in chunk:  # whose flows get the cookie of the agent that ran then
        chunk = _LEARN_COOKIE.sub(b",cookie=*", chunk)
    lines = chunk.rstrip(b"\n").split(b"\n")
    rest = 6 if b", idle_age=" in lines[0] else 5  # as each flow has it, with OpenFlow 1.0 and 1.5
    return [
        parts[2] + b", " + parts[rest]
        if len(parts := line.split(b", ", rest)) > rest and parts[rest].startswith(b"priority=")
        else _text(line)
        for line in lines
    ]


def _text(line: bytes) -> bytes:
    """Return what one flow says that has a time limit, a flag, or no priority; a line that is no flow as it is."""
    parts = line.split(b", ", 5)
    if len(parts) < 6:
        return line.strip()
    head, word, actions = parts[5].partition(b"actions=")
    return parts[2] + b", " + _NOISE.sub(b"", head) + word + actions


def is_timed(text: bytes) -> bool:
    """Whether a flow goes by itself after a time."""
    return b"_timeout=" in text and _TIMEOUT.search(text.partition(b"actions=")[0]) is not None


class Wording(dict[bytes, bytes]):
    """The fields of one bridge's flows that have been understood, with names for numbers."""

    def __init__(self, bridge: str, names: Names, *, spelt: bool = True) -> None:
        """Begin with none.

        Args:
            bridge: The bridge's name: what a register or a VLAN means depends on it.
            names: What the numbers stand for.
            spelt: Whether to choose one spelling, for comparison; else only names are put in, for people.
        """
        super().__init__()
        self._spelt = spelt
        ports = {number: _quoted(name) for number, name in names.ports.items()}
        networks = {number: _quoted(name) for number, name in names.networks.items()}
        known: dict[tuple[bytes, bytes], Mapping[int, bytes]] = dict.fromkeys(_PORT_TOKENS, ports)
        if bridge in (INTEGRATION, TUNNEL):
            known |= dict.fromkeys(_VLAN_TOKENS, networks)
        if bridge == INTEGRATION:
            known |= dict.fromkeys(_REGISTER_5, ports) | dict.fromkeys(_REGISTER_6, networks)
        known[b"local_vlan=", b""] = networks
        self._known = known
        # Neutron's patches to and from physical bridges: on their far side a VLAN is the provider's.
        ours, theirs = (b"int-", b"provider_vlan=") if bridge == INTEGRATION else (b"phy-", b"local_vlan=")
        self._patches = [
            (b"in_port=%d,dl_vlan=" % number, b"in_port=%d,%b" % (number, theirs))
            for number, name in ports.items()
            if name.startswith(ours)
        ]
        self._is_physical = bridge != INTEGRATION and bool(self._patches)

    def meanings(self, texts: Iterable[bytes]) -> list[bytes]:
        """Return flows as `texts` gives them, with names for numbers, and spelt in one way."""
        if self._patches:
            texts = [self._marked(text) for text in texts]
        get = self.__getitem__
        return [b",".join(map(get, text.split(b","))) for text in texts]

    def __missing__(self, field: bytes) -> bytes:
        if len(self) >= _MOST:
            self.clear()
        match, word, action = field.partition(b" actions=")
        if word:
            said = self[match] + word + self[action]
        elif field.startswith(_ADDRESSES):
            said = field
        else:
            said = _TOKEN.sub(self._named, field)
            if self._spelt and _SPELT.search(said):
                said = _spell(said)
        self[field] = said
        return said

    def _marked(self, text: bytes) -> bytes:
        """Tell a provider's VLAN from a local one where only the port beside it does."""
        for plain, marked in self._patches:
            if plain in text:
                return text.replace(plain, marked)
        if self._is_physical and text.startswith((b"table=1,", b"table=2,")):  # of distributed routers
            return text.replace(b"dl_vlan=", b"local_vlan=", 1)
        return text

    def _named(self, found: re.Match[bytes]) -> bytes:
        start, number, end = found.groups(default=b"")
        known = self._known.get((start, end))
        if start in (b"provider_vlan=", b"local_vlan="):
            start = b"dl_vlan="
        is_present = end in (b"->vlan_vid", b"/0x1fff")  # with bit 12 of a VLAN that is there (ovs-fields(7))
        if known is None and not is_present:
            return start + number + end
        value = int(number, 0)
        if is_present and not value & 0x1000:
            return found[0]
        vlan_or_port = value & 0xFFF if is_present else value
        name = known.get(vlan_or_port) if known else None
        if name is None and not (self._spelt and is_present):
            return start + number + end
        return _in_one_form(start, name or b"%d" % vlan_or_port, end)


def _in_one_form(start: bytes, name: bytes, end: bytes) -> bytes:
    if end == b"/0x1fff":
        return b"dl_vlan=" + name
    if start == b"load:":
        return b"set_field:" + name + (b"->reg5" if end == b"->NXM_NX_REG5[]" else b"->reg6")
    return start + name + end


def _spell(field: bytes) -> bytes:
    field = _TOS.sub(lambda found: b"set_field:%d->ip_dscp" % (int(found[1]) >> 2), _LOAD.sub(_set, field))
    for pattern, spelling in _SPELLINGS:
        field = pattern.sub(spelling, field)
    return field


def _set(found: re.Match[bytes]) -> bytes:
    """Write a load as the setting of a field, of some bits with their mask."""
    if found[2] not in _LOADED:
        return found[0]
    name, form = _LOADED[found[2]]
    value = int(found[1], 0)
    if found[3] is not None:
        first, last = int(found[3]), int(found[4] or found[3])
        if form != "hex" or last < first:
            return found[0]
        return b"set_field:%b/%#x->%b" % (
            b"%#x" % (value << first) if value else b"0",
            (2 << last) - (1 << first),
            name,
        )
    if form == "mac":
        said = value.to_bytes(6, "big").hex(":") if value < 1 << 48 else str(value)
    elif form == "ip":
        said = str(ipaddress.IPv4Address(value)) if value < 1 << 32 else str(value)
    else:
        said = f"{value:#x}" if form == "hex" and value else str(value)
    return b"set_field:%b->%b" % (said.encode(), name)


def _quoted(name: str) -> bytes:
    """Return a name that is no number, so that it cannot be taken for one that stands for nothing."""
    return (name if _PLAIN_NAME.fullmatch(name.replace("/", "_")) else f'"{name}"').encode()


def arranged(text: bytes, *, pushed: bool) -> bytes:
    """Return a flow with the fields of its match in order.

    Args:
        text: A flow as `Wording.meanings` gives it.
        pushed: Whether the pushing of a VLAN tag and the setting of it are to be one, as OpenFlow 1.0 has it.
    """
    head, word, actions = text.partition(b"actions=")
    if pushed and b"push_vlan" in actions:
        actions = _PUSHED_PRIORITY.sub(rb"\1", _PUSHED.sub(rb"mod_vlan_vid:\1", actions))
    table, *fields = (field.strip() for field in head.split(b","))
    return table + b", " + b",".join(sorted(field for field in fields if field)) + b" " + word + actions
