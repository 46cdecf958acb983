import pathlib
import shutil
import subprocess

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.evidence import capture
from tests.unit import recorded
from tests.unit.diagnosis import build
from tests.unit.evidence import test_packet as made

pytestmark = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")


def plan(kind: str, protocol: str = "icmp", *, family: int = 6) -> path.Plan:
    base = build.plan()
    a, b = ("fc00::1", "fc00::2") if family == 6 else ("192.168.77.231", "192.168.77.207")
    data = base.model_dump()
    data["source"]["address"], data["destination"]["address"] = a, b
    data["network"]["type"] = kind
    data["protocol"], data["port"] = protocol, None if protocol == "icmp" else 9443
    return path.Plan.model_validate(data)


def keep(expression: str, frames: list[bytes], folder: pathlib.Path) -> list[bytes]:
    """Return the frames that the real tcpdump keeps."""
    saved = folder / "in.pcap"
    saved.write_bytes(recorded.savefile(frames))
    done = subprocess.run(
        ["tcpdump", "-r", str(saved), "-w", "-", expression], capture_output=True, timeout=10, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return list(recorded.frames_of(done.stdout))


@pytest.mark.parametrize("kind", ["gre", "vxlan", "geneve"])
@pytest.mark.parametrize("protocol", ["icmp", "tcp", "udp"])
@pytest.mark.parametrize("family", [4, 6])
def test_filters_compile(kind: str, protocol: str, family: int) -> None:
    asked = plan(kind, protocol, family=family)
    for expression in (
        capture.port_filter(asked),
        capture.trunk_filter(asked, 101),
        capture.tunnel_filter(asked, "172.20.0.139", "172.20.0.209"),
        capture.tunnel_filter(asked, "fd00::1", "fd00::2"),
    ):
        done = subprocess.run(
            ["tcpdump", "-y", "EN10MB", "-d", expression], capture_output=True, timeout=10, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout


def wrapped(kind: str, frame: bytes) -> bytes:
    if kind == "gre":
        return made.over4(47, made.gre(frame))
    return made.over4(17, made.vxlan(frame) if kind == "vxlan" else made.geneve(frame))


@pytest.mark.parametrize("kind", ["gre", "vxlan", "geneve"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_tunnels_filter_keeps_the_probe_and_no_others(kind: str, family: int, tmp_path: pathlib.Path) -> None:
    echo, asks = (made.ECHO4, made.ARP) if family == 4 else (made.ECHO6, made.SOLICITATION)
    wanted = [wrapped(kind, echo), wrapped(kind, asks)]
    stranger = made.ethernet(0x86DD, made.ipv6(58, made.ECHO6[54:], made.B6, made.B6))
    others = [wrapped(kind, stranger), wrapped(kind, made.TCP), wrapped(kind, made.UDP), echo]
    expression = capture.tunnel_filter(plan(kind, family=family), "172.20.0.139", "172.20.0.209")

    assert keep(expression, [*wanted, *others], tmp_path) == wanted


@pytest.mark.parametrize("family", [4, 6])
def test_of_the_tunnel_ends_icmp_only_this_runs_signals_are_kept(family: int, tmp_path: pathlib.Path) -> None:
    asked = plan("gre")
    far, near = ("172.20.0.139", "172.20.0.209") if family == 4 else ("fc00::1", "fc00::2")
    mark = bytes.fromhex(asked.token)

    def message(type_: int, payload: bytes) -> bytes:
        data = bytes([type_, 0, 0, 0, 0, 1, 0, 1]) + payload
        return made.over4(1, data) if family == 4 else made.over6(58, data)

    request, reply, error = (8, 0, 3) if family == 4 else (128, 129, 1)
    ours = message(request, bytes(16) + mark + bytes(8))
    others = [
        message(request, bytes(16) + mark[::-1] + bytes(8)),
        message(reply, bytes(16) + mark + bytes(8)),
        message(error, made.TCP[14:] + b"somebody's payload"),
    ]
    for expression in (capture.tunnel_filter(asked, near, far), capture.signal_filter(asked, far)):
        assert keep(expression, [ours, *others], tmp_path) == [ours]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_tunnels_filter_asks_for_the_protocol(protocol: str, tmp_path: pathlib.Path) -> None:
    family, frame = (4, made.TCP) if protocol == "tcp" else (6, made.UDP)
    port = 9443 if protocol == "tcp" else 5555
    asked = plan("gre", protocol, family=family).model_copy(update={"port": port})
    expression = capture.tunnel_filter(asked, "172.20.0.139", "172.20.0.209")
    sent = made.over4(47, made.gre(frame, checksum=True))

    assert keep(expression, [sent], tmp_path) == [sent]


@pytest.mark.parametrize("kind", ["gre", "vxlan"])
def test_a_tunnel_over_ipv6(kind: str, tmp_path: pathlib.Path) -> None:
    inner = made.gre(made.ECHO6) if kind == "gre" else made.vxlan(made.ECHO6)
    sent = made.over6(47 if kind == "gre" else 17, inner)
    expression = capture.tunnel_filter(plan(kind), "fc00::1", "fc00::2")

    assert keep(expression, [sent, made.TCP], tmp_path) == [sent]


@pytest.mark.parametrize("family", [4, 6])
def test_a_ports_filter_keeps_the_probe_and_no_others(family: int, tmp_path: pathlib.Path) -> None:
    wanted = [made.ECHO4, made.ARP] if family == 4 else [made.ECHO6, made.SOLICITATION]
    others = [made.UDP, made.TCP, *([made.ECHO6] if family == 4 else [made.ECHO4, made.ARP])]

    assert keep(capture.port_filter(plan("gre", family=family)), [*wanted, *others], tmp_path) == wanted


@pytest.mark.parametrize("cloud", ["healthy-gre-l2pop", "healthy-vxlan-no-l2pop"])
def test_recorded_tunnels(cloud: str, tmp_path: pathlib.Path) -> None:
    """All that is recorded there is pings between these two, and discovery."""
    ends = build.plan().model_dump()
    ends["source"]["address"] = "fc00:5896:ff23:44dc:f816:3eff:fea8:7ef6"
    ends["destination"]["address"] = "fc00:5896:ff23:44dc:f816:3eff:fe0d:9acf"
    ends["network"]["type"] = "gre" if "gre" in cloud else "vxlan"
    asked = path.Plan.model_validate(ends)
    frames = list(recorded.frames(f"{cloud}/octavia.underlay.pcap"))

    kept = keep(capture.tunnel_filter(asked, "172.20.0.139", "172.20.0.209"), frames, tmp_path)

    wanted = [one for one in map(made.packet.decode, frames) if one is not None and one.kind.startswith("echo")]
    found = [one for one in map(made.packet.decode, kept) if one is not None and one.kind.startswith("echo")]
    assert found == [
        one for one in wanted if {one.source, one.destination} == {asked.source.address, asked.destination.address}
    ]
    assert found


@pytest.mark.parametrize("family", [4, 6])
def test_on_a_trunk_packets_of_another_vlan_or_of_none_are_left_out(family: int, tmp_path: pathlib.Path) -> None:
    echo, asks = (made.ECHO4, made.ARP) if family == 4 else (made.ECHO6, made.SOLICITATION)
    wanted = [tagged(echo, 101), tagged(asks, 101)]
    others = [echo, asks, tagged(echo, 102), tagged(made.UDP, 101)]

    assert keep(capture.trunk_filter(plan("gre", family=family), 101), [*wanted, *others], tmp_path) == wanted


def tagged(frame: bytes, vlan: int) -> bytes:
    return frame[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + frame[12:]
