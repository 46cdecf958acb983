"""The configuration files of the cloud's services, with one worker each and nothing that a path does not need."""

import base64
import os
import pathlib
from collections.abc import Mapping

from tests.lab import topology

from . import api

Sections = Mapping[str, Mapping[str, object]]

QUEUE = f"rabbit://guest:guest@{topology.CONTROL_ADDRESS}:5672/"
_PASTE = ("/usr/share/{0}-common/api-paste.ini", "/etc/{0}/api-paste.ini")


def database(socket: pathlib.Path, name: str) -> str:
    """Return the address of a database."""
    return f"mysql+pymysql://root@localhost/{name}?unix_socket={socket}&charset=utf8"


def account() -> dict[str, object]:
    """Return how a service signs in."""
    return {
        "auth_url": api.endpoint("identity"),
        "www_authenticate_uri": api.endpoint("identity"),
        "auth_type": "password",
        "project_domain_name": "Default",
        "user_domain_name": "Default",
        "project_name": api.PROJECT,
        "username": api.USER,
        "password": api.PASSWORD,
        "region_name": api.REGION,
    }


def write(path: pathlib.Path, sections: Sections) -> pathlib.Path:
    """Write a configuration file."""
    lines: list[str] = []
    for section, options in sections.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in options.items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def keystone(home: pathlib.Path, socket: pathlib.Path) -> Sections:
    """Configure Keystone, and make the keys of its tokens."""
    keys = home / "fernet-keys"
    keys.mkdir(mode=0o700)
    for number in range(2):
        (keys / str(number)).write_bytes(base64.urlsafe_b64encode(os.urandom(32)))
    return {
        "database": {"connection": database(socket, "keystone")},
        "token": {"provider": "fernet"},
        "fernet_tokens": {"key_repository": keys},
        "identity": {"password_hash_rounds": 4},
        "oslo_policy": {"policy_dirs": home / "policy.d"},
    }


def neutron(home: pathlib.Path, socket: pathlib.Path, tunnel: topology.NetworkType) -> Sections:
    """Configure Neutron's server with ML2."""
    return {
        "DEFAULT": {
            "bind_host": topology.CONTROL_ADDRESS,
            "bind_port": api.PORTS["network"][0],
            "core_plugin": "ml2",
            "service_plugins": "trunk",
            "api_paste_config": paste("neutron"),
            "transport_url": QUEUE,
            "api_workers": 1,
            "rpc_workers": 1,
            "rpc_state_report_workers": 0,
            "dhcp_agent_notification": False,
            "global_physnet_mtu": 1500,
            "state_path": home,
            "agent_down_time": 30,
        },
        "ml2": {
            "type_drivers": "gre,vxlan",
            "tenant_network_types": tunnel,
            "mechanism_drivers": "openvswitch,l2population",
            "extension_drivers": "port_security",
            "path_mtu": 1500,
        },
        "ml2_type_gre": {"tunnel_id_ranges": "1:1000"},
        "ml2_type_vxlan": {"vni_ranges": "1:1000"},
        "securitygroup": {"enable_ipset": False},
        "database": {"connection": database(socket, "neutron")},
        "oslo_concurrency": {"lock_path": home / "lock"},
        "oslo_policy": {"policy_dirs": home / "policy.d"},
        "keystone_authtoken": account(),
        "nova": account(),
        "placement": account(),
    }


def agent(home: pathlib.Path, switch: pathlib.Path, site: topology.Site, tunnel: topology.NetworkType) -> Sections:
    """Configure the agent of a host; `switch` is the socket of its database."""
    return {
        "DEFAULT": {
            "host": site.hostname,
            "transport_url": QUEUE,
            "state_path": home,
            "rpc_response_timeout": 15,
        },
        "oslo_concurrency": {"lock_path": home / "lock"},
        "ovs": {
            "local_ip": site.tunnel_address,
            "datapath_type": "netdev",
            "ovsdb_connection": f"unix:{switch}",
            "of_listen_address": "127.0.0.1",
        },
        "agent": {
            "tunnel_types": tunnel,
            "l2_population": True,
            "root_helper": "env",  # it is root, and sudo would hide where the switch is
            "report_interval": 5,
            "polling_interval": 1,
        },
        "securitygroup": {"firewall_driver": "openvswitch", "enable_ipset": False},
    }


def nova(home: pathlib.Path, socket: pathlib.Path | None, host: str = "") -> Sections:
    """Configure Nova's services; without `socket`, that of a compute host."""
    databases = {
        "api_database": {"connection": database(socket, "nova_api")},
        "database": {"connection": database(socket, "nova")},
    } if socket else {}  # fmt: skip
    return {
        "DEFAULT": {
            **({"host": host} if host else {}),
            "transport_url": QUEUE,
            "state_path": home,
            "compute_driver": "fake.FakeDriver",
            "enabled_apis": "osapi_compute",
            "osapi_compute_listen": topology.CONTROL_ADDRESS,
            "osapi_compute_workers": 1,
            "vif_plugging_is_fatal": False,
            "vif_plugging_timeout": 0,
        },
        **databases,
        "wsgi": {"api_paste_config": paste("nova")},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 2},
        "filter_scheduler": {"enabled_filters": "ComputeFilter"},
        "vnc": {"enabled": False},
        "glance": {"api_servers": api.endpoint("image")},
        "oslo_concurrency": {"lock_path": home / "lock"},
        "oslo_policy": {"policy_dirs": home / "policy.d"},
        "keystone_authtoken": account(),
        "neutron": account(),
        "placement": account(),
    }


def placement(home: pathlib.Path, socket: pathlib.Path) -> Sections:
    """Configure Placement."""
    return {
        "api": {"auth_strategy": "keystone"},
        "placement_database": {"connection": database(socket, "placement")},
        "oslo_policy": {"policy_dirs": home / "policy.d"},
        "keystone_authtoken": account(),
    }


def octavia(home: pathlib.Path, socket: pathlib.Path) -> Sections:
    """Configure Octavia's API."""
    return {
        "DEFAULT": {"transport_url": QUEUE},
        "api_settings": {
            "bind_host": topology.CONTROL_ADDRESS,
            "bind_port": api.PORTS["load-balancer"][0],
            "auth_strategy": "keystone",
            "enabled_provider_drivers": "amphora:Octavia",
            "default_provider_driver": "amphora",
        },
        "database": {"connection": database(socket, "octavia")},
        "oslo_messaging": {"topic": "octavia_prov"},
        "oslo_policy": {"policy_dirs": home / "policy.d"},
        "keystone_authtoken": account(),
        "service_auth": account(),
    }


def paste(service: str) -> pathlib.Path:
    """Return where the packages of a service have its pipeline.

    Raises:
        FileNotFoundError: nowhere.

    """
    places = [pathlib.Path(each.format(service)) for each in _PASTE]
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(f"{service}: none of {', '.join(map(str, places))}")
