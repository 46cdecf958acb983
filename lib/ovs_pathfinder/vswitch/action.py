"""Datapath actions: where a packet goes in the end (ovs-actions(7), `format_odp_action` in `odp-util.c`)."""

import re
from collections.abc import Callable, Mapping

from .. import path

_PORT = re.compile(r"[A-Za-z0-9_.:@-]+")
_VID = re.compile(r"\bvid=([0-9]{1,4})\b")
_DEEPEST = 32
"""Lists of actions within one another: more than ovs-vswitchd makes, and fewer than Python can follow."""
_SAMPLED = ("sFlow", "ipfix", "flow_sample")
"""What `userspace` hands over for statistics alone."""


class Output(path.Model):
    """One place that a packet leaves through."""

    port: str
    """The datapath port, by number or name as printed; empty for a tunnel header without an output behind it."""
    remote: str = ""
    """The tunnel's other end; empty for a device."""
    key: int | None = None
    """The tunnel's key, where it has one."""
    vlan: int | None = None
    """The VLAN tag that these actions gave the packet; None where they gave it none."""
    bond: int | None = None
    """The number of the bond that chooses the port; `port` is then its name, and empty where that is not known."""

    def __str__(self) -> str:
        if self.remote:
            return f"the tunnel to {self.remote}" + (f" with key {self.key:#x}" if self.key is not None else "")
        where = f"datapath port {self.port}" if self.bond is None else f"bond {self.port or self.bond}"
        return where + (f" with VLAN tag {self.vlan}" if self.vlan is not None else "")


class Fork(path.Model):
    """A recirculation: the packet, or a copy of it, comes back to the datapath and goes on by other flows."""

    number: int
    vlans: tuple[int, ...] = ()
    """The VLAN tags that it has then, the outermost last."""
    leaving: Output | None = None
    """How it leaves if this is how a bond chooses its port (`hash(…),recirc(…)`); None where that cannot be."""


class Followed(path.Model):
    """Where a list of actions leads."""

    outputs: tuple[Output, ...] = ()
    forks: tuple[Fork, ...] = ()
    to_controller: bool = False
    beyond: tuple[str, ...] = ()
    """Phrases on what leads out of sight of a trace."""
    unknown: tuple[str, ...] = ()
    """Phrases on actions that were not understood."""


def split(text: str) -> list[str]:
    """Part a list of actions at its outermost commas."""
    parts: list[str] = []
    depth = 0
    start = 0
    for position, character in enumerate(text):
        if character in "({":
            depth += 1
        elif character in ")}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def outputs(text: str) -> list[Output]:
    """Return where these datapath actions send the packet, tunnels of both datapaths told from devices.

    The kernel's datapath prints `set(tunnel(tun_id=0x2f1,dst=172.20.0.209,…)),2`: a header that stays with the packet,
    and that only the tunnel's port, the first that follows, puts to use. The one in userspace prints
    `tnl_push(tnl_port(6),header(…),out_port(2)),1`, where 1 is the device that carries the tunnel's packet.
    """
    return list(follow(text).outputs)


def follow(text: str, vlans: tuple[int, ...] = ()) -> Followed:
    """Return where these datapath actions lead.

    Args:
        text: The actions.
        vlans: The VLAN tags with which the packet comes to them, the outermost last.
    """
    way = _Way()
    _Packet(way, vlans).meet(text)
    return Followed(
        outputs=tuple(way.outputs),
        forks=tuple(way.forks),
        to_controller=way.to_controller,
        beyond=tuple(way.beyond),
        unknown=tuple(way.unknown),
    )


class _Way:
    """What has been found out so far, of all copies of a packet."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []
        self.forks: list[Fork] = []
        self.beyond: list[str] = []
        self.unknown: list[str] = []
        self.to_controller = False


class _Packet:
    """One copy of the packet, on its way through a list of actions."""

    def __init__(self, way: _Way, vlans: tuple[int, ...], depth: int = 0) -> None:
        self.way = way
        self.vlans = vlans
        self.depth = depth
        """In how many lists of actions these actions are."""
        self.remote = ""
        self.key: int | None = None
        """With `remote`, the tunnel header that the next packet out gets."""
        self.tunnel_port = ""
        """The kernel's port for tunnels of this type; empty until it is seen."""
        self.pushed = False
        """Whether the header is on the packet already, as the datapath in userspace puts it."""
        self.hashed = False
        """Whether the action before computed a hash, as for a bond."""

    def meet(self, text: str) -> None:
        """Follow this copy through actions, and a further copy through each list of actions within them."""
        if self.depth > _DEEPEST:
            self.way.unknown.append(f"actions nest deeper than {_DEEPEST} lists")
            return
        for part in split(text):
            name, bracket, inner = part.partition("(")
            decoder = _DECODERS.get(name)
            if decoder is not None and (not bracket or inner.endswith(")")):
                decoder(self, inner.removesuffix(")"))
            elif _PORT.fullmatch(part):
                self.way.outputs.append(self.leave(part))
            else:
                self.way.unknown.append(f"the datapath action {part[:60]!r} is not known")
            self.hashed = name == "hash"
        if self.pushed:
            self.way.outputs.append(self.leave(""))

    def copy(self) -> "_Packet":
        """Return another packet that is like this one."""
        other = _Packet(self.way, self.vlans, self.depth + 1)
        other.remote, other.key, other.pushed, other.tunnel_port = self.remote, self.key, self.pushed, self.tunnel_port
        return other

    def encapsulate(self, remote: str, key: int | None, *, pushed: bool) -> None:
        """Give the packet another tunnel header."""
        self.remote, self.key, self.pushed, self.tunnel_port = remote, key, pushed, ""

    def leave(self, port: str, bond: int | None = None) -> Output:
        """Send the packet out; a header that was pushed is on this packet alone."""
        if self.pushed:
            sent = Output(port=port, remote=self.remote, key=self.key, bond=bond)
            self.encapsulate("", None, pushed=False)
            return sent
        if not self.remote or bond is not None:
            return Output(port=port, vlan=self.vlans[-1] if self.vlans else None, bond=bond)
        self.tunnel_port = self.tunnel_port or port
        is_tunnel = port == self.tunnel_port
        return Output(port=port, remote=self.remote, key=self.key) if is_tunnel else Output(port=port)


# What each action does with the packet


def _stays(packet: _Packet, inner: str) -> None:
    """The packet goes on as before: its way out is not touched."""


def _set(packet: _Packet, inner: str) -> None:
    name, _, fields = inner.partition("(")
    fields = fields.removesuffix(")")
    if name == "tunnel":
        packet.encapsulate(_field(fields, "dst", "ipv6_dst"), _key(fields), pushed=False)
    elif name == "vlan" and (tag := _VID.search(fields)) is not None:
        packet.vlans = (*packet.vlans[:-1], int(tag[1]))


def _push_vlan(packet: _Packet, inner: str) -> None:
    tag = _VID.search(inner)
    packet.vlans = (*packet.vlans, int(tag[1]) if tag else 0)


def _pop_vlan(packet: _Packet, inner: str) -> None:
    packet.vlans = packet.vlans[:-1]


def _push_tunnel(packet: _Packet, inner: str) -> None:
    if packet.pushed:
        packet.way.outputs.append(packet.leave(""))
    packet.encapsulate(_outer_destination(inner), _key(inner), pushed=True)


def _pop_tunnel(packet: _Packet, inner: str) -> None:
    packet.way.beyond.append("it is taken out of a tunnel, and what becomes of it then was not traced")


def _copies(packet: _Packet, inner: str) -> None:
    """Follow a copy: `clone(…)`."""
    packet.copy().meet(inner)


def _branches(packet: _Packet, inner: str) -> None:
    """Follow a copy through each list in `sample(sample=…,actions(…))` and `check_pkt_len(size=…,gt(…),le(…))`."""
    for part in split(inner):
        name, bracket, actions = part.partition("(")
        if bracket and name in ("actions", "gt", "le"):
            packet.copy().meet(actions.removesuffix(")"))


def _recirculate(packet: _Packet, inner: str) -> None:
    number = _number(inner)
    if number is None:
        packet.way.unknown.append(f"the recirculation {inner[:60]!r} has no number")
        return
    vlans = packet.vlans
    leaving = packet.leave("", number) if packet.hashed else None
    packet.way.forks.append(Fork(number=number, vlans=vlans, leaving=leaving))


def _balance(packet: _Packet, inner: str) -> None:
    """A bond that hashes by itself (`other_config:lb-output-action`, the datapath in userspace alone)."""
    number = _number(inner)
    if number is None:
        packet.way.unknown.append(f"the bond {inner[:60]!r} has no number")
    else:
        packet.way.outputs.append(packet.leave("", number))


def _hand_over(packet: _Packet, inner: str) -> None:
    kinds = {part.partition("(")[0] for part in split(inner)}
    if "controller" in kinds:
        packet.way.to_controller = True
    elif not kinds.intersection(_SAMPLED):
        packet.way.beyond.append("it is handed to ovs-vswitchd")


_Decoder = Callable[[_Packet, str], None]

_UNTOUCHED = ("drop", "<empty>", "ct", "ct_clear", "hash", "meter", "trunc", "psample", "dec_ttl")
"""`dec_ttl(le_1(…))` says what becomes of a packet whose time to live ends here: no probe's does."""
_HEADERS = ("push_eth", "pop_eth", "push_mpls", "add_mpls", "pop_mpls", "push_nsh", "pop_nsh", "encap_nsh", "decap_nsh")
_DECODERS: Mapping[str, _Decoder] = {
    **dict.fromkeys((*_UNTOUCHED, *_HEADERS), _stays),
    "set": _set,
    "push_vlan": _push_vlan,
    "pop_vlan": _pop_vlan,
    "tnl_push": _push_tunnel,
    "tnl_pop": _pop_tunnel,
    "clone": _copies,
    "sample": _branches,
    "check_pkt_len": _branches,
    "recirc": _recirculate,
    "lb_output": _balance,
    "userspace": _hand_over,
}
"""By name; what stands in none is a port, or not known."""


def _number(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return None


def _field(fields: str, *names: str) -> str:
    for part in split(fields):
        name, _, value = part.partition("=")
        if name in names:
            return value
    return ""


def _outer_destination(fields: str) -> str:
    found = re.search(r"ipv[46]\((?P<header>[^()]*)\)", fields)
    return _field(found["header"], "dst") if found else ""


def _key(fields: str) -> int | None:
    found = re.search(r"(?:tun_id|key|vni)=(0x[0-9a-fA-F]{1,16}|[0-9]{1,20})\b", fields)
    return _number(found[1]) if found else None
