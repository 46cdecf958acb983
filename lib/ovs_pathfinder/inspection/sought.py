"""What an operator names when a port is meant: an address, a MAC, an id or its start, a device, a unit, a name."""

import dataclasses
import ipaddress
import re
from typing import Literal

from ..cloud import search

Kind = Literal["address", "mac", "id", "start", "unit", "name"]

_MAC = re.compile(r"[0-9a-f]{12}")
_START = re.compile(r"[0-9a-f]{6,8}|[0-9a-f]{8}-[0-9a-f-]{0,27}")
_DEVICE = re.compile(r"(?:tap|qv[obm]|qbr|vhu|[ts]pt|qr-|qg-|sg-|fg-|ha-)(?P<start>[0-9a-f]{8}-[0-9a-f]{2})")
"""Prefixes of Neutron's and Nova's device names (`neutron_lib.constants`, `nova.network.model`), then 11 characters."""
NEUTRONS = "fa"
"""First byte of the MAC addresses that Neutron gives (`base_mac`)."""


@dataclasses.dataclass(frozen=True)
class Sought:
    """A text, and what it was taken for."""

    text: str
    kind: Kind
    address: str = ""
    """In the form that Neutron stores."""
    macs: tuple[str, ...] = ()
    """What was given, then what it may stand for."""
    start: str = ""
    """Of a port's id, or the whole of some id."""
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Say what it was taken for."""
        names = {
            "address": "an IP address",
            "mac": "a MAC address",
            "id": "an id",
            "start": "a device, or the start of a port's id",
            "unit": "a unit",
            "name": "a name",
        }
        return names[self.kind]


def read(text: str) -> Sought:
    """Say what a text can be; what is nothing else is a name."""
    if address := _address(text):
        return _of_address(text, address)
    digits = re.sub(r"[:.-]", "", text.lower())
    parted = re.fullmatch(r"[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}|([0-9a-f]{4}\.){2}[0-9a-f]{4}", text.lower())
    if parted and _MAC.fullmatch(digits):
        return _of_mac(text, ":".join(digits[place : place + 2] for place in range(0, 12, 2)))
    if search.is_unit(text):
        return Sought(text, "unit")
    lower = text.lower()
    if search.is_identifier(text):
        return Sought(text, "id", start=lower)
    if device := _DEVICE.fullmatch(lower):
        return Sought(text, "start", start=device["start"])
    if _START.fullmatch(lower) and _is_start(lower):
        return Sought(text, "start", start=lower)
    return Sought(text, "name")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address in brackets, with a zone or with a prefix's length, too."""
    bare = text.partition("/")[0].strip("[]").partition("%")[0]
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _of_address(text: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Sought:
    mac = mac_of(str(address))
    if not address.is_link_local:
        return Sought(text, "address", address=str(address), macs=(mac,) if mac else ())
    if not mac:
        note = f"{address} is link-local, which Neutron does not know; only this host was looked at."
        return Sought(text, "address", address=str(address), notes=(note,))
    note = f"{address} is link-local, which Neutron does not know: its MAC address {mac} was looked for."
    return Sought(text, "mac", address=str(address), macs=(mac,), notes=(note,))


def _of_mac(text: str, mac: str) -> Sought:
    if not mac.startswith("fe:"):
        return Sought(text, "mac", macs=(mac,))
    guests = f"{NEUTRONS}{mac[2:]}"
    note = (
        f"{mac} is how libvirt gives the host's tap device the guest's MAC address, with a first byte of fe; "
        f"the guest's own is {guests}, and packets bear that one."
    )
    return Sought(text, "mac", macs=(mac, guests), notes=(note,))


def _is_start(text: str) -> bool:
    """Whether an id can begin so."""
    shape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
    return all((one == "-") == (wanted == "-") for one, wanted in zip(text, shape, strict=False))


def mac_of(address: str) -> str:
    """Return the MAC address that an IPv6 address was made of (RFC 4291, appendix A); empty where it was not."""
    if ":" not in address:
        return ""
    last = ipaddress.IPv6Address(address).packed[8:]
    if last[3:5] != b"\xff\xfe":
        return ""
    return ":".join(f"{one:02x}" for one in (last[0] ^ 2, *last[1:3], *last[5:]))
