"""The nouns: a plan, the two ports it joins, the network between them, and the hops on the way."""

import datetime
import hashlib
import ipaddress
import re
import typing
from typing import Annotated, Literal

import pydantic

from . import bounds

PLAN_VERSION = 1

Protocol = Literal["icmp", "tcp", "udp"]
Direction = Literal["forward", "reply"]
Role = Literal["source", "destination"]

Hop = Literal[
    "source-port",
    "source-br-int",
    "source-br-tun",
    "source-br-phys",
    "source-underlay",
    "underlay",
    "destination-underlay",
    "destination-br-phys",
    "destination-br-tun",
    "destination-br-int",
    "destination-port",
    "guest",
]
"""A place where packets can stop; "source" is the plan's source in both directions."""

Point = Literal["source-port", "source-underlay", "destination-underlay", "destination-port"]
"""A hop at which packets are watched."""

POINTS: tuple[Point, ...] = ("source-port", "source-underlay", "destination-underlay", "destination-port")
"""The observation points, in the order of the forward direction."""


SUBPORT = "trunk:subport"
"""The device_owner of a trunk's subports."""

EPHEMERAL_PORT = 40000
"""Source port of TCP and UDP packets that are only thought of, in traces and in rules."""


def _mac(value: str) -> str:
    """Return a MAC address in the form that Neutron and Open vSwitch print: lower case, colons."""
    digits = value.lower().replace("-", ":")
    parts = digits.split(":")
    if len(parts) != 6 or not all(len(part) == 2 and set(part) <= set("0123456789abcdef") for part in parts):
        raise ValueError(f"{value!r} is not a MAC address")
    return digits


def _address(value: str) -> str:
    """Return an IP address in its canonical form; one with a zone, which is free text, is refused."""
    if "%" in value:
        raise ValueError(f"{value!r} is not an IP address without a zone")
    return str(ipaddress.ip_address(value))


def _network(value: str) -> str:
    """Return an IP address or a network as it was given."""
    _address(value.partition("/")[0])
    ipaddress.ip_interface(value)
    return value


def _unicast(value: str) -> str:
    """Return the address of one interface, be it a host's or a guest's."""
    found = ipaddress.ip_address(_address(value))
    found = getattr(found, "ipv4_mapped", None) or found
    if found.is_multicast or found.is_loopback or found.is_unspecified or (found.version == 4 and found.is_reserved):
        raise ValueError(f"{value!r} is not the address of one host")
    return _address(value)


def is_host_address(value: str) -> bool:
    """Return whether a text is an address at which another host can be met over a network."""
    try:
        return not ipaddress.ip_address(_unicast(value)).is_link_local
    except ValueError:
        return False


def _host_address(value: str) -> str:
    if value and not is_host_address(value):
        raise ValueError(f"{value!r} is not the address of a host")
    return value and _address(value)


def same_address(first: str, second: str) -> bool:
    """Return whether two texts are one IP address; a word such as `flow` is only like itself."""
    try:
        return ipaddress.ip_address(first) == ipaddress.ip_address(second)
    except ValueError:
        return first == second


Mac = Annotated[str, pydantic.StringConstraints(max_length=17), pydantic.AfterValidator(_mac)]
Address = Annotated[str, pydantic.StringConstraints(max_length=64), pydantic.AfterValidator(_address)]
GuestAddress = Annotated[str, pydantic.StringConstraints(max_length=64), pydantic.AfterValidator(_unicast)]
"""An address that packets are sent to: of one interface."""
HostAddress = Annotated[str, pydantic.StringConstraints(max_length=64), pydantic.AfterValidator(_host_address)]
"""An address at which a host is met; empty where it is not known."""
AddressOrNetwork = Annotated[str, pydantic.StringConstraints(max_length=64), pydantic.AfterValidator(_network)]

_APPLICATION = "[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*"
_UNIT = f"{_APPLICATION}/(0|[1-9][0-9]*)"
UnitName = Annotated[str, pydantic.StringConstraints(max_length=255, pattern=f"^{_UNIT}$")]
"""As Juju names units (github.com/juju/names, `unit.go`), such as `ovs-pathfinder/0`."""


def is_unit(name: str) -> bool:
    """Return whether Juju would name a unit so."""
    return len(name) <= 255 and re.fullmatch(_UNIT, name) is not None


OptionalUnit = Annotated[str, pydantic.StringConstraints(max_length=255, pattern=f"^({_UNIT})?$")]
"""Empty where there is none."""
_HOST = "[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?"
HostName = Annotated[str, pydantic.StringConstraints(max_length=253, pattern=f"^{_HOST}$")]
"""Of a machine, with or without its domain."""


def is_host_name(name: str) -> bool:
    """Return whether a machine can be called so."""
    return len(name) <= 253 and re.fullmatch(_HOST, name) is not None


Device = Annotated[str, pydantic.StringConstraints(max_length=255, pattern="^([A-Za-z0-9_.][A-Za-z0-9_.:@+-]*)?$")]
"""The name of a bridge or a network device; empty where there is none."""
RunId = Annotated[str, pydantic.StringConstraints(max_length=22, pattern=r"^[0-9]{8}t[0-9]{6}-[0-9a-f]{6}$")]


class Model(pydantic.BaseModel):
    """Base of everything that travels between units: immutable; what a newer unit adds is passed over."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")


class SecurityGroup(Model):
    """A Neutron security group of a port, as far as a sentence needs it."""

    id: bounds.Word
    name: bounds.Word


class AddressPair(Model):
    """One of a port's allowed address pairs; `address` may be a CIDR."""

    mac: Mac
    address: AddressOrNetwork


class Trunk(Model):
    """How a subport hangs on a trunk: its guest sends and takes its packets with a VLAN tag, on the parent's device."""

    id: bounds.Word
    parent: bounds.Word
    """The id of the parent port."""
    vlan: bounds.Vlan
    """The subport's `segmentation_id`."""

    @property
    def bridge(self) -> str:
        """The trunk's bridge on the host, as Neutron's agent names it (`gen_trunk_br_name`)."""
        return f"tbr-{self.id}"[:14]

    @property
    def tap(self) -> str:
        """The parent's device."""
        return f"tap{self.parent}"[:14]


class Port(Model):
    """A Neutron port, as the API describes it."""

    id: bounds.Word
    name: bounds.Word
    mac: Mac
    addresses: bounds.Few[Address]
    device_owner: bounds.Word = ""
    device_id: bounds.Word = ""
    host: bounds.Word = ""
    """`binding:host_id`: the host's name as Neutron knows it; empty for a port that is not bound."""
    vif_type: bounds.Word = ""
    status: bounds.Word = ""
    admin_state_up: bool = True
    port_security_enabled: bool = True
    security_groups: bounds.Few[SecurityGroup] = ()
    allowed_address_pairs: bounds.Few[AddressPair] = ()
    trunk: Trunk | None = None
    """Of a trunk's subport alone, and only in a plan."""

    @property
    def is_guests(self) -> bool:
        """Whether it belongs to a server of Nova's, and so is used from inside a guest."""
        return self.device_owner.startswith("compute:") or self.device_owner == SUBPORT

    @property
    def tap(self) -> str:
        """The device name that Nova and Neutron derive from the port's id, or its parent's (NIC_NAME_LEN is 14)."""
        return self.trunk.tap if self.trunk else f"tap{self.id}"[:14]


class Network(Model):
    """The network that both ports are on."""

    id: bounds.Word
    name: bounds.Word
    type: Literal["gre", "vxlan", "geneve", "vlan", "flat"]
    segmentation_id: Annotated[int, pydantic.Field(ge=0, le=2**32 - 1)] | None = None
    """The tunnel's key, or the VLAN on the physical network; None of a flat network."""
    physical_network: bounds.Word = ""
    """Neutron's name of it; empty where packets travel in tunnels."""
    mtu: bounds.Bytes = 0
    """Bytes of an IP packet; 0 where Neutron does not say."""

    @property
    def is_tunnelled(self) -> bool:
        """Whether packets travel in tunnels between hosts, and not as they are on a physical network."""
        return self.type not in ("vlan", "flat")

    def __str__(self) -> str:
        if self.is_tunnelled:
            return f"{self.type} key {self.segmentation_id or 0:#x}"
        tag = f" {self.segmentation_id}" if self.type == "vlan" else ""
        return f"{self.type}{tag} on physical network {self.physical_network}"


class Unit(Model):
    """What a unit of ovs-pathfinder tells of itself to the others, so that hosts can be mapped to units."""

    name: UnitName
    """The unit of ovs-pathfinder, such as `ovs-pathfinder/0`."""
    principal: OptionalUnit
    """The unit it is subordinate to, such as `octavia/2`."""
    hostnames: bounds.Few[HostName]
    """The host's names, the one that Open vSwitch was told first."""
    tunnel_address: HostAddress = ""
    management_address: HostAddress = ""
    ovs_version: bounds.Word = ""


class Endpoint(Model):
    """One end of a path: a port, the address that is probed, and the host and unit it lives on."""

    port: Port
    address: GuestAddress
    label: bounds.Line
    """What the operator named, in words: `octavia/2`, `amphora e64930ad-…`."""
    unit: OptionalUnit = ""
    """The unit of ovs-pathfinder on the port's host; empty where there is none."""
    principal: OptionalUnit = ""
    """The principal's unit there, such as `nova-compute/0`."""
    tunnel_address: HostAddress = ""
    """The address of the host's tunnel end; empty where the cloud does not say."""
    physical_bridge: Device = ""
    """The bridge that leads to the network's physical network on this host (`bridge_mappings`); empty for tunnels."""
    management_address: HostAddress = ""
    """The unit's address on the network that Juju uses; empty where unknown."""
    agent_alive: bool | None = None
    """Whether the host's Open vSwitch agent reports to Neutron; None where the API did not say."""


class Ruling(Model):
    """What Neutron's rules say of the probe's packets at one end."""

    role: Role
    way: Literal["egress", "ingress"]
    """As Neutron says it: out of the port, or into it."""
    passes: bool | None
    """None where it cannot be told."""
    why: bounds.Line
    """Goes on from `passes` or `is dropped`: `by rule …`, `as no ingress rule …`."""
    missing: bounds.Line = ""
    """The command that would let them pass."""


class Plan(Model):
    """The path to be tested, as the cloud describes it, and how it is to be tested."""

    version: Literal[1] = PLAN_VERSION
    run: RunId
    created: bounds.Moment
    """UTC, ISO 8601, by the coordinator's clock."""
    source: Endpoint
    destination: Endpoint
    network: Network
    protocol: Protocol = "icmp"
    port: bounds.Port | None = None
    """Destination port of TCP and UDP."""
    rulings: bounds.Few[Ruling] = ()
    """Out of the source's port, and into the destination's."""
    warnings: bounds.Lines = ()
    """Whole sentences on what the cloud could not tell or what looks odd."""

    @pydantic.model_validator(mode="after")
    def _is_of_one_kind(self) -> "Plan":
        if (self.protocol == "icmp") != (self.port is None):
            raise ValueError(f"{self.protocol} does not go with port {self.port}")
        if (":" in self.source.address) != (":" in self.destination.address):
            raise ValueError("the two addresses are of two IP versions")
        return self

    def ruling(self, role: Role, way: Literal["egress", "ingress"]) -> Ruling | None:
        """Return what the rules say at one end, if it is known."""
        return next((one for one in self.rulings if (one.role, one.way) == (role, way)), None)

    @property
    def same_host(self) -> bool:
        """Whether both ports live on one host, so that the path has no tunnel."""
        return self.source.port.host == self.destination.port.host

    @property
    def stretch(self) -> str:
        """What the packets travel between, in words."""
        if self.same_host:
            return "one host"
        ends = (self.source, self.destination)
        return " to ".join(
            (one.tunnel_address if self.network.is_tunnelled else one.physical_bridge) or "?" for one in ends
        )

    @property
    def ip_version(self) -> Literal[4, 6]:
        """The version of the addresses that are probed."""
        return 6 if ":" in self.destination.address else 4

    @property
    def hops(self) -> tuple[Hop, ...]:
        """The hops of this path, in the order of the forward direction."""
        if self.same_host:
            return ("source-port", "source-br-int", "destination-br-int", "destination-port", "guest")
        other = "br-phys" if self.network.is_tunnelled else "br-tun"
        hops: tuple[Hop, ...] = typing.get_args(Hop)
        return tuple(hop for hop in hops if not hop.endswith(other))

    @property
    def points(self) -> tuple[Point, ...]:
        """The observation points of this path, in the order of the forward direction."""
        return ("source-port", "destination-port") if self.same_host else POINTS

    @property
    def has_heartbeats(self) -> bool:
        """Whether it leads from Octavia's health manager to an amphora, which then sends messages the other way."""
        source, far = self.source.port, self.destination
        is_manager = source.device_owner == "Octavia:health-mgr" or source.name.startswith("octavia-health-manager-")
        return is_manager and (far.port.name.startswith("octavia-lb-vrrp-") or far.label.startswith("amphora "))

    @property
    def token(self) -> str:
        """Eight bytes in hex that the probe's packets carry, so that they are told from all others."""
        return hashlib.sha256(self.run.encode()).hexdigest()[:16]

    def endpoint(self, role: Role) -> Endpoint:
        """Return the end that plays `role`."""
        return self.source if role == "source" else self.destination


def new_run(now: datetime.datetime, salt: bytes) -> str:
    """Name a run: the UTC time of its plan and six hex digits of `salt`, sortable and safe anywhere."""
    return f"{now.astimezone(datetime.timezone.utc):%Y%m%dt%H%M%S}-{hashlib.sha256(salt).hexdigest()[:6]}"
