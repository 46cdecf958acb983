"""Datapath actions: where a packet goes in the end (ovs-dpctl(8), `odp-util.c`)."""

import re
from collections.abc import Iterator

from .. import path

_TUNNEL_SET = re.compile(r"^set\(tunnel\((?P<fields>.*)\)\)$", re.DOTALL)
_PUSH = re.compile(r"^tnl_push\((?P<fields>.*)\)$", re.DOTALL)
_NESTED = re.compile(
    r"^(?:clone|sample|actions|check_pkt_len|gt|le|dec_ttl|le_1)\((?P<inner>.*)\)$",
    re.DOTALL,
)
_VLAN = re.compile(r"^(?:push_vlan|set\(vlan)\((?:tpid=0x[0-9a-f]+,)?vid=(?P<vid>\d+)\b")
_PORT = re.compile(r"^[A-Za-z0-9_.:@-]+$")
_NOT_PORTS = {"drop", "pop_vlan", "pop_eth", "pop_nsh", "ct", "ct_clear", "pop_mpls", "<empty>"}


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

    def __str__(self) -> str:
        if not self.remote:
            return f"datapath port {self.port}" + (f" with VLAN tag {self.vlan}" if self.vlan is not None else "")
        return f"the tunnel to {self.remote}" + (f" with key {self.key:#x}" if self.key is not None else "")


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
    return follow(text)[0]


def follow(text: str, vlan: int | None = None) -> tuple[list[Output], list[int | None]]:
    """Return where these datapath actions send a packet, and the VLAN tag that it has at each recirculation.

    Args:
        text: The actions.
        vlan: The VLAN tag with which the packet comes to them; None for none.
    """
    recirculated: list[int | None] = []
    return list(_outputs(text, _Header(vlan=vlan, recirculated=recirculated))), recirculated


class _Header:
    """The tunnel header that the next packet out would get."""

    def __init__(
        self,
        remote: str = "",
        key: int | None = None,
        port: str = "",
        *,
        pushed: bool = False,
        vlan: int | None = None,
        recirculated: list[int | None] | None = None,
    ) -> None:
        self.remote = remote
        self.key = key
        self.vlan = vlan
        self.port = port
        """The kernel's port for tunnels of this type; empty until it is seen."""
        self.pushed = pushed
        self.recirculated = [] if recirculated is None else recirculated
        """The VLAN tag at each recirculation so far; copies of the packet share it."""

    def copy(self) -> "_Header":
        return _Header(
            self.remote,
            self.key,
            self.port,
            pushed=self.pushed,
            vlan=self.vlan,
            recirculated=self.recirculated,
        )

    def replaced(self, remote: str, key: int | None, *, pushed: bool = False) -> "_Header":
        """Return another tunnel header for the same packet."""
        return _Header(remote, key, pushed=pushed, vlan=self.vlan, recirculated=self.recirculated)

    def output(self, port: str) -> Output:
        """Send the packet out of a port; a header that was pushed is on this packet alone."""
        if self.pushed:
            sent = Output(port=port, remote=self.remote, key=self.key)
            self.remote, self.key, self.pushed = "", None, False
            return sent
        if not self.remote:
            return Output(port=port, vlan=self.vlan)
        self.port = self.port or port
        return Output(port=port, remote=self.remote, key=self.key) if port == self.port else Output(port=port)


def _outputs(text: str, header: _Header) -> Iterator[Output]:
    for part in split(text):
        if (tunnel := _TUNNEL_SET.match(part)) is not None:
            fields = tunnel["fields"]
            header = header.replaced(_field(fields, "dst", "ipv6_dst"), _key(fields))
        elif (push := _PUSH.match(part)) is not None:
            if header.pushed:
                yield header.output("")
            header = header.replaced(_outer_destination(push["fields"]), _key(push["fields"]), pushed=True)
        elif (tag := _VLAN.match(part)) is not None:
            header.vlan = int(tag["vid"])
        elif part == "pop_vlan":
            header.vlan = None
        elif (nested := _NESTED.match(part)) is not None:
            yield from _outputs(nested["inner"], header.copy())
        elif part.startswith("recirc("):
            header.recirculated.append(header.vlan)
        elif part not in _NOT_PORTS and _PORT.match(part):
            yield header.output(part)
    if header.pushed:
        yield header.output("")


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
    found = re.search(r"(?:tun_id|key|vni)=(0x[0-9a-fA-F]+|\d+)", fields)
    return int(found[1], 0) if found else None
