"""The host's own view of devices, routes and neighbours (ip-address(8), ip-route(8), ip-neighbour(8))."""

import json
from typing import Any

from .. import path, process


class Link(path.Model):
    """A network device of this host."""

    name: str
    mac: str = ""
    addresses: tuple[str, ...] = ()
    up: bool = False
    carrier: bool = False


class Route(path.Model):
    """How the host would send to an address."""

    device: str
    source: str = ""


def _ask(*arguments: str) -> list[dict[str, Any]]:
    text = process.run(["ip", "-json", *arguments]).strip()
    return json.loads(text) if text else []


def link(name: str) -> Link | None:
    """Return the device of that name, if this host has it."""
    try:
        found = _ask("address", "show", "dev", name)
    except process.ProcessError:
        return None
    about = next((one for one in found if one.get("ifname") == name), None)
    if about is None:
        return None
    flags = about.get("flags", [])
    return Link(
        name=name,
        mac=about.get("address", ""),
        addresses=tuple(str(one["local"]) for one in about.get("addr_info", []) if "local" in one),
        up="UP" in flags,
        carrier="LOWER_UP" in flags,
    )


def route(address: str, source: str = "") -> Route | None:
    """Return the route to an address, if there is one; with `source`, the one that packets from there take."""
    if not address:
        return None
    try:
        found = _ask("route", "get", address, *(("from", source) if source else ()))
    except process.ProcessError:
        return route(address) if source else None  # the source is no address of this host's
    about = found[0] if found else {}
    if about.get("type") in ("unreachable", "blackhole", "prohibit") or "dev" not in about:
        return None
    return Route(device=about["dev"], source=about.get("prefsrc", ""))


def neighbour(address: str, device: str) -> str:
    """Return the state of a neighbour entry (`REACHABLE`, `FAILED` …), empty where there is none."""
    try:
        found = _ask("neighbour", "show", "to", address, "dev", device)
    except process.ProcessError:
        return ""
    states = [" ".join(one.get("state", [])) for one in found]
    return states[0] if states else ""
