"""What joins the bridges, and what copies their packets: patch ports that lead nowhere, mirrors of others."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from . import database, trunk


def broken_patches(switch: database.Switch, bridges: Collection[str]) -> Iterator[str]:
    """Tell of patch ports of these bridges that do not reach one that reaches them (ovs-vswitchd.conf.db(5), peer)."""
    patches = {one.name: one for one in switch.interfaces if one.type == "patch" and one.bridge}
    for one in patches.values():
        if one.bridge not in bridges or trunk.is_patch(one.name):
            continue  # those of a trunk are a single guest's
        peer = one.options.get("peer", "")
        if peer not in patches:
            yield f"patch port {one.name} of {one.bridge} has the peer {peer or '(none)'}, which is no patch port here"
        elif patches[peer].options.get("peer") != one.name:
            back = patches[peer].options.get("peer") or "(none)"
            yield f"patch port {one.name} of {one.bridge} has the peer {peer}, whose own peer is {back}"
    for bridge in bridges:
        if bridge in switch.bridges and not any(
            one.bridge == bridge and not trunk.is_patch(one.name) for one in patches.values()
        ):
            yield f"{bridge} has no patch port"


def foreign_mirrors(ours: str) -> Iterator[str]:
    """Tell of mirrors that are not ours, and where their copies go.

    Args:
        ours: The key in external_ids by which ours are known.

    Raises:
        PathfinderError: ovsdb-server does not answer.
    """
    rows = database.tables(
        {"Bridge": "name,mirrors", "Mirror": "_uuid,name,output_port,output_vlan,external_ids", "Port": "_uuid,name"}
    )
    with database.understood():
        ports = {row["_uuid"]: str(row["name"]) for row in rows["Port"]}
        bridges = {uuid: str(row["name"]) for row in rows["Bridge"] for uuid in database.members(row["mirrors"])}
        for row in rows["Mirror"]:
            if ours not in row["external_ids"]:
                bridge = bridges.get(row["_uuid"], "no bridge")
                yield f"mirror {row['name']} of {bridge} copies packets to {_target(row, ports)}"


def _target(row: Mapping[str, Any], ports: Mapping[str, str]) -> str:
    port, vlan = database.only(row["output_port"], ""), database.only(row["output_vlan"], None)
    if port:
        return f"port {ports.get(port, port)}"
    return f"VLAN {vlan}" if vlan is not None else "nothing"
