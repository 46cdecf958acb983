"""What breaks the path in a real cloud, through its API or on its hosts, and mends it again."""

import contextlib
import dataclasses
from collections.abc import Generator
from typing import Any

from tests.lab import deployed, switch, topology

from . import cloud

_OTHER_MAC = "fa:16:3e:00:00:99"


@contextlib.contextmanager
def changed_port(where: cloud.Cloud, key: str, **changes: Any) -> Generator[None]:
    """Change a port through the API, with underscores for the names' colons."""
    before = where.port(key)
    wanted = {name.replace("binding_", "binding:"): value for name, value in changes.items()}
    where.change_port(key, wanted)
    try:
        yield
    finally:
        where.change_port(key, {name: before[name] for name in wanted})


@contextlib.contextmanager
def without_rules(where: cloud.Cloud, end: str, **match: Any) -> Generator[None]:
    """Delete rules of the security group of an end, and make them anew."""
    found = where.api.get("network", f"/v2.0/security-group-rules?security_group_id={where.groups[end]}")
    rules = [
        one for one in found["security_group_rules"] if all(one[name] == value for name, value in match.items())
    ]  # fmt: skip
    assert rules, match
    for rule in rules:
        where.api.delete("network", f"/v2.0/security-group-rules/{rule['id']}")
    try:
        yield
    finally:
        for rule in rules:
            where.add_rule(rule)


def ingress_rule_missing(where: cloud.Cloud) -> contextlib.AbstractContextManager[None]:
    """Let the amphora's group have no rule for ICMP."""
    return without_rules(where, "guest", direction="ingress", protocol="ipv6-icmp")


def egress_rule_missing(where: cloud.Cloud) -> contextlib.AbstractContextManager[None]:
    """Let the source's group have no rule that lets IPv6 out."""
    return without_rules(where, "source", direction="egress", ethertype="IPv6")


def heartbeat_blocked(where: cloud.Cloud) -> contextlib.AbstractContextManager[None]:
    """Let the source's group have no rule for heartbeats."""
    return without_rules(where, "source", direction="ingress", ethertype="IPv6", protocol="udp")


def port_disabled(where: cloud.Cloud) -> contextlib.AbstractContextManager[None]:
    """Set the amphora's port administratively down."""
    return changed_port(where, "guest", admin_state_up=False)


def port_unbound(where: cloud.Cloud) -> contextlib.AbstractContextManager[None]:
    """Ask for a kind of port that no driver of this cloud can bind."""
    return changed_port(where, "guest", binding_vnic_type="direct")


def source_address_wrong(where: cloud.Cloud) -> contextlib.AbstractContextManager[None]:
    """Give the source's port another IPv4 address, which its device does not have."""
    fixed = where.port("source")["fixed_ips"]
    others = [{**one, "ip_address": "192.168.77.99"} if "." in one["ip_address"] else one for one in fixed]
    return changed_port(where, "source", fixed_ips=others)


def bound_elsewhere(where: cloud.Cloud) -> contextlib.AbstractContextManager[None]:
    """Bind the amphora's port to the other host, as a migration that was given up half-way leaves it."""
    return changed_port(where, "guest", binding_host_id=topology.OCTAVIA.hostname)


@contextlib.contextmanager
def mac_changed(where: cloud.Cloud, *, replugged: bool) -> Generator[None]:
    """Give the amphora's port another MAC address, which its guest does not take; Neutron wants it unbound for that.

    The agent's flows go by the MAC address that its device was plugged with (`attached-mac`): nothing breaks before it
    is plugged anew, as by a hard reboot.
    """
    before, guest = where.port("guest"), where.interfaces["guest"]
    _rebind(where, {**before, "mac_address": _OTHER_MAC})
    if replugged:
        _plug_anew(where, dataclasses.replace(guest, mac=_OTHER_MAC))
    try:
        yield
    finally:
        _rebind(where, before)
        if replugged:
            _plug_anew(where, guest)
        where.forget_neighbours()


def _plug_anew(where: cloud.Cloud, guest: topology.Interface) -> None:
    where.destination.vsctl("del-port", "br-int", guest.device)
    switch.configure(where.destination, switch.plug(guest, where.shape.mtu))


def _rebind(where: cloud.Cloud, wanted: dict[str, Any]) -> None:
    where.change_port("guest", {"binding:host_id": ""})
    where.change_port("guest", {"mac_address": wanted["mac_address"]})
    where.change_port("guest", {"binding:host_id": wanted["binding:host_id"]})


@contextlib.contextmanager
def port_not_plugged(where: cloud.Cloud) -> Generator[None]:
    """Take the amphora's tap off its switch."""
    guest = where.interfaces["guest"]
    where.destination.vsctl("del-port", "br-int", guest.device)
    try:
        yield
    finally:
        switch.configure(where.destination, switch.plug(guest, where.shape.mtu))


def foreign_flow(where: cloud.Cloud) -> contextlib.AbstractContextManager[None]:
    """Let somebody's own flow drop what the source sends."""
    port = where.source.ofport(topology.SOURCE.device)
    return deployed.dropping(where.source, f"in_port={port},icmp6,icmpv6_type=128")


@contextlib.contextmanager
def tunnel_missing(where: cloud.Cloud) -> Generator[None]:
    """Delete the source's tunnel port; the agent makes it again when it is restarted."""
    where.source.vsctl("del-port", "br-tun", where.tunnel_port("octavia"))
    try:
        yield
    finally:
        where.restart_agent("octavia")


@contextlib.contextmanager
def flows_missing(where: cloud.Cloud) -> Generator[None]:
    """Stop the agent of the amphora's host, and delete br-int's flows."""
    where.stop_agent("compute")
    where.destination.ofctl("del-flows", "br-int")
    try:
        yield
    finally:
        where.restart_agent("compute")
