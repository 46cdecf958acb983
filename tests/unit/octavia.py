"""Octavia's host of a recorded cloud: its flows on a real switch, whose devices are dummies."""

import contextlib
import json
from collections.abc import Generator

from ovs_pathfinder import path
from tests.unit import recorded
from tests.unit.diagnosis import build
from tests.unit.vswitch import private

CLOUD = "healthy-gre-3computes-v4"
V4 = ("192.168.77.231", "192.168.77.207")
V6 = ("fc00:5896:ff23:44dc:f816:3eff:fea8:7ef6", "fc00:5896:ff23:44dc:f816:3eff:fe0d:9acf")
PORT = json.loads(recorded.text(f"{CLOUD}/ids.json"))["hm"]["port"]


@contextlib.contextmanager
def running() -> Generator[dict[str, list[str]]]:
    """Run the switch; give the lines of its flows."""
    with private.running():
        private.configure(
            f"""
            add-br br-int -- set Bridge br-int fail_mode=secure datapath_type=dummy
            -- add-br br-tun -- set Bridge br-tun fail_mode=secure datapath_type=dummy
            -- add-port br-int o-hm0 tag=1
            -- set Interface o-hm0 type=internal ofport_request=2 external_ids:iface-id={PORT}
            external_ids:attached-mac="{build.SOURCE_MAC}"
            -- add-port br-int patch-tun
            -- set Interface patch-tun type=patch options:peer=patch-int ofport_request=1
            -- add-port br-tun patch-int
            -- set Interface patch-int type=patch options:peer=patch-tun ofport_request=1
            {_tunnel("gre-ac1400d1", "172.20.0.209", 2)}
            {_tunnel("gre-ac1400f4", "172.20.0.244", 3)}
            """
        )
        private.kernel_tunnels()
        yield {
            bridge: private.install(bridge, recorded.text(f"{CLOUD}/octavia.{bridge}.flows.txt"))
            for bridge in ("br-int", "br-tun")
        }


def _tunnel(name: str, remote: str, ofport: int) -> str:
    return (
        f"-- add-port br-tun {name} -- set Interface {name} type=gre ofport_request={ofport} "
        f"options:remote_ip={remote} options:local_ip=172.20.0.139 options:in_key=flow options:out_key=flow"
    )


def plan(protocol: str = "icmp", family: int = 6) -> path.Plan:
    """Plan the path from the health manager to an amphora."""
    data = build.plan().model_dump()
    data["source"]["address"], data["destination"]["address"] = V4 if family == 4 else V6
    data["source"]["port"]["id"] = PORT
    data["protocol"], data["port"] = protocol, {"icmp": None, "tcp": 9443, "udp": 5555}[protocol]
    return path.Plan.model_validate(data)
