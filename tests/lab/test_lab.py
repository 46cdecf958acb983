"""The lab is what it claims to be, and it leaves nothing behind."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest
import yaml

from tests import conftest
from tests.lab import hosts, ownership, processes, topology

pytestmark = pytest.mark.lab

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]


def remains(name: str) -> list[pathlib.Path]:
    """Return what is left of a lab: namespaces and files."""
    return [*pathlib.Path("/run/netns").glob(f"opf-{name}-*"), *ownership.root().glob(f"opf-*-{name}")]


@pytest.mark.parametrize("same_host", [False, True])
@pytest.mark.parametrize("l2population", [True, False])
@pytest.mark.parametrize("tunnel", ["gre", "vxlan"])
def test_path_works_in_every_shape(start_lab: conftest.StartLab, tunnel: str, l2population: bool, same_host: bool):
    lab = start_lab(tunnel=tunnel, l2population=l2population, same_host=same_host, guests=2, cloud=False)

    assert (lab.ping(3, ip=6), lab.ping(3, ip=4)) == (3, 3)


def test_guest_answers_on_its_api_port(lab: hosts.Lab):
    program = "import socket, sys; socket.create_connection((sys.argv[1], 9443), 2)"

    assert lab.source.run(sys.executable, "-c", program, lab.address).returncode == 0


def test_full_packets_of_the_network_pass(lab: hosts.Lab):
    size = lab.shape.mtu - 40 - 8

    ping = ["ping", "-n", "-c", "2", "-i", "0.1", "-M", "do", "-s", str(size), topology.GUEST.address6]
    assert " 0% packet loss" in lab.source.run(*ping).stdout


def test_heartbeats_reach_the_source(lab: hosts.Lab):
    argv = ["tcpdump", "-n", "-c", "1", "--immediate-mode", "-i", topology.SOURCE.device, "udp port 5555"]

    assert topology.GUEST.address6 in lab.source.run(*argv).stdout


def test_description_file_follows_the_description(lab: hosts.Lab):
    lab.port("guest")["status"] = "DOWN"

    written = json.loads(lab.write_description().read_text())

    assert written == lab.description
    assert {each["id"] for each in written["ports"]} == {topology.SOURCE.port, topology.GUEST.port}


def test_model_enters_the_hosts(lab: hosts.Lab, tmp_path: pathlib.Path):
    written = yaml.safe_load(lab.write_model(tmp_path / "model.yaml", application="other").read_text())

    assert written["application"] == "other"
    unit = written["units"]["ovs-pathfinder/1"]
    argv = [*unit["enter"], "ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:hostname"]
    result = subprocess.run(argv, env={**os.environ, **unit["env"]}, text=True, capture_output=True, check=True)
    assert result.stdout.strip().strip('"') == topology.COMPUTE.hostname


def test_labs_live_side_by_side(start_lab: conftest.StartLab):
    first, second = start_lab(cloud=False), start_lab(cloud=False, tunnel="vxlan")

    first.source.ofctl("del-flows", "br-int")

    assert (first.ping(1), second.ping(1)) == (0, 1)


def test_stop_leaves_nothing(lab_support: None):
    with hosts.Lab.start(cloud=False) as lab:
        daemon = processes.Identity.of(lab.source.start("sleeper", "sleep", "600").pid)
        assert daemon
        assert remains(lab.name)

    assert not daemon.alive
    assert not remains(lab.name)


def test_failed_start_leaves_nothing(lab_support: None, monkeypatch: pytest.MonkeyPatch):
    names: list[str] = []

    def fail(lab: hosts.Lab, *bridges: str) -> None:
        names.append(lab.name)
        raise RuntimeError("no flows today")

    monkeypatch.setattr(hosts.Lab, "apply", fail)

    with pytest.raises(RuntimeError, match="no flows today"):
        hosts.Lab.start(cloud=False)

    assert not remains(names[0])


def start_command() -> "tuple[subprocess.Popen[str], str]":
    """Start a lab by its command line; return the process and the lab's name."""
    argv = [sys.executable, "-m", "tests.lab.run", "up"]
    env = {**os.environ, "PYTHONPATH": f"{CHECKOUT}/lib"}
    command = subprocess.Popen(argv, cwd=CHECKOUT, env=env, text=True, stdout=subprocess.PIPE)
    assert command.stdout
    words = command.stdout.readline().split()
    assert words[0] == "lab", words
    return command, words[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_the_lab(lab_support: None, number: signal.Signals):
    command, name = start_command()
    with command:
        assert remains(name)

        command.send_signal(number)
        try:
            command.communicate(timeout=10)
        finally:
            command.kill()

    assert not remains(name)


@pytest.fixture
def own_labs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep this test's labs where no other process sweeps; a short path, as it leads to UNIX sockets."""
    with tempfile.TemporaryDirectory(prefix="opf-", dir="/tmp") as directory:
        monkeypatch.setenv("OVS_PATHFINDER_LABS", directory)
        yield


def test_lab_of_a_killed_owner_is_swept(lab_support: None, own_labs: None):
    command, name = start_command()
    with command:
        daemons = [
            processes.Identity.parse(each.read_text())
            for each in (ownership.root() / f"opf-lab-{name}" / "processes").iterdir()
        ]
        command.kill()
        command.communicate(timeout=10)
    assert remains(name)

    assert name in ownership.sweep()

    assert not remains(name)
    processes.wait_until(lambda: not any(each.alive for each in daemons), "the daemons' end")


def test_sweep_spares_the_living(lab: hosts.Lab):
    assert lab.name not in ownership.sweep()
    assert lab.ping(1) == 1


def test_identity_of_a_reused_pid_is_not_alive():
    mine = processes.Identity.of(os.getpid())

    assert mine
    assert mine.alive
    assert not processes.Identity(mine.pid, mine.started + 1).alive
