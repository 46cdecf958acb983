"""Neutron's objects, as far as a plan needs them, and the questions that return them."""

import ipaddress
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pydantic

from .. import bounds, errors, path
from . import answer, connection

LIMIT = 100
"""The most ports that one question returns; where there are more, the network decides."""
_PAGE = 1000
_PAGES = 10


class FixedIp(answer.Object):
    """An address of a port, and the subnet that it is of."""

    subnet_id: bounds.Word
    ip_address: path.Address

    @property
    def version(self) -> int:
        """4 or 6."""
        return ipaddress.ip_address(self.ip_address).version


class _Pair(answer.Object):
    mac_address: path.Mac
    ip_address: path.AddressOrNetwork


class Port(answer.Object):
    """A port; the host is None where Neutron hides it from the user."""

    id: bounds.Word
    name: answer.Text
    network_id: bounds.Word
    mac_address: path.Mac
    fixed_ips: bounds.Few[FixedIp]
    device_owner: answer.Text = ""
    device_id: answer.Text = ""
    host: bounds.Word | None = pydantic.Field(None, alias="binding:host_id")
    vif_type: answer.Text = pydantic.Field("", alias="binding:vif_type")
    status: answer.Text = ""
    admin_state_up: bool = True
    port_security_enabled: bool = True
    security_groups: bounds.Few[bounds.Word] = ()
    allowed_address_pairs: bounds.Few[_Pair] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The fixed addresses."""
        return tuple(fixed.ip_address for fixed in self.fixed_ips)

    def as_path(self, groups: Iterable[path.SecurityGroup], trunk: path.Trunk | None = None) -> path.Port:
        """Return the port as a plan describes it; `groups` may hold those of other ports too."""
        named = {group.id: group for group in groups}
        return path.Port(
            id=self.id,
            name=self.name,
            mac=self.mac_address,
            addresses=self.addresses,
            device_owner=self.device_owner,
            device_id=self.device_id,
            host=self.host or "",
            vif_type=self.vif_type,
            status=self.status,
            admin_state_up=self.admin_state_up,
            port_security_enabled=self.port_security_enabled,
            security_groups=tuple(
                named.get(group, path.SecurityGroup(id=group, name="")) for group in self.security_groups
            ),
            allowed_address_pairs=tuple(
                path.AddressPair(mac=pair.mac_address, address=pair.ip_address) for pair in self.allowed_address_pairs
            ),
            trunk=trunk,
        )


class _Subport(answer.Object):
    port_id: bounds.Word
    segmentation_id: bounds.Vlan
    segmentation_type: answer.Text = ""


class _TrunkDetails(answer.Object):
    trunk_id: bounds.Word
    sub_ports: tuple[_Subport, ...] = ()


class Parent(answer.Object):
    """A port of a host, with its trunk if it is the parent port of one (`trunk_details`)."""

    id: str
    trunk_details: _TrunkDetails | None = None

    def trunk(self, subport: str) -> path.Trunk | None:
        """Return how a subport hangs on its trunk; None where it does not."""
        details = self.trunk_details
        found = next((one for one in details.sub_ports if one.port_id == subport), None) if details else None
        if details is None or found is None:
            return None
        if found.segmentation_type not in ("", "vlan"):
            raise errors.PathfinderError(
                f"The trunk {details.trunk_id} has the port {subport} with segmentation type "
                f"{found.segmentation_type}, which is none of Open vSwitch's: only vlan is."
            )
        return path.Trunk(id=details.trunk_id, parent=self.id, vlan=found.segmentation_id)


class Network(answer.Object):
    """A network; its type is None where Neutron hides it, or where it has several segments."""

    id: str
    name: answer.Text
    mtu: int | None = None
    type: str | None = pydantic.Field(None, alias="provider:network_type")
    segmentation_id: int | None = pydantic.Field(None, alias="provider:segmentation_id")
    physical_network: answer.Text = pydantic.Field("", alias="provider:physical_network")
    admin_state_up: bool = True


class _Configurations(answer.Object):
    tunneling_ip: answer.Text = ""
    tunnel_types: tuple[str, ...] = ()
    bridge_mappings: Mapping[str, str] = {}
    l2_population: bool = False


class Agent(answer.Object):
    """The Open vSwitch agent of a host."""

    host: str
    alive: bool
    configurations: _Configurations = _Configurations()


class _Group(answer.Object):
    id: str
    name: answer.Text


class _Identified(answer.Object):
    id: str


class _Link(answer.Object):
    rel: str


class Identifiers(answer.Object):
    """The ids that begin as was wanted."""

    found: tuple[str, ...]
    seen: int
    """How many ids were looked at."""
    complete: bool
    """Whether there can be no others."""


class Pair(answer.Object):
    """An allowed address pair, letter by letter as Neutron returns it, so that it can be put back so."""

    mac_address: str
    ip_address: str


class Security(answer.Object):
    """What decides which packets a port may send and take; None is what Neutron does not show."""

    port_security_enabled: bool | None = None
    security_groups: tuple[str, ...] | None = None
    allowed_address_pairs: tuple[Pair, ...] | None = None
    revision_number: int | None = None


_Model = TypeVar("_Model", bound=answer.Object)


def ports(cloud: connection.Cloud, **filters: Iterable[str]) -> tuple[Port, ...]:
    """Return at most `LIMIT` ports that pass all filters."""
    return _list(cloud, Port, "ports", filters, limit=LIMIT)


def parents(cloud: connection.Cloud, hosts: Iterable[str]) -> tuple[Parent, ...]:
    """Return the ports of these hosts with what Neutron says of their trunks.

    Neutron can filter neither trunks nor ports by a subport, and a subport does not name its trunk; but it is bound to
    its parent's host.
    """
    return _list(cloud, Parent, "ports", {"binding:host_id": hosts})


def networks(cloud: connection.Cloud, identifiers: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks of these ids."""
    return _list(cloud, Network, "networks", {"id": identifiers})


def networks_named(cloud: connection.Cloud, name: str) -> tuple[Network, ...]:
    """Return the networks of a name, which may be several."""
    return _list(cloud, Network, "networks", {"name": [name]})


def agents(cloud: connection.Cloud, hosts: Iterable[str]) -> tuple[Agent, ...]:
    """Return the Open vSwitch agents of these hosts."""
    filters = {"host": hosts, "agent_type": ["Open vSwitch agent"]}
    return _list(cloud, Agent, "agents", filters)


def all_agents(cloud: connection.Cloud) -> tuple[Agent, ...]:
    """Return the Open vSwitch agents of all hosts."""
    return _list(cloud, Agent, "agents", {"agent_type": ["Open vSwitch agent"]})


def identifiers(cloud: connection.Cloud, prefix: str) -> Identifiers:
    """Look for the ports whose id begins so, which Neutron cannot filter by.

    The ids alone are asked for, in their order and from the end that is nearer, in at most ten pages of 1,000.
    """
    direction = "asc" if prefix < "8" else "desc"
    found: list[str] = []
    seen, marker = 0, ""
    for _ in range(_PAGES):
        more = {"marker": [marker]} if marker else {}
        sorting = {"sort_key": ["id"], "sort_dir": [direction], "limit": [str(_PAGE)], "fields": ["id"]}
        body = cloud.get("network", "/ports", {**sorting, **more}) or {}
        page = [one.id for one in answer.many("Neutron", _Identified, body, "ports")]
        seen += len(page)
        found += [one for one in page if one.startswith(prefix)]
        last = page[-1] if page else ""
        beyond = last > prefix if direction == "asc" else last < prefix
        # A page after the first one has a link to the one before, too.
        linked = answer.many("Neutron", _Link, body, "ports_links") if "ports_links" in body else ()
        is_last = not any(one.rel == "next" for one in linked)
        if not page or is_last or (beyond and not last.startswith(prefix)):
            return Identifiers(found=tuple(found), seen=seen, complete=True)
        marker = last
    return Identifiers(found=tuple(found), seen=seen, complete=False)


def security_groups(cloud: connection.Cloud, identifiers: Iterable[str]) -> tuple[path.SecurityGroup, ...]:
    """Return the security groups of these ids, without their rules; nothing is asked for none."""
    wanted = sorted(set(identifiers))
    if not wanted:
        return ()
    groups = _list(cloud, _Group, "security_groups", {"id": wanted})
    return tuple(path.SecurityGroup(id=group.id, name=group.name) for group in groups)


def security(cloud: connection.Cloud, port: str) -> Security | None:
    """Return a port's security settings; None where Neutron says that there is no such port."""
    body = cloud.get("network", _port_url(port))
    return answer.one("Neutron", Security, body, "port") if body is not None else None


def set_security(
    cloud: connection.Cloud,
    port: str,
    *,
    enabled: bool,
    groups: Sequence[str],
    pairs: Sequence[Mapping[str, str]],
    revision: int | None,
) -> None:
    """Set a port's security settings in one update, if Neutron still has that revision of it (`revision-if-match`).

    Raises:
        connection.Refused: nothing was changed; 412 where the revision is another one.
        connection.Unanswered: that is not known.

    """
    changes: dict[str, Any] = {
        "port_security_enabled": enabled,
        "security_groups": list(groups),
        "allowed_address_pairs": [dict(pair) for pair in pairs],
    }
    condition = {} if revision is None else {"If-Match": f"revision_number={revision}"}
    cloud.put("network", _port_url(port), {"port": changes}, condition)


def _port_url(port: str) -> str:
    return f"/ports/{urllib.parse.quote(port, safe='')}"


def _list(
    cloud: connection.Cloud,
    model: type[_Model],
    key: str,
    filters: Mapping[str, Iterable[str]],
    limit: int | None = None,
) -> tuple[_Model, ...]:
    """Ask for the objects that pass the filters, and for the fields that the model has alone."""
    parameters = {name: sorted(set(values)) for name, values in filters.items()}
    parameters["fields"] = [field.alias or name for name, field in model.model_fields.items()]
    if limit:
        parameters["limit"] = [str(limit)]
    body = cloud.get("network", f"/{key.replace('_', '-')}", parameters)
    return answer.many("Neutron", model, body or {}, key)
