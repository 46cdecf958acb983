"""Captures see what passes each place, are bounded, and leave nothing behind but their file."""

import contextlib
import hashlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Collection, Iterator
from typing import Any

import pytest

from ovs_pathfinder.evidence import pcap
from tests import conftest
from tests.lab import asking, hosts, killing, node, probing, processes, topology

pytestmark = pytest.mark.lab

ROLES = ("port", "tunnel", "underlay")


@pytest.fixture(scope="module")
def quiet_lab(lab_support: None) -> Iterator[hosts.Lab]:
    """Start a healthy lab without heartbeats, which tests share that leave it as it was."""
    with hosts.Lab.start(cloud=False, heartbeats=False) as lab:
        lab.warm_up()
        yield lab


def picture(lab: hosts.Lab) -> list[object]:
    """Return all flows, all rows of the databases and all devices of both hosts."""
    return [killing.Flows(lab, key).picture() for key in lab.hosts]


def folder(host: node.Host) -> pathlib.Path:
    return host.directory / "state" / "captures"


def ping_until_ended(lab: hosts.Lab, captures: Collection[asking.Asking]) -> None:
    """Send what captures that end by the number of packets wait for."""

    def is_over() -> bool:
        lab.ping(3, identifier=778)
        return all(one.popen.poll() is not None for one in captures)

    processes.wait_until(is_over, "the captures end", limit=60)


def capturing(where: str) -> list[processes.Identity]:
    """Return the tcpdumps whose command line has a text."""
    found: list[processes.Identity | None] = []
    for place in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:
            continue
        if pathlib.Path(os.fsdecode(words[0])).name == "tcpdump" and any(where.encode() in word for word in words):
            found.append(processes.Identity.of(int(place.parent.name)))
    return [one for one in found if one]


@pytest.mark.parametrize(("tunnel", "ip"), [("gre", 6), ("vxlan", 4)])
def test_each_role_on_both_hosts_sees_the_pings_and_their_answers(
    start_lab: conftest.StartLab, tunnel: topology.NetworkType, ip: topology.IpVersion
) -> None:
    lab = start_lab(cloud=False, tunnel=tunnel, ip=ip)
    plan = probing.plan_of(lab)
    before = picture(lab)
    captures = {
        (key, at): asking.Asking(lab, key, "captures", plan, at=at, protocol="icmp", packets=12, duration=100)
        for key in lab.hosts
        for at in ROLES
    }
    for one in captures.values():
        one.wait_for("capturing on")

    assert lab.ping(3, identifier=777) == 3

    ping_until_ended(lab, captures.values())
    found = {place: one.result() for place, one in captures.items()}
    assert picture(lab) == before
    ends = [topology.SOURCE.address(ip), topology.GUEST.address(ip)]
    for (_, at), asked in found.items():
        assert asked.error == ""
        answer = asked.answer
        flows = {one["kind"]: one for one in answer["flows"]}
        request, reply = flows["echo-request id 777"], flows["echo-reply id 777"]
        assert (request["packets"], reply["packets"]) == (3, 3)
        assert [request["source"], request["destination"]] == ends
        assert [reply["destination"], reply["source"]] == ends
        assert bool(request["outer"]) is (at == "underlay")
        assert request["key"] == (topology.SEGMENT if at == "underlay" else None)
        assert bool(answer["mirrored"]) is (at == "tunnel")
        assert ("is removed" in answer["undone"]) is (at == "tunnel")
        assert any("A mirror copied all packets of" in note for note in answer["notes"]) is (at == "tunnel")
        file = pathlib.Path(answer["path"])
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert answer["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        assert len(pcap.read(file).packets) == answer["captured"] == 12
        assert f"sudo cat {file} > {file.name}" in answer["fetch"]
        assert answer["trace"].endswith(f"trace-packet file={file} packet=1 run={plan.run}")
    assert found["octavia", "underlay"].answer["flows"][0]["outer"] == topology.OCTAVIA.tunnel_address


def test_a_killed_capture_leaves_no_mirror_and_no_tcpdump_but_what_it_has_seen(quiet_lab: hosts.Lab) -> None:
    lab, host = quiet_lab, quiet_lab.source
    before = picture(lab)
    port = lab.tunnel_port("octavia")
    capture = asking.Asking(lab, "octavia", "captures", device=port, duration=60, packets=1000)
    told = capture.wait_for("capturing on")
    file = pathlib.Path(told.split(" into ")[1].strip())
    assert lab.ping(2) == 2
    processes.wait_until(lambda: len(pcap.read(file).packets) >= 4, "the file has the pings")
    (tcpdump,) = capturing(str(file))
    assert picture(lab) != before

    os.kill(capture.popen.pid, signal.SIGKILL)

    processes.wait_until(lambda: not tcpdump.alive, "tcpdump ends")
    processes.wait_until(lambda: picture(lab) == before, "the mirror goes", limit=killing.LIMIT)
    capture.popen.communicate()
    assert len(pcap.read(file).packets) >= 4
    assert capturing(str(folder(host))) == []


def test_a_device_that_goes_away_ends_the_capture_and_keeps_what_was_seen(quiet_lab: hosts.Lab) -> None:
    host = quiet_lab.source
    host.configure(
        "link add fleeting type veth peer name beyond",
        "link set fleeting addrgenmode none",
        "link set beyond addrgenmode none",
        "link set beyond up",
        "link set fleeting up",
        "addr add 203.0.113.1/24 dev fleeting",
    )
    capture = asking.Asking(quiet_lab, "octavia", "captures", device="fleeting", duration=60)
    file = pathlib.Path(capture.wait_for("capturing on").split(" into ")[1].strip())
    host.run("ping", "-n", "-c", "1", "-W", "0.1", "203.0.113.9", check=False)
    processes.wait_until(lambda: len(pcap.read(file).packets) >= 1, "a question for the address is captured")

    host.configure("link delete fleeting")

    answer = capture.result().answer
    assert answer["end"] == "device"
    assert answer["captured"] >= 1
    assert answer["flows"][0]["protocol"] == "arp"
    assert "the device fleeting went away" in answer["notes"][0]


def test_a_disk_that_fills_up_is_told_and_keeps_what_it_took(quiet_lab: hosts.Lab) -> None:
    lab, host = quiet_lab, quiet_lab.destination
    folder(host).mkdir(mode=0o700, parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=128k,mode=700", "none", str(folder(host))]
    subprocess.run(command, check=True, timeout=10)
    try:
        capture = asking.Asking(
            lab, "compute", "captures", device=topology.GUEST.device, protocol="icmp", duration=60, packets=200
        )
        capture.wait_for("capturing on")
        with contextlib.suppress(OSError):
            (folder(host) / "filler").write_bytes(bytes(1 << 18))
        lab.ping(150, interval=0.002)
        answer = capture.result().answer
    finally:
        subprocess.run(["umount", "-l", str(folder(host))], check=True, timeout=10)

    assert answer["captured"] < 200
    assert any("the disk took no more" in note for note in answer["notes"])


def test_the_bounds_end_a_capture(quiet_lab: hosts.Lab) -> None:
    capture = asking.Asking(
        quiet_lab, "octavia", "captures", device="o-hm0", host=quiet_lab.address, packets=2, duration=60
    )
    capture.wait_for("capturing on")

    quiet_lab.ping(3)

    answer = capture.result().answer
    assert (answer["end"], answer["captured"], answer["snap_length"]) == ("packets", 2, 96)
    assert {len(one.data) for one in pcap.read(answer["path"]).packets} == {14 + 40 + 8}  # no byte of the payload


def test_a_full_capture_keeps_whole_packets(quiet_lab: hosts.Lab) -> None:
    capture = asking.Asking(
        quiet_lab, "octavia", "captures", device="o-hm0", protocol="icmp", full=True, packets=2, duration=60
    )
    capture.wait_for("capturing on")

    quiet_lab.source.run("ping", "-n", "-c", "2", "-s", "1000", quiet_lab.address)

    assert not any(one.is_cut for one in pcap.read(capture.result().answer["path"]).packets)


def test_silence_is_an_answer(quiet_lab: hosts.Lab) -> None:
    asked = asking.ask(quiet_lab, "octavia", "captures", device="o-hm0", service_port=4711, duration=1)

    assert asked.answer["captured"] == 0
    assert asked.summary.startswith("Of packets of port 4711, none passed o-hm0 within 1.")
    assert asked.answer["trace"] == ""
    assert pcap.read(asked.answer["path"]).packets == ()


def test_a_neutron_port_is_found_by_its_id(quiet_lab: hosts.Lab) -> None:
    asked = asking.ask(quiet_lab, "compute", "captures", port=topology.GUEST.port, duration=1)

    assert (asked.answer["role"], asked.answer["device"]) == ("port", topology.GUEST.device)


@pytest.mark.parametrize(
    ("at", "more"),
    [
        ({"device": topology.SOURCE.device}, f" port={topology.SOURCE.device}"),
        ({"at": "underlay"}, ""),
        ({"device": "br-phy"}, None),
    ],
)
def test_the_first_packet_can_be_traced_where_it_was_in_the_switch(
    quiet_lab: hosts.Lab, at: dict[str, Any], more: str | None
) -> None:
    capture = asking.Asking(quiet_lab, "octavia", "captures", **at, packets=1, duration=60)
    capture.wait_for("capturing on")

    quiet_lab.ping(2)
    quiet_lab.source.run("ping", "-n", "-c", "1", topology.COMPUTE.tunnel_address)

    answer = capture.result().answer
    expected = f"trace-packet file={answer['path']} packet=1{more}" if more is not None else ""
    assert answer["trace"].removeprefix("juju run ovs-pathfinder/0 ") == expected


def test_the_only_tunnel_needs_no_run(quiet_lab: hosts.Lab) -> None:
    captures = [
        asking.Asking(quiet_lab, "octavia", "captures", at=at, packets=12, duration=100)
        for at in ("tunnel", "underlay")
    ]
    for one in captures:
        one.wait_for("capturing on")

    ping_until_ended(quiet_lab, captures)

    tunnel, underlay = (one.result().answer for one in captures)
    assert tunnel["mirrored"] == quiet_lab.tunnel_port("octavia")
    assert underlay["device"] == "eth1"
    assert {one["outer"] for one in underlay["flows"]} - {""} == {
        topology.OCTAVIA.tunnel_address,
        topology.COMPUTE.tunnel_address,
    }
    assert {one["kind"].partition(" ")[0] for one in tunnel["flows"]} >= {"echo-request", "echo-reply"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"device": "eth99"}, "there is no device eth99 on this host; its switch has br-int, "),
        ({"device": "any"}, "the device any gives no Ethernet frames"),
        ({"device": "lo"}, ""),
        ({"device": "asleep"}, "the device asleep is down, so it has no packets"),
        ({"port": topology.GUEST.port}, "has no device on this host, whose ports are " + topology.SOURCE.port),
    ],
)
def test_a_place_that_nothing_can_be_captured_at_is_refused(
    quiet_lab: hosts.Lab, query: dict[str, Any], said: str
) -> None:
    host = quiet_lab.source
    if query.get("device") == "asleep":
        host.configure("link add asleep type veth peer name sleeper")
    files = set(folder(host).glob("*"))

    asked = asking.ask(quiet_lab, "octavia", "captures", **query, duration=1)

    assert said in asked.error
    assert (set(folder(host).glob("*")) == files) is bool(said)
