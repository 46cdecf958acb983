"""A mirror shows a tunnel's packets on a device of its own, disturbs nobody, and goes without a trace."""

import json
import os
import pathlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from ovs_pathfinder.temporary import change, mirror
from tests import conftest
from tests.lab import hosts, node, processes, switch, topology

pytestmark = pytest.mark.lab

RUN = "20260101t120000-0a1b2c"
VOLATILE = {"statistics", "status", "link_resets"}

CALL = """
import sys
from ovs_pathfinder import errors
from ovs_pathfinder.temporary import mirror
one = mirror.Mirror.model_validate_json(sys.argv[2])
try:
    match sys.argv[1]:
        case "make":
            one.check()
            one.make(60)
        case "undo":
            print(one.undo().model_dump_json())
except errors.PathfinderError as error:
    sys.exit(f"refused: {error}")
"""

HOLD = """
import signal
import sys
from ovs_pathfinder.temporary import journal, mirror, protocol
one = mirror.Mirror.model_validate_json(sys.argv[1])
with protocol.temporarily(journal.Journal(), one, seconds=60, action="capture", run=one.run) as made:
    print("made", flush=True)
    if sys.argv[2] == "hold":
        signal.pause()
print(made.outcome.model_dump_json())
"""


def python(program: str, *arguments: str) -> list[str]:
    """Return the command line of a program that has the library."""
    return ["env", f"PYTHONPATH={hosts.CHECKOUT}/lib", sys.executable, "-c", program, *arguments]


def make(host: node.Host, one: mirror.Mirror) -> None:
    host.run(*python(CALL, "make", one.model_dump_json()), timeout=20)


def undo(host: node.Host, one: mirror.Mirror) -> change.Outcome:
    printed = host.run(*python(CALL, "undo", one.model_dump_json()), timeout=30).stdout
    return change.Outcome.model_validate_json(printed)


def tunnel_mirror(lab: hosts.Lab) -> mirror.Mirror:
    return mirror.new("br-tun", lab.tunnel_port("octavia"), RUN)


def database(host: node.Host) -> dict[str, dict[str, dict[str, Any]]]:
    """Return all that is configured of the switch: rows by table and UUID, without what changes by itself."""
    return {table: rows(host, table) for table in ("Bridge", "Port", "Interface", "Mirror")}


def rows(host: node.Host, table: str) -> dict[str, dict[str, Any]]:
    document = json.loads(host.vsctl("--no-wait", "--format=json", "list", table))
    listed = [dict(zip(document["headings"], row, strict=True)) for row in document["data"]]
    return {row["_uuid"][1]: {name: row[name] for name in row.keys() - VOLATILE} for row in listed}


def changed(
    before: dict[str, dict[str, dict[str, Any]]], after: dict[str, dict[str, dict[str, Any]]]
) -> dict[str, dict[str, set[str]]]:
    """Return the columns that differ in rows that were there before, by table and name."""
    found: dict[str, dict[str, set[str]]] = {}
    for table, listed in before.items():
        for uuid, row in listed.items():
            now = after[table].get(uuid, {})
            if differing := {column for column in row if row[column] != now.get(column)}:
                found.setdefault(table, {})[row["name"]] = differing
    return found


def flow_tables(host: node.Host) -> dict[str, list[str]]:
    return {
        bridge: sorted(host.ofctl("--no-stats", "--no-names", "dump-flows", bridge).splitlines())
        for bridge in ("br-int", "br-tun", "br-phy")
    }


def devices(host: node.Host) -> set[str]:
    return {each["ifname"] for each in json.loads(host.run("ip", "-j", "link", "show").stdout)}


def mirror_by_hand(host: node.Host, port: str, device: str) -> None:
    """Mirror a port as ovs-tcpdump does, without any mark."""
    host.vsctl(
        *("add-port", "br-tun", device, "--", "set", "Interface", device, "type=internal"),
        *("--", "--id=@port", "get", "Port", port, "--", "--id=@output", "get", "Port", device),
        *(
            "--",
            "--id=@mirror",
            "create",
            "Mirror",
            f"name=m_{device}",
            "select_src_port=@port",
            "select_dst_port=@port",
        ),
        *("output_port=@output", "--", "add", "Bridge", "br-tun", "mirrors", "@mirror"),
    )


def remove_by_hand(host: node.Host, device: str) -> None:
    found = ("--", "--id=@mirror", "get", "Mirror", f"m_{device}")
    host.vsctl(*found, "--", "remove", "Bridge", "br-tun", "mirrors", "@mirror", "--", "del-port", device)


def received(host: node.Host, device: str) -> int:
    """Return how many packets the switch has received from a device."""
    text = host.ofctl("dump-ports", "br-tun", device)
    return int(text.partition("rx pkts=")[2].partition(",")[0])


class Capture:
    """A tcpdump that has begun to listen."""

    def __init__(self, host: node.Host, device: str, expression: str) -> None:
        name = f"tcpdump-{device}"
        self._log = host.directory / f"{name}.log"
        self._child = host.start(
            name, "tcpdump", "-n", "-e", "-l", "--immediate-mode", "-i", device, *expression.split()
        )
        processes.wait_until(lambda: "listening on" in self.text, f"tcpdump on {device} listens")

    @property
    def text(self) -> str:
        return self._log.read_text()

    def wait_for(self, *wanted: str, count: int = 1) -> None:
        """Wait until each text has come so many times."""
        processes.wait_until(lambda: all(self.text.count(each) >= count for each in wanted), " and ".join(wanted))

    def stop(self) -> None:
        self._child.send_signal(signal.SIGINT)
        self._child.wait(5)


def kill(host: node.Host, daemon: str, number: signal.Signals = signal.SIGKILL) -> processes.Identity:
    """Send a signal to a daemon of Open vSwitch; return who it is."""
    identity = processes.Identity.of(int((host.directory / "run" / f"{daemon}.pid").read_text()))
    assert identity
    os.kill(identity.pid, number)
    if number == signal.SIGKILL:
        processes.wait_until(lambda: not identity.alive, f"{daemon} ends")
    return identity


def restart_switch(lab: hosts.Lab, host: node.Host) -> None:
    """Start ovs-vswitchd again and install the agent's flows."""
    (host.directory / "run" / "ovs-vswitchd.pid").unlink()
    switch.start_switch(host)
    pidfile = host.directory / "run" / "ovs-vswitchd.pid"
    processes.wait_until(pidfile.exists, "ovs-vswitchd is up again")
    processes.wait_until(
        lambda: not host.run("ovs-ofctl", "-O", "OpenFlow14", "show", "br-tun", check=False).returncode, "br-tun"
    )
    lab.apply()


def restart_database(host: node.Host) -> None:
    run = host.directory / "run"
    arguments = [str(host.directory / "db" / "conf.db"), f"--remote=punix:{run}/db.sock"]
    host.start("ovsdb-server", "ovsdb-server", *arguments, f"--pidfile={run}/ovsdb-server.pid", "-vconsole:off")
    processes.wait_until(
        lambda: not host.run("ovs-vsctl", "--no-wait", "--timeout=1", "list-br", check=False).returncode, "ovsdb-server"
    )


@pytest.mark.parametrize("tunnel", ["gre", "vxlan"])
def test_a_mirror_shows_both_directions_of_a_tunnel_port(start_lab: conftest.StartLab, tunnel: str) -> None:
    lab = start_lab(tunnel=tunnel, cloud=False)
    one = tunnel_mirror(lab)
    make(lab.source, one)
    capture = Capture(lab.source, one.device, "icmp6")

    assert lab.ping(3) == 3

    source, guest = topology.SOURCE, topology.GUEST
    request = f"{source.address6} > {guest.address6}: ICMP6, echo request, id 4242"
    reply = f"{guest.address6} > {source.address6}: ICMP6, echo reply, id 4242"
    capture.wait_for(request, reply, count=3)
    assert f"{source.mac} > {guest.mac}, ethertype IPv6" in capture.text  # decapsulated
    capture.stop()
    assert capture.text.count(request) == 3
    assert undo(lab.source, one).state == "undone"
    assert lab.ping(3) == 3


def test_packets_that_exceed_the_devices_mtu_are_shown_too(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    one = tunnel_mirror(lab)
    make(host, one)
    host.vsctl("set", "Interface", topology.SOURCE.device, "mtu_request=4000")
    capture = Capture(host, one.device, "icmp6")

    host.run("ping", "-n", "-c", "1", "-W", "0.1", "-M", "do", "-s", "3000", topology.GUEST.address6, check=False)

    capture.wait_for("length 1280", "ICMP6, echo request", "length 3008")


def test_undo_leaves_the_database_and_the_flows_as_they_were(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    before, flows_before, devices_before = database(host), flow_tables(host), devices(host)
    one = tunnel_mirror(lab)

    make(host, one)
    during = database(host)
    flows_during = flow_tables(host)
    devices_during = devices(host)
    pings = lab.ping(5)
    outcome = undo(host, one)

    assert outcome.model_dump() == {
        "state": "undone",
        "text": f"The mirror of {one.port} on br-tun is removed, and its device {one.device} with it.",
    }
    assert database(host) == before
    assert flow_tables(host) == flows_before
    assert devices(host) == devices_before
    assert pings == 5
    assert flows_during == flows_before
    assert devices_during == devices_before | {one.device}
    assert changed(before, during) == {"Bridge": {"br-tun": {"ports", "mirrors"}}}


def test_the_next_port_of_others_gets_the_number_it_would_have_got(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    highest = host.ofport(lab.tunnel_port("octavia"))
    one = tunnel_mirror(lab)
    make(host, one)

    host.vsctl("add-port", "br-tun", "first", "--", "set", "Interface", "first", "type=internal")
    undo(host, one)
    host.vsctl("add-port", "br-tun", "second", "--", "set", "Interface", "second", "type=internal")

    assert (host.ofport("first"), host.ofport("second")) == (highest + 1, highest + 2)


def test_mirrors_of_others_stay_and_work(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host, port = lab.source, lab.tunnel_port("octavia")
    mirror_by_hand(host, port, "earlier")
    host.configure("link set dev earlier up")
    earlier = Capture(host, "earlier", "icmp6")
    before = database(host)
    one = tunnel_mirror(lab)
    make(host, one)
    assert changed(before, database(host)) == {"Bridge": {"br-tun": {"ports", "mirrors"}}}
    mirror_by_hand(host, port, "later")
    host.configure("link set dev later up")
    captures = [earlier, Capture(host, one.device, "icmp6"), Capture(host, "later", "icmp6")]
    lab.ping(1)
    for capture in captures:
        capture.wait_for("echo request", "echo reply")

    undo(host, one)

    lab.ping(1)
    for capture in (captures[0], captures[2]):
        capture.wait_for("echo request", "echo reply", count=2)
    assert sorted(row["name"] for row in rows(host, "Mirror").values()) == ["m_earlier", "m_later"]
    remove_by_hand(host, "later")
    assert database(host) == before


def test_the_host_sends_nothing_by_the_device(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    host.run("sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1")  # a router reports its groups
    one = tunnel_mirror(lab)
    make(host, one)
    mirror_by_hand(host, one.port, "talker")
    host.configure("link set dev talker up")
    capture = Capture(host, one.device, "-Q out")

    lab.guest.run("ip", "neigh", "flush", "dev", "eth0")
    lab.guest.run("ping", "-n", "-c", "1", "-W", "2", topology.SOURCE.address4)

    # The other device shows what a host sends by itself: reports of its groups, and an answer to the guest's question.
    processes.wait_until(lambda: received(host, "talker") >= 4, "the host talks on another device")
    assert received(host, one.device) == 0
    capture.stop()
    assert "0 packets captured" in capture.text
    (addresses,) = json.loads(host.run("ip", "-j", "addr", "show", "dev", one.device).stdout)
    (about,) = json.loads(host.run("ip", "-j", "-d", "link", "show", "dev", one.device).stdout)
    assert (addresses["addr_info"], about["inet6_addr_gen_mode"]) == ([], "none")
    assert one.device not in host.run("ip", "neigh").stdout


def test_the_switch_drops_what_is_sent_by_the_device_nevertheless(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    one = tunnel_mirror(lab)
    make(host, one)
    number = host.ofport(one.device)
    host.ofctl("add-flow", "br-tun", f"priority=1000,in_port={number},actions=output:{host.ofport(one.port)}")

    traced = host.appctl("ofproto/trace", "br-tun", f"in_port={number},icmp")

    assert f"dropping packet received on port {one.device}, which is reserved exclusively for mirroring" in traced
    assert traced.splitlines()[-1] == "Datapath actions: drop"


def test_undo_can_be_repeated_and_needs_no_make(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    before = database(host)
    one = tunnel_mirror(lab)

    states = [undo(host, one).state]
    make(host, one)
    states += [undo(host, one).state, undo(host, one).state]

    assert states == ["gone", "undone", "gone"]
    assert database(host) == before


@pytest.mark.parametrize("at_once", [False, True])
def test_a_device_that_others_made_under_its_name_is_left_alone(start_lab: conftest.StartLab, at_once: bool) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    one = tunnel_mirror(lab)
    make(host, one)
    removal = ["del-port", one.device]
    if not at_once:
        host.vsctl(*removal)
        removal = []
    host.vsctl(*removal, "--", "add-port", "br-tun", one.device, "--", "set", "Interface", one.device, "type=internal")
    port = [row for row in rows(host, "Port").values() if row["name"] == one.device]

    outcomes = [undo(host, one), undo(host, one)]

    assert [each.state for each in outcomes] == ["undone", "gone"]
    assert f"{one.device}, which others have made meanwhile, was left alone" in outcomes[0].text
    assert [row for row in rows(host, "Port").values() if row["name"] == one.device] == port
    assert one.device in devices(host)
    assert rows(host, "Mirror") == {}


def test_undo_works_after_ovs_vswitchd_was_killed(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    before, devices_before = database(host), devices(host)
    one = tunnel_mirror(lab)
    make(host, one)
    kill(host, "ovs-vswitchd")
    assert one.device in devices(host)  # it outlives the switch that made it

    outcome = undo(host, one)

    assert outcome.state == "undone"
    assert {table: set(listed) for table, listed in database(host).items()} == {
        table: set(listed) for table, listed in before.items()
    }
    assert devices(host) == devices_before
    restart_switch(lab, host)
    lab.warm_up()
    assert devices(host) == devices_before
    assert undo(host, one).state == "gone"


def test_undo_works_while_ovs_vswitchd_hangs(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    before, devices_before = database(host), devices(host)
    one = tunnel_mirror(lab)
    make(host, one)
    hanging = kill(host, "ovs-vswitchd", signal.SIGSTOP)

    outcome = undo(host, one)

    assert outcome.state == "undone"
    assert rows(host, "Mirror") == {}
    os.kill(hanging.pid, signal.SIGCONT)
    lab.warm_up()
    assert hanging.alive
    processes.wait_until(lambda: database(host) == before, "ovs-vswitchd has taken notice")
    assert devices(host) == devices_before


def test_a_mirror_lives_on_after_ovs_vswitchd_was_restarted_and_can_be_undone(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    devices_before = devices(host)
    one = tunnel_mirror(lab)
    make(host, one)
    kill(host, "ovs-vswitchd")
    restart_switch(lab, host)
    lab.warm_up()
    capture = Capture(host, one.device, "icmp6")

    lab.ping(1)

    capture.wait_for("echo request", "echo reply")
    assert undo(host, one).state == "undone"
    assert devices(host) == devices_before
    assert lab.ping(1) == 1


def test_undo_waits_for_ovsdb_server(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    before = database(host)
    one = tunnel_mirror(lab)
    make(host, one)
    kill(host, "ovsdb-server")

    with pytest.raises(RuntimeError, match="refused: ovsdb-server does not answer on this host"):
        undo(host, one)
    restart_database(host)
    outcome = undo(host, one)

    assert outcome.state == "undone"
    processes.wait_until(lambda: database(host) == before, "ovs-vswitchd has taken notice")
    lab.warm_up()


def test_a_mirror_that_the_switch_does_not_take_up_is_an_error(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    one = tunnel_mirror(lab)
    kill(host, "ovs-vswitchd")

    with pytest.raises(RuntimeError, match=r"refused: .* cannot be mirrored: ovs-vswitchd did not answer within 5 s"):
        make(host, one)

    assert undo(host, one).state == "undone"
    assert rows(host, "Mirror") == {}


def test_a_mirror_lives_as_long_as_the_context(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    before = database(host)
    one = tunnel_mirror(lab)

    printed = host.run(*python(HOLD, one.model_dump_json(), "go on"), timeout=30).stdout.splitlines()

    assert printed[0] == "made"
    assert change.Outcome.model_validate_json(printed[1]).state == "undone"
    assert database(host) == before
    assert entries(host, "open") == []
    (closed,) = entries(host, "closed")
    assert closed["by"] == "action"


def entries(host: node.Host, state: str) -> Sequence[dict[str, Any]]:
    folder = pathlib.Path(host.env["OVS_PATHFINDER_STATE"]) / state
    return [json.loads(file.read_text()) for file in folder.glob("*.json")]


def test_the_guard_undoes_a_mirror_whose_owner_was_killed(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False)
    host = lab.source
    before, devices_before = database(host), devices(host)
    one = tunnel_mirror(lab)
    owner = host.start("owner", *python(HOLD, one.model_dump_json(), "hold"), stdout=-1)
    hosts.wait_for_line(owner, "made")
    assert one.device in devices(host)

    owner.kill()

    left = pathlib.Path(host.env["OVS_PATHFINDER_STATE"]) / "open"
    processes.wait_until(lambda: not any(left.iterdir()), "the guard closes the entry", limit=15)
    (closed,) = entries(host, "closed")
    assert (closed["by"], closed["outcome"]["state"]) == ("guard", "undone")
    assert database(host) == before
    assert devices(host) == devices_before
    assert lab.ping(1) == 1
