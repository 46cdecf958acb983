"""Captures are bounded, filtered as was said, kept in order, and summarized by who spoke with whom."""

import os
import pathlib
import subprocess

import pydantic
import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.evidence import pcap
from ovs_pathfinder.inspection import captures, conversations, filters, recording, savefiles
from ovs_pathfinder.report import view
from tests.unit import recorded

# The ends of the paths in the recorded captures.
GRE, VXLAN = "healthy-gre-l2pop", "healthy-vxlan-no-l2pop"


def flows(name: str) -> tuple[conversations.Flow, ...]:
    return conversations.summarize(pcap.read(recorded.FOLDER / name).packets).flows


def pair(name: str) -> tuple[str, str]:
    """Return the ends of the pings in a recorded capture."""
    flow = next(one for one in flows(name) if one.kind.startswith("echo-request"))
    return flow.source, flow.destination


def passing(file: pathlib.Path, expression: str) -> list[bytes]:
    """Return the frames of a capture that an expression lets through, by tcpdump itself."""
    command = ["tcpdump", "-n", "-r", str(file), "-w", "-", *([expression] if expression else [])]
    return list(recorded.frames_of(subprocess.run(command, capture_output=True, check=True, timeout=10).stdout))


def inner(frame: bytes, type_: str) -> bytes:
    """Return the frame in a tunnel over IPv4, in GRE with a key or in VXLAN; nothing for another packet."""
    if frame[12:14] != b"\x08\x00" or frame[23] != (47 if type_ == "gre" else 17):
        return b""
    return frame[14 + 20 + (8 if type_ == "gre" else 16) :]


@pytest.mark.parametrize(("folder", "type_"), [(GRE, "gre"), (VXLAN, "vxlan")])
@pytest.mark.parametrize("protocol", ["", "icmp", "tcp", "arp"])
def test_a_filter_for_tunnels_lets_through_what_the_plain_one_does_inside(
    tmp_path: pathlib.Path, folder: str, type_: str, protocol: filters.Protocol
) -> None:
    name = f"{folder}/octavia.underlay.pcap"
    wanted = filters.Wanted(hosts=pair(name), protocol=protocol)
    remote = next(one.outer for one in flows(name) if one.outer)
    inside = tmp_path / "inside.pcap"
    frames = [inner(frame, type_) for frame in recorded.frames(name)]
    inside.write_bytes(recorded.savefile([frame for frame in frames if frame]))

    through = passing(recorded.FOLDER / name, filters.tunnelled(wanted, type_, "", remote))

    assert [inner(frame, type_) for frame in through] == passing(inside, filters.plain(wanted))
    assert through or protocol in ("tcp", "arp")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("outer", [("172.20.0.139", "172.20.0.209"), ("fd00::1", "fd00::2")])
@pytest.mark.parametrize("type_", ["gre", "vxlan", "geneve"])
@pytest.mark.parametrize(("protocol", "port"), [("", None), ("icmp", None), ("tcp", 9443), ("arp", None), ("", 53)])
def test_every_filter_is_one_that_tcpdump_takes(
    version: int, outer: tuple[str, str], type_: str, protocol: filters.Protocol, port: int | None
) -> None:
    hosts = ("10.0.0.1", "10.0.0.2") if version == 4 else ("fc00::1", "fc00::2")
    expressions: list[str] = []
    for some in ((), hosts[:1], hosts):
        wanted = filters.Wanted(hosts=some, protocol=protocol, port=port)
        expressions += [filters.plain(wanted), filters.tunnelled(wanted, type_, *outer)]

    joined = " or ".join(f"({one})" for one in expressions if one)

    done = subprocess.run(
        ["tcpdump", "-y", "EN10MB", "-d", joined], capture_output=True, text=True, check=False, timeout=10
    )
    assert done.returncode == 0, done.stderr


def test_tunnelled_packets_are_counted_by_their_inner_ends() -> None:
    found = flows(f"{GRE}/octavia.underlay.pcap")

    request = next(one for one in found if one.kind.startswith("echo-request"))
    reply = next(one for one in found if one.kind.startswith("echo-reply"))
    assert (request.source, request.destination) == (reply.destination, reply.source)
    assert (request.outer != "", request.key, request.protocol) == (True, reply.key, "icmp6")
    assert request.packets == reply.packets
    assert request.first <= reply.first <= reply.last


def test_the_largest_flows_come_first_and_the_rest_is_counted() -> None:
    frame = bytearray(next(iter(recorded.frames(f"{GRE}/octavia.o-hm0.pcap"))))
    packets: list[pcap.Packet] = []
    for number in range(25):
        frame[:12] = bytes([2, 0, 0, 0, 0, number] * 2)
        frame[12:14] = b"\x88\xcc"  # LLDP
        packets += [pcap.Packet(time=100.0 + number, length=200, data=bytes(frame))] * (number + 1)

    found = conversations.summarize(packets)

    assert (len(found.flows), found.more, found.packets, found.unknown) == (20, 5, 325, 325)
    assert (found.flows[0].packets, found.flows[0].bytes, found.flows[0].protocol) == (25, 5000, "ethertype 0x88cc")
    assert found.flows[0].source == "02:00:00:00:00:18"
    assert found.first == 100.0


def test_the_counts_of_tcpdump_are_read() -> None:
    said = """tcpdump: listening on eth1, link-type EN10MB (Ethernet), snapshot length 96 bytes
1 packet captured
12 packets received by filter
3 packets dropped by kernel
4 packets dropped by interface"""

    assert recording.read_counts(said) == {
        "captured": 1,
        "received by filter": 12,
        "dropped by kernel": 3,
        "dropped by interface": 4,
    }


def test_a_file_is_its_owners_alone_and_never_another_one(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "state" / "captures"

    files = [savefiles.create(folder, "ovs-pathfinder/0", "br/int odd", 1000) for _ in range(3)]

    assert len(set(files)) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all("-ovs-pathfinder-0+br_int_odd-" in file.name and file.suffix == ".pcap" for file in files)


def test_a_folder_that_is_a_link_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "captures").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(errors.PathfinderError, match="is not a folder of this user's own"):
        savefiles.create(tmp_path / "captures", "ovs-pathfinder/0", "eth1", 1000)


def test_a_disk_without_room_for_twice_the_bound_is_refused(tmp_path: pathlib.Path) -> None:
    about = os.statvfs(tmp_path)
    bound = about.f_bavail * about.f_frsize

    with pytest.raises(errors.PathfinderError, match=f"less than twice the {bound} bytes"):
        savefiles.create(tmp_path / "captures", "ovs-pathfinder/0", "eth1", bound)
    assert list((tmp_path / "captures").iterdir()) == []


def test_the_newest_files_are_kept(tmp_path: pathlib.Path) -> None:
    files = [tmp_path / f"{number:02}.pcap" for number in range(23)]
    for number, file in enumerate(files):
        file.write_bytes(b"x")
        os.utime(file, (number, number))
    (tmp_path / "other.txt").write_text("not ours")

    removed = savefiles.prune(tmp_path, files[0])

    assert sorted(removed) == ["01.pcap", "02.pcap", "03.pcap"]
    assert files[0].exists()
    assert (tmp_path / "other.txt").exists()


def test_the_largest_total_is_kept_to(tmp_path: pathlib.Path) -> None:
    files = [tmp_path / f"{number}.pcap" for number in range(3)]
    for number, file in enumerate(files):
        with file.open("wb") as opened:
            opened.truncate(90_000_000)
        os.utime(file, (number, number))

    assert savefiles.prune(tmp_path, files[2]) == ["0.pcap"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no place is given"),
        ({"at": "port"}, "at=port does not say whose port"),
        ({"at": "guest"}, "'port', 'tunnel' or 'underlay'"),
        ({"device": "eth1", "at": "port"}, "device is a place by itself"),
        ({"device": "eth1", "run": "x"}, "device is a place by itself"),
        ({"device": "-w/etc/passwd"}, "it is no name that a device has"),
        ({"at": "tunnel", "port": "x"}, "port belongs to at=port"),
        ({"device": "eth1", "protocol": "icmp", "service-port": 80}, "icmp has no ports"),
        ({"device": "eth1", "host": "example.com"}, "it is no IP address"),
        ({"device": "eth1", "duration": 121}, "less than or equal to 120"),
        ({"device": "eth1", "duration": 0}, "greater than or equal to 1"),
        ({"device": "eth1", "packets": 10_001}, "less than or equal to 10000"),
        ({"device": "eth1", "packets": 10_000, "full": True}, "10000 packets in full may take 655510024 bytes"),
        ({"device": "eth1", "filter": "icmp"}, "Extra inputs are not permitted"),
    ],
)
def test_bad_input_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        captures.Query.model_validate(given)

    assert said in str(caught.value)


def test_the_page_fits_the_terminal() -> None:
    name = f"{VXLAN}/octavia.underlay.pcap"
    summary = conversations.summarize(pcap.read(recorded.FOLDER / name).packets)
    path = "/var/lib/ovs-pathfinder/unit-ovs-pathfinder-0/captures/20261122t183502-eth1-4c1acc.pcap"
    shown = captures.Answer(
        summary="S" + "ome words " * 20,
        role="underlay",
        device="eth1",
        wanted=str(filters.Wanted(hosts=pair(name), protocol="icmp")),
        expression="icmp6",
        command="tcpdump",
        end="time",
        seconds=10.0,
        captured=summary.packets,
        path=path,
        bytes=1080,
        sha256="0" * 64,
        link_type=1,
        snap_length=192,
        flows=summary.flows,
        more=3,
        undone="The mirror of vxlan-ac1400d1 on br-tun is removed, and its device opf4faa6baa with it.",
        fetch=f"juju ssh --pty=false ovs-pathfinder/0 sudo cat {path} > some.pcap",
        trace=f"juju run ovs-pathfinder/0 trace-packet file={path} packet=1",
        notes=("A note. " * 20,),
    )

    page = view.view(shown)["report"]

    wide = [line for line in page.splitlines() if len(line) > 80]
    assert [line for line in wide if path not in line] == []
    assert "in a tunnel from" in page
    assert page.count(" \\\n") >= 2


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        # A report of multicast groups (RFC 3810) behind a hop-by-hop header.
        (
            "333300000016fa163e0d9acf86dd6000000000240001fe80000000000000f8163efffe0d9acfff020000000000000000000000000016"
            "3a000502000001008f00",
            ("fe80::f816:3eff:fe0d:9acf", "ff02::16", "icmp6", "type 143"),
        ),
        # VRRP, as two amphorae speak it.
        (
            "01005e000012fa163e0d9acf0800450000280000000001700000c0a84dcfe0000012",
            ("192.168.77.207", "224.0.0.18", "vrrp", ""),
        ),
        ("ffffffffffff020000000001", ("", "", "cut short", "")),
    ],
)
def test_a_packet_of_no_known_kind_is_told_by_its_header(frame: str, told: tuple[str, str, str, str]) -> None:
    packet = pcap.Packet(time=1.0, length=118, data=bytes.fromhex(frame))

    (flow,) = conversations.summarize([packet]).flows

    assert (flow.source, flow.destination, flow.protocol, flow.kind) == told


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (filters.Wanted(), "all packets"),
        (filters.Wanted(port=53), "packets of port 53"),
        (filters.Wanted(hosts=("10.0.0.1", "10.0.0.2"), protocol="icmp"), "icmp packets between 10.0.0.1 and 10.0.0.2"),
        (filters.Wanted(hosts=("10.0.0.1",), protocol="tcp", port=22), "tcp packets of port 22 of 10.0.0.1"),
    ],
)
def test_what_was_asked_for_is_said_in_words(wanted: filters.Wanted, words: str) -> None:
    assert str(wanted) == words
