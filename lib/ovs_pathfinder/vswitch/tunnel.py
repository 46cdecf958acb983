"""Tunnel ports: how Neutron's agent names them, and what the switch counts and knows of their far ends."""

import base64
import functools
import hashlib
import ipaddress
import re

from .. import path, process
from . import ofctl

_NAME_LENGTH = 15
"""Of a device's name, without the zero at its end (DEVICE_NAME_MAX_LEN of Neutron)."""
_PORT = re.compile(
    r"^\s*port\s+\"?(?P<port>[^\s:\"]+)\"?: rx pkts=(?P<rx_packets>\d+|\?), bytes=(?P<rx_bytes>\d+|\?).*\n"
    r"\s+tx pkts=(?P<tx_packets>\d+|\?), bytes=(?P<tx_bytes>\d+|\?)",
    re.MULTILINE,
)
_NEIGHBOUR = re.compile(r"^(?P<address>[0-9a-f.:]+)\s+(?P<mac>(?:[0-9a-f]{2}:){5}[0-9a-f]{2})\s+(?P<bridge>\S+)", re.M)
_OVERHEAD = {"gre": 20 + 8 + 14, "vxlan": 20 + 8 + 8 + 14, "geneve": 20 + 8 + 8 + 14}
"""Bytes around an inner IP packet: IPv4, GRE with a key or UDP with its tunnel header, Ethernet; without options."""


class Counters(path.Model):
    """What passed a port of the switch."""

    rx_packets: int = 0
    rx_bytes: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0

    def since(self, earlier: "Counters") -> "Counters":
        """Return what passed after an earlier count."""
        return Counters(
            rx_packets=self.rx_packets - earlier.rx_packets,
            rx_bytes=self.rx_bytes - earlier.rx_bytes,
            tx_packets=self.tx_packets - earlier.tx_packets,
            tx_bytes=self.tx_bytes - earlier.tx_bytes,
        )


def name(type_: str, remote: str) -> str:
    """Return the name that Neutron's agent gives to the port towards an address; empty for what is no address.

    `get_tunnel_hash` of `neutron/plugins/ml2/drivers/openvswitch/agent/ovs_neutron_agent.py`: an IPv4 address in hex,
    or as much of the SHA-1 of an IPv6 address, as it is written, in base 32 as a device's name has room for.
    """
    try:
        address = ipaddress.ip_address(remote)
    except ValueError:
        return ""
    if address.version == 4:
        return f"{type_}-{int(address):08x}"
    digest = hashlib.sha1(remote.encode(), usedforsecurity=False).digest()
    return f"{type_}-{base64.b32encode(digest).decode().lower()[: _NAME_LENGTH - len(type_) - 1]}"


def named_address(port: str) -> str:
    """Return the IPv4 address in a tunnel port's name; empty where there is none."""
    digits = port.rpartition("-")[2]
    return str(ipaddress.IPv4Address(int(digits, 16))) if re.fullmatch(r"[0-9a-f]{8}", digits) else ""


def inner_mtu(type_: str, mtu: int, remote: str) -> int | None:
    """Return the largest IP packet that fits into a tunnel's packet of `mtu` bytes; None where that is not known."""
    overhead = _OVERHEAD.get(type_)
    return None if overhead is None or not mtu else mtu - overhead - (20 if ":" in remote else 0)


def read_counters(bridge: str) -> dict[str, Counters]:
    """Return what a bridge's ports have counted up to now, by their OpenFlow numbers.

    The database has the same numbers, up to five seconds old.

    Raises:
        ProcessError: ovs-vswitchd does not answer.
    """
    return parse_counters(process.run(ofctl.command(bridge, ["dump-ports"], patience=5), timeout=8))


def parse_counters(text: str) -> dict[str, Counters]:
    """Read what `ovs-ofctl dump-ports` prints; a `?` stands for what the device does not count."""
    return {
        found["port"]: Counters(
            **{key: int(value) for key, value in found.groupdict().items() if key != "port" and value != "?"}
        )
        for found in _PORT.finditer(text)
    }


def read_neighbours() -> dict[str, str]:
    """Return the MAC addresses of neighbours that the switch itself knows, by address: the datapath in userspace does.

    Raises:
        ProcessError: ovs-vswitchd does not answer.
    """
    return parse_neighbours(process.run(["ovs-appctl", "--timeout=5", "tnl/neigh/show"], timeout=8))


def parse_neighbours(text: str) -> dict[str, str]:
    """Read what `ovs-appctl tnl/neigh/show` prints."""
    return {str(ipaddress.ip_address(found["address"])): found["mac"] for found in _NEIGHBOUR.finditer(text)}


@functools.lru_cache(maxsize=4096)
def canonical(address: str) -> str:
    """Return an IP address in its canonical form, and a word such as `flow` as it is."""
    return str(ipaddress.ip_address(address)) if is_address(address) else address


def is_address(text: str) -> bool:
    """Return whether a tunnel's option is an IP address; one with a zone, which may hold any text, is none here."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def same(first: str, second: str) -> bool:
    """Return whether both are one address; an empty one is like none."""
    return bool(first) and canonical(first) == canonical(second)
