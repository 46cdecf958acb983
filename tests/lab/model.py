"""The model file of a lab: which units there are, how their commands run, and what their relations hold."""

import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

from . import node, topology


def build(hosts: Mapping[str, node.Host], state: pathlib.Path, /, **overrides: Any) -> dict[str, Any]:
    """Return the model of a lab; `overrides` replace top-level keys."""
    units: dict[str, Any] = {}
    for number, (key, principal) in enumerate((("octavia", "octavia/2"), ("compute", "nova-compute/0"))):
        host = hosts[key]
        units[f"ovs-pathfinder/{number}"] = {
            "principal": principal,
            "leader": number == 0,
            "enter": host.enter,
            "env": host.env,
            "address": host.site.management_address,
        }
    return {
        "application": "ovs-pathfinder",
        "state": str(state),
        "units": units,
        "relations": {"keystone-credentials": {"remote-app": "keystone", "units": {"keystone/0": _keystone()}}},
        **overrides,
    }


def write(path: pathlib.Path, model: Mapping[str, Any]) -> None:
    """Write a model as YAML."""
    path.write_text(yaml.safe_dump(dict(model), sort_keys=False))


def _keystone() -> dict[str, str]:
    address, port = topology.CONTROL_ADDRESS, str(topology.CLOUD_PORT)
    return {
        "api_version": "3",
        "auth_host": address,
        "auth_port": port,
        "auth_protocol": "http",
        "credentials_host": address,
        "credentials_port": port,
        "credentials_protocol": "http",
        "credentials_username": "ovs-pathfinder",
        "credentials_password": "secret",
        "credentials_project": "services",
        "credentials_project_id": topology.PROJECT,
        "credentials_user_domain_name": "default",
        "credentials_project_domain_name": "default",
        "service_host": address,
        "service_port": port,
        "service_protocol": "http",
        "region": "RegionOne",
    }
