"""A process that outlives the one which started it, detached and as a service of a real systemd."""

import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import pytest

from ovs_pathfinder.temporary import journal
from tests.lab import hosts, processes, systemd

LIBRARY = pathlib.Path(__file__).resolve().parents[2] / "lib"
SECRET = "geheim-4711"  # noqa: S105

# Stands for the guard: it writes down what it sees, and ends once it may.
WITNESS = """
import json, os, pathlib, select, signal, subprocess, sys, time
given = json.loads(sys.stdin.buffer.readline())
log = pathlib.Path(given["log"]).open("a", buffering=1)
tool = subprocess.Popen(["sleep", "600"]) if given["tool"] else None
woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
signal.set_wakeup_fd(wake)
signal.signal(signal.SIGTERM, lambda *_: None)
about = {
    "pid": os.getpid(),
    "python": sys.executable,
    "session": os.getsid(0),
    "group": pathlib.Path("/proc/self/cgroup").read_text().splitlines()[-1],
    "environment": dict(os.environ),
    "files": {name: os.readlink(f"/proc/self/fd/{name}") for name in ("0", "1", "2")},
    "open": [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")[:-1]],
    "password": given.get("password"),
    "padding": len(given["padding"]),
}
log.write(json.dumps(about) + "\\n")
if given["ready"]:
    os.write(1, b"ready\\n")
ready = select.select([0, woken], [], [])[0]
log.write("signal\\n" if woken in ready else "end\\n")
while given["until"] and not pathlib.Path(given["until"]).exists():
    time.sleep(0.01)
time.sleep(given["work"])
if tool:
    log.write("tool lives\\n" if tool.poll() is None else "tool is dead\\n")
log.write("done\\n")
"""
# Stands for the action.
OWNER = """
import json, os, signal, sys
given = json.loads(sys.argv[1])
sys.path[:0] = given["path"]
os.environ.update(given["environment"])
from ovs_pathfinder import process
for name in given["without"]:
    setattr(process, name, lambda *_: None)
process.SEARCH_PATH = given["search"] or process.SEARCH_PATH
os.set_inheritable(os.open(given["file"], os.O_RDONLY), True)
message = json.dumps({**given["message"], "padding": "x" * given["padding"]})
try:
    begun = process.Outliving(given["module"], given["name"], message, ready="ready", timeout=given["timeout"])
    said = {"pid": begun.pid}
except process.ProcessError as error:
    begun, said = None, {"error": str(error), "status": error.status}
print(json.dumps(said), flush=True)
for line in sys.stdin:
    if line == "die\\n":
        os.kill(os.getpid(), signal.SIGKILL)
    elif line == "die with the process group\\n":
        os.killpg(0, signal.SIGKILL)
    elif line == "kill what was started\\n":
        os.kill(begun.pid, signal.SIGKILL)
        os.waitid(os.P_PID, begun.pid, os.WEXITED | os.WNOWAIT)
    elif line == "release\\n":
        begun.release()
    print("done", flush=True)
"""
# The action that adds a flow.
ACTION = """
import os, sys
sys.path[:0], environment = sys.argv[1:2], sys.argv[2:]
os.environ.update(one.split("=", 1) for one in environment)
from ovs_pathfinder.temporary import flows, journal, protocol, rule
rules = rule.parse("table=0,priority=4242,icmp6,ipv6_dst=2001:db8::4242,actions=NORMAL")
kind = flows.Flows(bridge="br-int", cookie=flows.new_cookie(), rules=rules)
with protocol.temporarily(journal.Journal(), kind, seconds=600, action="try-flows"):
    print("made", flush=True)
    sys.stdin.readline()
"""

Start = Callable[..., "subprocess.Popen[str]"]


class Owner:
    """A process that has started a witness, and what both say."""

    def __init__(self, child: "subprocess.Popen[str]", log: pathlib.Path) -> None:
        self.child = child
        self.log = log
        self.said: Mapping[str, Any] = json.loads(self._read())

    def tell(self, what: str) -> None:
        """Have it do something, and wait until that is done or it has died of it."""
        assert self.child.stdin is not None
        self.child.stdin.write(f"{what}\n")
        self.child.stdin.flush()
        self._read()

    def _read(self) -> str:
        """Return the one line that is awaited, or nothing where it has died."""
        assert self.child.stdout is not None
        if not select.select([self.child.stdout], [], [], 30)[0]:
            raise TimeoutError("the owner says nothing")
        return self.child.stdout.readline()

    @property
    def seen(self) -> list[str]:
        """What the witness has written down, but for what it is."""
        return self.log.read_text().splitlines()[1:] if self.log.exists() else []

    @property
    def witness(self) -> Mapping[str, Any]:
        """What the witness is; there must be one alone."""
        (line,) = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        return json.loads(line)

    def has_witness(self) -> bool:
        """Whether the witness lives; its pid is this host's only where it is detached."""
        return processes.Identity.of(self.witness["pid"]) is not None

    def wait_for(self, *lines: str) -> None:
        """Wait until the witness has written down these lines, and no others."""
        processes.wait_until(lambda: self.seen == list(lines), f"the witness has seen {lines}", 10)


class Owners:
    """Starts owners and gives them a folder."""

    def __init__(self, directory: pathlib.Path, start: Start, stack: contextlib.ExitStack, search: str = "") -> None:
        self.directory = directory
        self._start = start
        self._stack = stack
        self._search = search
        self.directory.mkdir(exist_ok=True)
        (self.directory / "witness.py").write_text(WITNESS)

    def start(
        self,
        name: str = "opf-witness",
        *,
        message: Mapping[str, Any] | None = None,
        around: Sequence[str] = (),
        **changed: Any,
    ) -> Owner:
        """Start one, and wait until it has its witness, or an error."""
        log = self.directory / f"{name}.log"
        given = {
            "path": [str(LIBRARY), str(self.directory)],
            "environment": {},
            "without": [],
            "search": self._search,
            "file": str(self.directory / "witness.py"),
            "module": "witness",
            "name": name,
            "timeout": 10.0,
            "padding": 0,
            "message": {"log": str(log), "ready": True, "tool": False, "until": "", "work": 0, **(message or {})},
            **changed,
        }
        argv = [*around, sys.executable, "-c", OWNER, json.dumps(given)]
        child = self._stack.enter_context(self._start(*argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        self._stack.callback(child.kill)
        return Owner(child, log)


@pytest.fixture
def detached(tmp_path: pathlib.Path) -> Iterator[Owners]:
    def start(*argv: str, **more: Any) -> "subprocess.Popen[str]":
        return subprocess.Popen(argv, text=True, start_new_session=True, **more)

    with contextlib.ExitStack() as stack:
        # Without systemd-run even a host that systemd runs has none.
        yield Owners(tmp_path / "detached", start, stack, search="/nonexistent")


def test_what_is_detached_leads_a_session_and_holds_no_file_of_its_owner(detached: Owners) -> None:
    owner = detached.start()

    witness = owner.witness
    assert witness["session"] == witness["pid"] == owner.said["pid"]
    assert witness["files"]["0"].startswith("pipe:")
    assert witness["files"]["1"].startswith("pipe:")
    assert witness["files"]["2"] == "/dev/null"
    assert str(detached.directory / "witness.py") not in witness["open"]


@pytest.mark.parametrize("end", ["die", "die with the process group"])
def test_what_is_detached_sees_its_owner_killed_and_goes_on(detached: Owners, end: str) -> None:
    until = detached.directory / "until"
    owner = detached.start(message={"until": str(until)})

    owner.tell(end)

    owner.wait_for("end")
    assert owner.child.wait(5) == -signal.SIGKILL
    assert owner.has_witness()
    until.touch()
    owner.wait_for("end", "done")


def test_who_reads_its_owners_output_does_not_wait_for_what_is_detached(detached: Owners) -> None:
    until = detached.directory / "until"
    owner = detached.start(message={"until": str(until)})

    assert owner.child.communicate("die\n", timeout=10) == ("", None)

    assert owner.has_witness()
    until.touch()
    owner.wait_for("end", "done")


def test_a_release_waits_for_its_end(detached: Owners) -> None:
    owner = detached.start()

    owner.tell("release")

    assert owner.seen == ["end", "done"]
    assert not owner.has_witness()


def test_it_finds_the_library_and_open_vswitch_but_no_secret_of_the_environment(detached: Owners) -> None:
    environment = {"OVS_RUNDIR": "/tmp/a b", "OS_PASSWORD": SECRET}  # noqa: S108
    owner = detached.start(environment=environment)

    seen = owner.witness["environment"]
    assert seen["OVS_RUNDIR"] == environment["OVS_RUNDIR"]
    assert str(LIBRARY) in seen["PYTHONPATH"].split(os.pathsep)
    assert SECRET not in str(seen)


def test_a_message_longer_than_a_pipe_arrives_whole(detached: Owners) -> None:
    owner = detached.start(padding=300_000)

    assert owner.witness["padding"] == 300_000


def test_a_module_that_fails_gives_its_exit_status(detached: Owners) -> None:
    owner = detached.start(module="nonexistent")

    assert owner.said["status"] == 1
    assert owner.said["error"].endswith("-m nonexistent` failed with exit status 1: it did not get ready within 10 s")


def test_a_module_that_does_not_get_ready_is_ended(detached: Owners) -> None:
    until = detached.directory / "until"
    owner = detached.start(timeout=1.0, message={"ready": False, "until": str(until)})

    assert owner.said["status"] is None
    assert "took too long" in owner.said["error"]
    assert not owner.has_witness()


def test_a_long_message_that_nobody_reads_does_not_hang(detached: Owners) -> None:
    (detached.directory / "deaf.py").write_text("import time; time.sleep(600)")

    owner = detached.start(module="deaf", timeout=0.5, padding=300_000)

    assert "took too long" in owner.said["error"]


class Services(Owners):
    """Owners on a host that a real systemd runs."""

    def __init__(self, host: systemd.Systemd, directory: pathlib.Path, stack: contextlib.ExitStack) -> None:
        super().__init__(directory, host.start, stack)
        self.host = host

    def start_in_agent(self, name: str = "opf-witness", **given: Any) -> Owner:
        """Start one in the control group of a service, as Juju's agent is one."""
        agent = ["systemd-run", "--quiet", "--collect", "--pipe", "--unit=agent"]
        return self.start(name, around=agent, **given)

    def state(self, name: str = "opf-witness") -> str:
        """Return the state of a service: active, inactive, failed and so on."""
        return self.host.run("systemctl", "is-active", f"{name}.service", check=False).strip()

    def is_loaded(self, name: str = "opf-witness") -> bool:
        """Whether systemd knows a service, or has its file."""
        listed = self.host.run("systemctl", "list-units", "--all", "--no-legend", f"{name}.service")
        return bool(listed.strip()) or f"{name}.service" in self.host.run("ls", "/run/systemd/transient")

    def journal(self, name: str = "opf-witness") -> str:
        """Return what the journal has of a service."""
        return self.host.run("journalctl", "--no-pager", "--output=export", f"--unit={name}.service")

    def block_network(self) -> pathlib.Path:
        """Leave network.target about to start, for as long as the returned file is not there."""
        released = self.directory / "released"
        wait = f"/bin/sh -c 'until [ -e {released} ]; do sleep 0.05; done'"
        unit = "[Unit]\nBefore=network.target\nWants=network.target\n"
        self.host.add_unit("slow.service", f"{unit}[Service]\nType=oneshot\nExecStart={wait}\n")
        self.host.run("systemctl", "--no-block", "start", "slow.service")
        return released


@contextlib.contextmanager
def booted() -> Generator[systemd.Systemd]:
    """Boot a systemd; skip the test where that is not possible."""
    reason = systemd.missing()
    if reason:
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        try:
            host = stack.enter_context(systemd.boot())
        except (RuntimeError, TimeoutError) as error:
            pytest.skip(str(error))
        yield host


@pytest.fixture
def services(tmp_path: pathlib.Path) -> Iterator[Services]:
    with booted() as host, contextlib.ExitStack() as stack:
        yield Services(host, tmp_path / "services", stack)


def test_where_systemd_runs_it_is_a_service_of_its_own(services: Services) -> None:
    environment = {"OVS_RUNDIR": "/tmp/a b%i$HOME\"'"}  # noqa: S108

    owner = services.start_in_agent(environment=environment)

    assert services.state() == "active"
    assert owner.witness["group"].endswith(":/system.slice/opf-witness.service")
    assert owner.witness["environment"]["OVS_RUNDIR"] == environment["OVS_RUNDIR"]
    assert owner.witness["python"] == sys.executable
    assert owner.witness["files"]["2"] == "/dev/null"


def test_two_at_once_are_two_services(services: Services) -> None:
    first, second = services.start("opf-first"), services.start("opf-second")

    first.tell("die")

    first.wait_for("end", "done")
    assert services.state("opf-second") == "active"
    assert second.seen == []


@pytest.mark.parametrize("end", ["die", "die with the process group"])
def test_a_service_sees_its_owner_killed_and_goes_on(services: Services, end: str) -> None:
    until = services.directory / "until"
    owner = services.start(message={"until": str(until)})

    owner.tell(end)

    owner.wait_for("end")
    assert services.state() == "active"
    until.touch()
    owner.wait_for("end", "done")
    processes.wait_until(lambda: not services.is_loaded(), "nothing is left of the service")


@pytest.mark.parametrize(
    "end", [("kill", "--signal=KILL"), ("stop",), ("kill", "--signal=KILL", "--kill-who=main")], ids=" ".join
)
def test_a_service_goes_on_when_the_agent_is_ended_with_its_control_group(
    services: Services, end: tuple[str, ...]
) -> None:
    until = services.directory / "until"
    owner = services.start_in_agent(message={"until": str(until)})

    services.host.run("systemctl", *end, "agent.service")

    owner.wait_for("end")
    processes.wait_until(lambda: services.state("agent") == "inactive", "the agent is gone")
    assert services.state() == "active"
    until.touch()
    owner.wait_for("end", "done")


def test_a_service_does_not_end_with_the_client_that_asked_for_it(services: Services) -> None:
    owner = services.start()

    owner.tell("kill what was started")

    assert services.state() == "active"
    assert owner.seen == []
    owner.tell("die")
    owner.wait_for("end", "done")


@pytest.mark.parametrize("command", ["daemon-reload", "daemon-reexec"])
def test_a_service_goes_on_when_systemd_reads_its_configuration_again(services: Services, command: str) -> None:
    owner = services.start()

    services.host.run("systemctl", command)

    assert services.state() == "active"
    assert owner.seen == []
    owner.tell("die")
    owner.wait_for("end", "done")


def test_a_service_that_is_stopped_has_time_for_an_undo_and_keeps_its_tools(services: Services) -> None:
    owner = services.start(message={"tool": True, "work": 0.5})

    services.host.run("systemctl", "stop", "opf-witness.service")

    assert owner.seen == ["signal", "tool lives", "done"]


def test_when_the_host_shuts_down_the_undo_comes_before_the_end_of_switch_and_network(services: Services) -> None:
    owner = services.start(message={"work": 0.5})
    once = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n"
    ends = {name: f"ExecStop=/bin/sh -c 'echo {name} >>{owner.log}'\n" for name in ("switch", "network")}
    switch = "[Unit]\nDefaultDependencies=no\nPartOf=openvswitch-switch.service\n"  # as the package has them
    services.host.add_unit("ovs-vswitchd.service", switch + once + ends["switch"])
    services.host.add_unit("openvswitch-switch.service", f"[Unit]\nRequires=ovs-vswitchd.service\n{once}")
    wires = "[Unit]\nBefore=network.target\nWants=network.target\n"
    services.host.add_unit("wires.service", wires + once + ends["network"])
    services.host.run("systemctl", "start", "openvswitch-switch.service", "wires.service")

    services.host.shut_down()

    processes.wait_until(lambda: {"network", "switch"} <= {*owner.seen}, "network and switch have ended", 10)
    assert owner.seen[:2] == ["signal", "done"]


def test_the_message_is_nowhere_to_be_read(services: Services) -> None:
    owner = services.start(message={"password": SECRET})
    assert owner.witness["password"] == SECRET

    shown = services.host.run("systemctl", "show", "opf-witness.service")
    written = services.host.run("cat", "/run/systemd/transient/opf-witness.service")
    known = services.host.run("sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'")
    own = json.dumps(SECRET)  # the owner of this test alone has it as an argument
    assert SECRET not in shown + written + services.journal()
    assert [line for line in known.splitlines() if SECRET in line and own not in line] == []


def test_a_service_that_fails_leaves_nothing(services: Services) -> None:
    owner = services.start(module="nonexistent")

    assert "failed with exit status 1" in owner.said["error"]
    processes.wait_until(lambda: not services.is_loaded(), "nothing is left of the service")
    assert services.host.run("systemctl", "--failed", "--no-legend").strip() == ""


def test_a_release_waits_for_the_end_of_the_service(services: Services) -> None:
    owner = services.start(message={"work": 0.3})

    owner.tell("release")

    assert owner.seen == ["end", "done"]


def test_without_a_system_bus_it_is_detached(services: Services) -> None:
    services.host.run("systemctl", "stop", "dbus.socket", "dbus.service")

    owner = services.start()

    assert "opf-witness" not in owner.witness["group"]
    owner.tell("die")
    owner.wait_for("end", "done")


def test_with_a_system_bus_that_hangs_it_is_detached(services: Services) -> None:
    services.host.run("systemctl", "start", "dbus.service")
    services.host.run("systemctl", "kill", "--signal=STOP", "dbus.service")

    owner = services.start(timeout=2.0)

    assert "opf-witness" not in owner.witness["group"]
    services.host.run("systemctl", "kill", "--signal=CONT", "dbus.service")
    services.host.run("busctl", "--system", "list")
    assert services.state() == "inactive"


def test_a_service_that_cannot_start_yet_is_withdrawn(services: Services) -> None:
    services.block_network()

    owner = services.start(timeout=2.0)

    assert "opf-witness" not in owner.witness["group"]
    assert services.host.run("systemctl", "list-jobs", "--no-legend", "opf-witness.service").strip() == ""
    assert not services.is_loaded()


def test_a_service_that_starts_too_late_has_nothing_to_do(services: Services) -> None:
    released = services.block_network()
    owner = services.start(timeout=2.0, without=["_cancel"])
    assert "opf-witness" not in owner.witness["group"]

    released.touch()

    processes.wait_until(lambda: "code=exited" in services.journal(), "the service has ended", 10)
    assert "opf-witness" not in owner.witness["group"]  # and there is no other
    assert owner.seen == []
    owner.tell("die")
    owner.wait_for("end", "done")


def test_beside_a_service_that_has_the_message_no_other_is_started(services: Services) -> None:
    owner = services.start(timeout=2.0, message={"ready": False})

    assert "did not get ready within 2 s" in owner.said["error"]
    assert owner.witness["group"].endswith(":/system.slice/opf-witness.service")
    processes.wait_until(lambda: not services.is_loaded(), "nothing is left of the service")


@pytest.mark.lab
def test_a_flow_goes_when_the_agent_is_killed_with_its_control_group(lab: hosts.Lab, services: Services) -> None:
    environment = [f"{name}={value}" for name, value in lab.source.env.items()]
    agent = ["systemd-run", "--quiet", "--collect", "--pipe", "--unit=agent"]
    action = [*agent, sys.executable, "-c", ACTION, str(LIBRARY), *environment]
    book = journal.Journal(lab.source.env["OVS_PATHFINDER_STATE"])

    with services.host.start(*action, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert hosts.wait_for_line(child, "made")
        (entry,) = book.entries()
        flows = ("dump-flows", "br-int", "table=0,icmp6,ipv6_dst=2001:db8::4242")
        assert "priority=4242" in lab.source.ofctl(*flows)
        services.host.run("systemctl", "kill", "--signal=KILL", "agent.service")

    processes.wait_until(book.is_empty, "the guard has undone the change")
    assert "priority=4242" not in lab.source.ofctl(*flows)
    (closed,) = book.closed()
    assert (closed.id, closed.by) == (entry.id, "guard")
    guard = f"ovs-pathfinder-guard-{entry.id}"
    processes.wait_until(lambda: not services.is_loaded(guard), "nothing is left of the guard")
