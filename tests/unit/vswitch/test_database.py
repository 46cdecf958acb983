import json
from collections.abc import Iterator

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.vswitch import database
from tests.unit import recorded
from tests.unit.vswitch import private


def _stream(folder: str) -> str:
    """Put the recorded tables into one stream, as one call of ovs-vsctl prints them."""
    names = ("Open_vSwitch", "Bridge", "Port", "Interface")
    return "".join(recorded.text(f"{folder}.list-{name}.json").strip() + "\n" for name in names)


def test_a_recorded_switch() -> None:
    found = database.parse(_stream("healthy-gre-3computes-v4/octavia"))

    assert found.version == "3.1.0"
    assert found.hostname == "juju-7091df-zaza-d0217f8a78e8-10.project.serverstack"
    assert found.datapath_type == "netdev"
    assert found.bridges == ("br-int", "br-phy", "br-tun")
    assert found.tunnel_address == "172.20.0.139"
    assert [one.name for one in found.tunnels("gre")] == ["gre-ac1400d1", "gre-ac1400f4"]
    tunnel = found.tunnel_to("gre", "172.20.0.209")
    assert tunnel is not None
    assert (tunnel.name, tunnel.bridge, tunnel.ofport) == ("gre-ac1400d1", "br-tun", 2)
    assert found.tunnel_to("vxlan", "172.20.0.209") is None
    assert found.system_devices("br-phy") == ("eth1",)


@pytest.mark.parametrize("cloud", recorded.CLOUDS)
@pytest.mark.parametrize("host", ["octavia", "compute"])
def test_every_recorded_interface_has_its_bridge(cloud: str, host: str) -> None:
    found = database.parse(_stream(f"{cloud}/{host}"))

    assert found.interfaces
    assert all(one.bridge in found.bridges for one in found.interfaces)
    ids = json.loads(recorded.text(f"{cloud}/ids.json"))
    wanted = ids["hm"]["port"] if host == "octavia" else ids["guests"]["guest"]["port"]
    plugged = found.port_of(wanted)
    assert plugged is not None
    assert (plugged.ofport, plugged.tag, plugged.error) == (2, 1, "")
    assert found.port_of("no such port") is None


@pytest.fixture(scope="module")
def switch() -> Iterator[None]:
    if reason := private.missing():
        pytest.skip(reason)
    with private.running():
        private.configure(
            """
            add-br br-int -- set Bridge br-int fail_mode=secure datapath_type=dummy
            -- add-port br-int o-hm0 tag=1 -- set Interface o-hm0 type=dummy external_ids:iface-id=abc
            -- add-br br-tun -- set Bridge br-tun datapath_type=dummy
            -- add-port br-tun vxlan-ac1400d1
            -- set Interface vxlan-ac1400d1 type=vxlan options:remote_ip=172.20.0.209 options:local_ip=172.20.0.139
            """
        )
        yield


def test_a_live_switch_is_read_in_one_call(switch: None) -> None:
    found = database.read()

    assert found.hostname == "octavia-host"
    assert found.bridges == ("br-int", "br-tun")
    assert found.datapath_type == "dummy"
    port = found.port_of("abc")
    assert port is not None
    assert (port.name, port.bridge, port.tag) == ("o-hm0", "br-int", 1)
    assert (port.ofport or 0) > 0
    assert found.tunnel_address == "172.20.0.139"


def test_a_database_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := private.missing():
        pytest.skip(reason)
    monkeypatch.setenv("OVS_RUNDIR", "/nonexistent")

    with pytest.raises(errors.PathfinderError, match="ovsdb-server does not answer on this host"):
        database.read()
