"""A private switch in Neutron's shape for the actions that look at flows, and a context with a folder of its own."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Generator

from ovs_pathfinder.inspection import context
from tests.unit.inspection import asking
from tests.unit.vswitch import dumped, private

_TUNNELS = (
    "add-br br-tun -- set Bridge br-tun datapath_type=dummy fail_mode=secure protocols=OpenFlow10,OpenFlow13,OpenFlow14"
)


@contextlib.contextmanager
def running() -> Generator[pathlib.Path]:
    """Run a switch with br-int and br-tun."""
    with private.running() as place:
        private.configure(f"{dumped.plug()} -- {_TUNNELS}")
        install()
        yield place


def install() -> None:
    """Give br-int the agent's flows, and none else; br-tun gets one."""
    private.call("ovs-ofctl", "-O", "OpenFlow14", "replace-flows", "br-int", "-", stdin=dumped.table())
    learning = "cookie=0xe85a,table=10,priority=1,actions=drop\n"
    private.call("ovs-ofctl", "-O", "OpenFlow14", "replace-flows", "br-tun", "-", stdin=learning)


def context_of(folder: pathlib.Path, stages: list[str] | None = None) -> context.Context:
    """Return the context of a unit with a folder; what it tells of its stages goes into the list."""
    told = [] if stages is None else stages
    return dataclasses.replace(asking.context_of(None), unit="ovs-pathfinder/0", folder=folder, log=told.append)


def add(flow: str, bridge: str = "br-int") -> None:
    private.call("ovs-ofctl", "-O", "OpenFlow14", "add-flow", bridge, flow)


def delete(flow: str, bridge: str = "br-int") -> None:
    private.call("ovs-ofctl", "-O", "OpenFlow14", "--strict", "del-flows", bridge, flow)
