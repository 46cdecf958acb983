"""The host's own view of devices, routes and neighbours (ip-address(8), ip-route(8), ip-neighbour(8))."""

import ipaddress
import json
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from .. import errors, path, process


class Link(path.Model):
    """A network device of this host."""

    name: str
    mac: str = ""
    addresses: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    """The same addresses with the length of their prefix, such as `192.168.77.231/24`."""
    mtu: int = 0
    """Bytes of an IP packet."""
    tx_errors: int = 0
    """Packets that the kernel could not send by it, ever."""
    up: bool = False
    carrier: bool = False

    def on_link(self, address: str) -> str:
        """Return the device's own address in the network that another one is in; empty where it has none."""
        wanted = ipaddress.ip_address(address)
        for text in self.networks:
            own = ipaddress.ip_interface(text)
            # Of /32 and /128 there is no neighbour.
            if own.version == wanted.version and own.network.num_addresses > 1 and wanted in own.network:
                return str(own.ip)
        return ""


class Route(path.Model):
    """How the host would send to an address."""

    device: str
    source: str = ""
    gateway: str = ""
    """Empty where the address is on the device's own network."""


class Neighbour(path.Model):
    """What the host knows of an address on a network of its own; empty where it never asked."""

    state: str = ""
    """`REACHABLE`, `STALE`, `INCOMPLETE`, `FAILED` …"""
    mac: str = ""
    confirmed: int | None = None
    """Whole seconds since it last answered, where that was asked for."""


def _ask(*arguments: str) -> list[dict[str, Any]]:
    return _read(process.run(process.Command(["ip", "-json"], *arguments)))


def _read(text: str) -> list[dict[str, Any]]:
    return json.loads(text) if text.strip() else []


def name(told: str) -> str:
    """Return the host's name, fully qualified where it is known so.

    Args:
        told: What Open vSwitch was told of it. Only where that is no full name is the resolver asked.
    """
    return told if "." in told else socket.getfqdn()


def links() -> tuple[Link, ...]:
    """Return all devices of this host."""
    return tuple(_link(one) for one in _ask("address", "show") if "ifname" in one)


def link(name: str) -> Link | None:
    """Return the device of that name, if this host has it."""
    try:
        found = _ask("-statistics", "address", "show", "dev", name)
    except process.ProcessError:
        return None
    about = next((one for one in found if one.get("ifname") == name), None)
    if about is None:
        return None
    return _link(about)


def _link(about: Mapping[str, Any]) -> Link:
    flags = about.get("flags", [])
    return Link(
        name=about["ifname"],
        mac=about.get("address", ""),
        addresses=tuple(str(one["local"]) for one in about.get("addr_info", []) if "local" in one),
        networks=tuple(f"{one['local']}/{one['prefixlen']}" for one in about.get("addr_info", []) if "local" in one),
        mtu=about.get("mtu", 0),
        tx_errors=about.get("stats64", {}).get("tx", {}).get("errors", 0),
        up="UP" in flags,
        carrier="LOWER_UP" in flags,
    )


def route(address: str, source: str = "", device: str = "") -> Route | None:
    """Return the route to an address, if there is one.

    Args:
        address: The address.
        source: One of this host's addresses, for the route that packets from there take.
        device: A device, for the route by which packets leave through it.
    """
    if not address:
        return None
    bound = [*(("from", source) if source else ()), *(("oif", device) if device else ())]
    try:
        found = _ask("route", "get", address, *bound)
    except process.ProcessError:
        return route(address, device=device) if source else None  # the source is no address of this host's
    return _route(found[0] if found else {})


def routes(wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Route]:
    """Return the routes to many addresses, in one process; those without a route are left out.

    Args:
        wanted: Pairs of an address and one of this host's own, which packets come from; that may be empty.
    """
    asked = list(dict.fromkeys(wanted))
    lines = [f"route get {address} from {source}" if source else f"route get {address}" for address, source in asked]
    if not lines:
        return {}
    try:
        text = process.run(["ip", "-force", "-json", "-batch", "-"], input="\n".join(lines) + "\n")
    except process.ProcessError as error:
        text = error.stdout  # what has no route makes it fail in the end
    known: dict[tuple[str, str], Route] = {}
    for about in _documents(text):
        # It names the source where one was given; for none it has `::` or nothing.
        source = "" if about.get("from", "::") == "::" else about["from"]
        if "dst" in about and (way := _route(about)):
            known[str(ipaddress.ip_address(about["dst"])), source] = way
    keys = {key: (str(ipaddress.ip_address(key[0])), key[1]) for key in asked}
    return {key: known[named] for key, named in keys.items() if named in known}


def _documents(text: str) -> list[Mapping[str, Any]]:
    """Read JSON lists that follow one another."""
    decoder, found, position = json.JSONDecoder(), list[Mapping[str, Any]](), 0
    while (position := text.find("[", position)) >= 0:
        try:
            document, position = decoder.raw_decode(text, position)
        except ValueError:
            break
        found += document
    return found


def _route(about: Mapping[str, Any]) -> Route | None:
    if about.get("type") in ("unreachable", "blackhole", "prohibit") or "dev" not in about:
        return None
    return Route(device=about["dev"], source=about.get("prefsrc", ""), gateway=about.get("gateway", ""))


def neighbours() -> dict[tuple[str, str], Neighbour]:
    """Return what this host knows of all neighbours, by address and device, of both IP versions."""
    return {
        (str(one["dst"]), str(one.get("dev", ""))): Neighbour(
            state=" ".join(one.get("state", [])), mac=one.get("lladdr", "")
        )
        for one in _ask("neighbour", "show")
        if "dst" in one
    }


def neighbour(address: str, device: str) -> str:
    """Return the state of a neighbour entry (`REACHABLE`, `FAILED` …), empty where there is none."""
    return neighbour_entry(address, device).state


def neighbour_entry(address: str, device: str) -> Neighbour:
    """Return what the host knows of a neighbour."""
    try:
        command = process.Command(["ip", "-json", "-statistics", "neighbour", "show"], "to", address, "dev", device)
        found = _read(process.run(command))
    except process.ProcessError:
        return Neighbour()
    known = [
        Neighbour(state=" ".join(one.get("state", [])), mac=one.get("lladdr", ""), confirmed=one.get("confirmed"))
        for one in found
    ]
    return known[0] if known else Neighbour()


def package_version(name: str) -> str:
    """Return the version of an installed Debian package (dpkg-query(1)); empty where there is none."""
    try:
        return process.run(process.Command(["dpkg-query", "--show", "--showformat=${Version}"], name)).strip()
    except errors.PathfinderError:
        return ""
