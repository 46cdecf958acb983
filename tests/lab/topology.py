"""The lab's fixed facts: hosts, ports, addresses and ids, those of a real management network of Octavia."""

import dataclasses
import ipaddress
from typing import Literal

NetworkType = Literal["gre", "vxlan", "vlan", "flat"]
IpVersion = Literal[4, 6]

SEGMENT = 0x2F1
VLAN = 1
"""The local VLAN that the agent of each host gives the network."""

MTU: dict[NetworkType, int] = {"gre": 1458, "vxlan": 1450, "vlan": 1500, "flat": 1500}
PHYSICAL, PHYSICAL_BRIDGE = "physnet1", "br-phy"
"""Neutron's name of the physical network, and the bridge of each host that leads to it."""

NETWORK = "0209e5b1-3eed-4d72-bbf3-eaff1b97d241"
SUBNET6 = "e4f5ce87-759a-465a-9d89-0e43066a6c6a"
SUBNET4 = "f13baf85-bb95-4b1d-8e16-0b1ec06fc98f"
PREFIX6 = "fc00:5896:ff23:44dc::/64"
PREFIX4 = "192.168.77.0/24"
HEALTH_GROUP = "c01a6b7c-55e6-49ba-a141-d67401c42b6d"
AMPHORA_GROUP = "7739e40f-679c-4d9f-ac84-c99d700399d8"
PROJECT = "74333ef2bac5444ea3bd6fd7b663dfa0"

API_PORT = 9443
HEARTBEAT_PORT = 5555

CONTROL_ADDRESS = "10.254.0.1"
CLOUD_PORT = 5000
MANAGEMENT_PREFIX = 24
UNDERLAY_PREFIX = 24


@dataclasses.dataclass(frozen=True)
class Site:
    """A host: its names and addresses."""

    key: str
    hostname: str
    tunnel_address: str
    management_address: str
    agent: str
    system_id: str

    @property
    def underlay_mac(self) -> str:
        """The MAC of the bridge that holds the tunnel's end."""
        return f"52:54:00:00:00:{int(self.tunnel_address.rsplit('.', 1)[1]):02x}"


@dataclasses.dataclass(frozen=True)
class Interface:
    """A port of the network, seen from its owner: where it is plugged and how it is addressed."""

    key: str
    port: str
    mac: str
    address6: str
    address4: str
    device: str
    amphora: str = ""
    server: str = ""
    role: str = ""
    parent: "Interface | None" = None
    """The parent port of the trunk whose subport it is; `device` is then its patch port on br-int."""

    @property
    def tap(self) -> str:
        """The device by which its guest hangs on the switch."""
        return self.parent.device if self.parent else self.device

    def address(self, ip: IpVersion) -> str:
        """Return the address of that version."""
        return self.address6 if ip == 6 else self.address4

    @property
    def link_local(self) -> str:
        """The link-local address that follows from the MAC (RFC 4291, appendix A)."""
        digits = bytes.fromhex(self.mac.replace(":", ""))
        identifier = bytes([digits[0] ^ 2, *digits[1:3], 0xFF, 0xFE, *digits[3:]])
        return str(ipaddress.IPv6Address(bytes.fromhex("fe80000000000000") + identifier))

    @property
    def tap_mac(self) -> str:
        """The MAC of the host's end: libvirt takes the guest's with a first byte of fe."""
        return "fe" + self.mac[2:]


OCTAVIA = Site(
    key="octavia",
    hostname="juju-7091df-zaza-d0217f8a78e8-10.project.serverstack",
    tunnel_address="172.20.0.139",
    management_address="10.254.0.10",
    agent="1a68572b-6eff-4ad8-a855-26a16f6344b0",
    system_id="5baab89a-8503-4e5f-b296-c67dc8ff1a29",
)
COMPUTE = Site(
    key="compute",
    hostname="juju-7091df-zaza-d0217f8a78e8-8.project.serverstack",
    tunnel_address="172.20.0.209",
    management_address="10.254.0.20",
    agent="1477f928-6fb7-47a9-847f-e2a625961aff",
    system_id="3c1f4c8e-0f0f-4b0e-9d0c-5a5d0e6f7a10",
)
SITES = (OCTAVIA, COMPUTE)

SOURCE = Interface(
    key="source",
    port="f6ee6c02-4e7a-4e24-98cb-a9194d591476",
    mac="fa:16:3e:a8:7e:f6",
    address6="fc00:5896:ff23:44dc:f816:3eff:fea8:7ef6",
    address4="192.168.77.231",
    device="o-hm0",
)
GUEST = Interface(
    key="guest",
    port="93fff561-bfda-46b4-9d61-5f4ea8559a15",
    mac="fa:16:3e:0d:9a:cf",
    address6="fc00:5896:ff23:44dc:f816:3eff:fe0d:9acf",
    address4="192.168.77.207",
    device="tap93fff561-bf",
    amphora="e64930ad-1cf0-4073-9827-45302a3aac52",
    server="6bdbe8b9-2765-48aa-a48f-4057e8038d9c",
    role="MASTER",
)
TRUNK = "2e9b4c11-6d0f-4c38-9d5e-0c1d6f3a7b20"
TRUNK_BRIDGE, TRUNK_VLAN = f"tbr-{TRUNK}"[:14], 101
"""The bridge of the trunk, and the VLAN that its subport has on the parent's tap."""
PARENT_NETWORK, PARENT_SEGMENT, PARENT_LOCAL_VLAN = "7c1d2f60-41d4-4f0e-8a4f-5d1f63d6b702", 0x111, 2
PARENT = Interface(
    key="parent",
    port="b51a7f02-98c4-4d53-8d4e-7a9f0c2be611",
    mac="fa:16:3e:5c:11:02",
    address6="fc00:88::5c:1102",
    address4="192.168.88.102",
    device="tapb51a7f02-98",
    server="6bdbe8b9-2765-48aa-a48f-4057e8038d9c",
)
SUBPORT = dataclasses.replace(GUEST, device=f"spi-{GUEST.port}"[:15], amphora="", server="", role="", parent=PARENT)
GUEST2 = Interface(
    key="guest2",
    port="9087e7bb-6518-416c-bf2b-ed8fb4f25ed6",
    mac="fa:16:3e:7e:15:d1",
    address6="fc00:5896:ff23:44dc:f816:3eff:fe7e:15d1",
    address4="192.168.77.183",
    device="tap9087e7bb-65",
    amphora="c7dc61df-c7c7-4bce-9d79-216118a0f001",
    server="30d92df1-febd-43ba-a2fc-7f14754bd51e",
    role="BACKUP",
)


AGENTS_PROTOCOLS = "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14"
"""What Neutron's agent lets its bridges speak, as of Zed."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """What can differ from lab to lab."""

    tunnel: NetworkType = "gre"
    """How packets travel between the hosts; not in a tunnel where it is vlan or flat."""
    ip: IpVersion = 6
    """Ports carry both families always; this one is the amphora's `lb_network_ip` and the first fixed IP."""
    l2population: bool = True
    same_host: bool = False
    """Whether the amphora lives on the host of Octavia, so that the path has no tunnel."""
    guests: Literal[1, 2] = 1
    """The second amphora is always on the compute host."""
    heartbeats: bool = True
    """Whether amphorae send health messages to the source."""
    bond: bool = False
    """Whether each host reaches the underlay by two devices that Open vSwitch bonds (LACP, balance-tcp)."""
    trunk: bool = False
    """Whether the guest is behind a trunk's subport, and no amphora."""
    protocols: str = AGENTS_PROTOCOLS
    """The versions of OpenFlow that br-int and br-tun speak, parted by commas."""

    @property
    def is_tunnelled(self) -> bool:
        """Whether packets travel in tunnels between the hosts."""
        return self.tunnel not in ("vlan", "flat")

    @property
    def uplinks(self) -> tuple[str, ...]:
        """Return the devices by which each host reaches the underlay."""
        return ("eth1", "eth2") if self.bond else ("eth1",)

    @property
    def segment(self) -> int | None:
        """The tunnel's key or the VLAN's number; None of a flat network."""
        return None if self.tunnel == "flat" else SEGMENT

    @property
    def mtu(self) -> int:
        """The network's MTU."""
        return MTU[self.tunnel]

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The source first, then the guests."""
        return (SOURCE, SUBPORT if self.trunk else GUEST, GUEST2)[: self.guests + 1]

    def site(self, interface: Interface) -> Site:
        """Return the host that an interface is plugged in."""
        if interface is SOURCE or (interface.key in (GUEST.key, PARENT.key) and self.same_host):
            return OCTAVIA
        return COMPUTE

    def plugged(self, site: Site) -> tuple[Interface, ...]:
        """Return the interfaces of a host, in the order of their plugging."""
        return tuple(each for each in self.interfaces if self.site(each) is site)


def tunnel_port(tunnel: NetworkType, remote: str) -> str:
    """Name a tunnel port as the agent does: the type and the remote IPv4 address in hex."""
    return f"{tunnel}-{int(ipaddress.IPv4Address(remote)):08x}"
