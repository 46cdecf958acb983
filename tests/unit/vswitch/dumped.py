"""A bridge in Neutron's shape as a real switch dumps it, and the same one after a restart of everything around it."""

import dataclasses
import functools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ovs_pathfinder.vswitch import snapshot, state
from tests.lab import agent
from tests.unit.vswitch import private

GROUP, REMOTE, OTHER = "7739e40f", "c01a6b7c", "5b0c8f1d"
NETWORKS = {1: "753", 2: "1001"}
"""Segments by local VLAN."""
PORTS = {2: ("tap00000002-aa", 1), 3: ("tap00000003-bb", 1), 4: ("tap00000004-cc", 2)}
"""Names and local VLANs by OpenFlow port."""
COOKIE = 0xDD425F3D4D56904E


@dataclasses.dataclass
class Listed:
    """A source of flows that are listed."""

    switch: state.State
    bridges: Mapping[str, Sequence[str]]
    openflow: str = "OpenFlow14"
    chunk: int = 40
    """Lines in a chunk."""
    errors: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    """Why bridges cannot be read to their ends."""

    def flows(self) -> Iterator[tuple[snapshot.Flows, Iterator[bytes]]]:
        for name, lines in self.bridges.items():
            found = snapshot.Flows(name)
            found.openflow = self.openflow
            yield found, self._chunks(lines, found)

    def _chunks(self, lines: Sequence[str], found: snapshot.Flows) -> Iterator[bytes]:
        for start in range(0, len(lines), self.chunk):
            yield "".join(f"{line}\n" for line in lines[start : start + self.chunk]).encode()
        found.error = self.errors.get(found.bridge, "")

    def lines(self, wanted: Mapping[str, set[int]]) -> dict[tuple[str, int], bytes]:
        return {(name, one): self.bridges[name][one].encode() for name, ones in wanted.items() for one in ones}


def rule(number: int, **changes: Any) -> dict[str, Any]:
    plain = {
        "id": f"rule-{number}",
        "security_group_id": GROUP,
        "direction": "ingress" if number % 2 else "egress",
        "ethertype": "IPv6" if number % 3 else "IPv4",
        "protocol": "tcp",
        "port_range_min": 80 + number,
        "port_range_max": 80 + number,
        "remote_ip_prefix": None,
        "normalized_cidr": None,
        "remote_group_id": None,
    }
    return plain | changes


def wired(ofport: int, vlan: int) -> agent.Wired:
    port = {
        "mac_address": f"fa:16:3e:00:00:{ofport:02x}",
        "fixed_ips": [{"ip_address": f"10.0.0.{ofport}"}, {"ip_address": f"fd00::{ofport}"}],
        "port_security_enabled": True,
        "admin_state_up": True,
        "security_groups": [GROUP],
    }
    return agent.Wired(port, ofport, vlan, f"fe80::{ofport}")


def table() -> str:
    """Return br-int's flows as the agent would add them: ports of two networks, rules, and rules for remote groups."""
    rules = [rule(number) for number in range(6)]
    rules += [rule(number, remote_group_id=REMOTE if number % 2 else OTHER) for number in range(10, 16)]
    members = {REMOTE: ["10.9.0.1", "10.9.0.2", "fd09::1"], OTHER: ["10.9.0.2", "10.8.0.1"]}
    return agent.br_int([wired(port, vlan) for port, (_, vlan) in PORTS.items()], rules, COOKIE, members)


def plug() -> str:
    """Return what ovs-vsctl is told to make br-int with its ports, which are dummies."""
    told = ["add-br br-int", "set Bridge br-int datapath_type=dummy fail_mode=secure"]
    for port in switch().ports:
        ids = " ".join(f"external_ids:{key}={value}" for key, value in port.external_ids.items())
        known = " ".join(f"other_config:{key}={value}" for key, value in port.other_config.items())
        told += [
            f"add-port br-int {port.name} tag={port.tag}",
            f"set Interface {port.name} type=dummy ofport_request={port.ofport} {ids}",
            f"set Port {port.name} {known}",
        ]
    return " -- ".join(told)


@functools.cache
def lines() -> tuple[str, ...]:
    """Return the flows of that bridge as a real switch dumps them."""
    with private.running():
        private.configure("add-br br-int -- set Bridge br-int datapath_type=dummy fail_mode=secure")
        private.call("ovs-ofctl", "-O", "OpenFlow14", "add-flows", "br-int", "-", stdin=table())
        text = private.call("ovs-ofctl", "-O", "OpenFlow14", "--no-names", "dump-flows", "br-int")
    return tuple(line for line in text.splitlines() if line.startswith(" "))


def switch(
    numbers: Mapping[int, int] | None = None, vlans: Mapping[int, int] | None = None, **changes: Any
) -> state.State:
    """Describe the switch that the flows are of, perhaps with other numbers."""
    ports = tuple(
        state.Port(
            bridge="br-int",
            name=name,
            ofport=(numbers or {}).get(ofport, ofport),
            tag=(vlans or {}).get(vlan, vlan),
            external_ids={"iface-id": f"{ofport:08x}-aaaa", "attached-mac": f"fa:16:3e:00:00:{ofport:02x}"},
            other_config={
                "network_type": "gre",
                "physical_network": "None",
                "segmentation_id": NETWORKS[vlan],
                "tag": str((vlans or {}).get(vlan, vlan)),
            },
        )
        for ofport, (name, vlan) in PORTS.items()
    )
    plain: dict[str, Any] = {"host": "a-host", "bridges": (state.Bridge(name="br-int"),), "ports": ports}
    return state.State(**plain | changes)


def renumbered(
    flows: Sequence[str],
    numbers: Mapping[int, int] | None = None,
    vlans: Mapping[int, int] | None = None,
    ids: Mapping[int, int] | None = None,
) -> list[str]:
    """Give the ports, the local VLANs and the conjunctions of flows other numbers."""
    kinds = [
        (numbers, r"(?<=in_port=)\d+|(?<=output:)\d+", r"(?<=reg5=)0x[0-9a-f]+|0x[0-9a-f]+(?=->reg5)"),
        (vlans, r"(?<=dl_vlan=)\d+|(?<=ct_zone=)\d+", r"(?<=reg6=)0x[0-9a-f]+|0x[0-9a-f]+(?=->reg6)"),
        (ids, r"(?<=conj_id=)\d+|(?<=conjunction\()\d+", r"0x[0-9a-f]+(?=->reg7)"),
    ]
    found = list(flows)
    for others, decimal, hexadecimal in kinds:
        if others:
            found = [re.sub(decimal, _other(others, "d"), line) for line in found]
            found = [re.sub(hexadecimal, _other(others, "#x"), line) for line in found]
    return found


def _other(others: Mapping[int, int], form: str) -> Callable[[re.Match[str]], str]:
    def replace(found: re.Match[str]) -> str:
        number = int(found[0], 0)
        return format(others.get(number, number), form)

    return replace


def aged(flows: Sequence[str], chance: random.Random) -> list[str]:
    """Give flows another cookie, other counters and ages, and another order."""
    cookie = f"cookie={chance.randrange(1 << 64):#x}"
    found = [re.sub(r"cookie=0x[0-9a-f]+", cookie, line) for line in flows]
    found = [re.sub(r"duration=[0-9.]+s", f"duration={chance.randrange(99999)}.5s", line) for line in found]
    found = [re.sub(r"n_packets=\d+", f"n_packets={chance.randrange(3)}", line) for line in found]
    found = [re.sub(r"(n_bytes)=\d+, ", rf"\1={chance.randrange(999)}, idle_age=7, ", line) for line in found]
    chance.shuffle(found)
    return found
