import pytest

from ovs_pathfinder.vswitch import tunnel
from tests.unit import recorded

OF13 = """\
OFPST_PORT reply (OF1.3) (xid=0x2): 2 ports
  port LOCAL: rx pkts=0, bytes=0, drop=28, errs=0, frame=0, over=0, crc=0
           tx pkts=0, bytes=0, drop=0, errs=0, coll=0
           duration=1032.512s
  port  12: rx pkts=7, bytes=700, drop=?, errs=?, frame=?, over=?, crc=?
           tx pkts=?, bytes=?, drop=?, errs=?, coll=?
           duration=1032.511s
"""
"""As lib/ofp-print.c of Open vSwitch 2.13 to 4.0 writes it for OpenFlow 1.3."""


@pytest.mark.parametrize(
    ("type_", "remote", "name"),
    [
        ("gre", "172.20.0.209", "gre-ac1400d1"),
        ("vxlan", "10.0.0.1", "vxlan-0a000001"),
        ("gre", "fd00::1", "gre-wiqx3aks5ch"),
        ("gre", "flow", ""),
    ],
)
def test_tunnel_ports_are_named_as_neutrons_agent_names_them(type_: str, remote: str, name: str) -> None:
    assert tunnel.name(type_, remote) == name


def test_a_name_in_base_32_fills_a_devices_name() -> None:
    assert {len(tunnel.name(type_, "fd00::1")) for type_ in ("gre", "vxlan", "geneve")} == {15}


@pytest.mark.parametrize(
    ("name", "address"), [("gre-ac1400d1", "172.20.0.209"), ("gre-x", ""), ("gre-mxbkx2khvwq", "")]
)
def test_an_address_is_read_from_a_name(name: str, address: str) -> None:
    assert tunnel.named_address(name) == address


def test_recorded_counters() -> None:
    found = tunnel.parse_counters(recorded.text("healthy-gre-l2pop/octavia.br-tun.ports.txt"))

    assert set(found) == {"LOCAL", "1", "2"}
    assert found["1"] == tunnel.Counters(rx_packets=44, rx_bytes=5145, tx_packets=50, tx_bytes=6071)


def test_counters_of_openflow_1_3_and_what_is_not_counted() -> None:
    assert tunnel.parse_counters(OF13)["12"] == tunnel.Counters(rx_packets=7, rx_bytes=700)


def test_counters_can_be_subtracted() -> None:
    later, earlier = tunnel.Counters(rx_packets=9, tx_bytes=100), tunnel.Counters(rx_packets=4, tx_bytes=60)

    assert later.since(earlier) == tunnel.Counters(rx_packets=5, tx_bytes=40)


def test_recorded_neighbours() -> None:
    found = tunnel.parse_neighbours(recorded.text("healthy-gre-l2pop/octavia.tnl-neigh.txt"))

    assert found["172.20.0.209"] == "52:54:00:00:00:d1"
    assert found["fc00:5896:ff23:44dc:f816:3eff:fe0d:9acf"] == "fa:16:3e:0d:9a:cf"


@pytest.mark.parametrize(
    ("type_", "remote", "mtu"),
    [("gre", "10.0.0.1", 1458), ("vxlan", "10.0.0.1", 1450), ("gre", "fd00::1", 1438), ("stt", "10.0.0.1", None)],
)
def test_what_fits_into_a_tunnel_is_what_neutron_gives_its_networks(type_: str, remote: str, mtu: int | None) -> None:
    assert tunnel.inner_mtu(type_, 1500, remote) == mtu
