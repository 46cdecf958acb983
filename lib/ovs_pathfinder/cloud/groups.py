"""Neutron's security groups with their rules, and the addresses that remote groups stand for."""

from collections.abc import Iterable, Mapping
from typing import Literal, TypeVar

import pydantic

from .. import path
from . import answer, connection

MOST = 1000
"""The most members of groups that are asked for at once."""


class Rule(answer.Object):
    """A rule; of ICMP, the port range holds type and code."""

    id: str
    direction: Literal["egress", "ingress"]
    ethertype: Literal["IPv4", "IPv6"]
    protocol: str | None = None
    """Name or number; None for any."""
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    normalized_cidr: str | None = None
    """The prefix without bits of a host; not every release has it."""
    remote_group_id: str | None = None
    remote_address_group_id: str | None = None

    @property
    def prefix(self) -> str:
        """The network of the other end; empty for any."""
        found = self.normalized_cidr or self.remote_ip_prefix or ""
        return "" if found in ("0.0.0.0/0", "::/0") else found

    @property
    def remote(self) -> str:
        """The group or address group of the other end; empty for none."""
        return self.remote_group_id or self.remote_address_group_id or ""


class Group(answer.Object):
    """A security group."""

    id: str
    name: answer.Text
    stateful: bool = True
    rules: tuple[Rule, ...] = pydantic.Field((), alias="security_group_rules")


class _Address(answer.Object):
    ip_address: str


class _Member(answer.Object):
    """A port, as far as the remote groups of others look at it."""

    id: str
    fixed_ips: tuple[_Address, ...] = ()
    allowed_address_pairs: tuple[_Address, ...] = ()
    security_groups: tuple[str, ...] = ()


class _AddressGroup(answer.Object):
    id: str
    addresses: tuple[str, ...] = ()


class Members(path.Model):
    """The addresses of remote groups."""

    addresses: Mapping[str, tuple[str, ...]] = {}
    """Addresses and networks, by the id of the group or address group; missing where they are not known."""
    truncated: bool = False
    """Whether there are members that were not asked for."""


_Model = TypeVar("_Model", bound=answer.Object)


def read(cloud: connection.Cloud, identifiers: Iterable[str]) -> tuple[Group, ...]:
    """Return the security groups of these ids that the user may see, with their rules; nothing is asked for none."""
    wanted = sorted(set(identifiers))
    return _list(cloud, Group, "security_groups", {"id": wanted}) if wanted else ()


def members(cloud: connection.Cloud, remote: Iterable[str], address: str) -> Members:
    """Return what is needed to say whether an address belongs to one of these groups.

    Neutron finds the ports with a fixed address; of allowed address pairs it must be asked for all members.

    Args:
        cloud: Where to ask.
        remote: The ids of security groups.
        address: The address in question.
    """
    wanted = sorted(set(remote))
    if not wanted:
        return Members()
    filters = {"security_groups": wanted}
    found = _list(cloud, _Member, "ports", {**filters, "fixed_ips": [f"ip_address={address}"]}, limit=MOST)
    is_truncated = False
    if {group for one in found for group in one.security_groups}.isdisjoint(wanted):
        found = _list(cloud, _Member, "ports", filters, limit=MOST)
        is_truncated = len(found) >= MOST
    return Members(
        addresses={group: tuple(_addresses(one for one in found if group in one.security_groups)) for group in wanted},
        truncated=is_truncated,
    )


def _addresses(ports: Iterable[_Member]) -> Iterable[str]:
    return (each.ip_address for one in ports for each in (*one.fixed_ips, *one.allowed_address_pairs))


def address_groups(cloud: connection.Cloud, identifiers: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Return the networks of address groups, by their id; those that the user may not see are missing."""
    wanted = sorted(set(identifiers))
    found = _list(cloud, _AddressGroup, "address_groups", {"id": wanted}) if wanted else ()
    return {one.id: one.addresses for one in found}


def _list(
    cloud: connection.Cloud, model: type[_Model], key: str, filters: Mapping[str, Iterable[str]], limit: int = 0
) -> tuple[_Model, ...]:
    """Ask for the objects that pass the filters, and for the fields that the model has alone."""
    parameters = {name: [*values] for name, values in filters.items()}
    parameters["fields"] = [field.alias or name for name, field in model.model_fields.items()]
    if limit:
        parameters["limit"] = [str(limit)]
    body = cloud.get("network", f"/{key.replace('_', '-')}", parameters)
    return answer.many("Neutron", model, body or {}, key)
