"""Temporary flows while Open vSwitch's daemons, its bridges and Neutron's agent come and go."""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Generator
from typing import Any

import pytest

from ovs_pathfinder.temporary import change, flows, journal, rule, sweep
from tests.lab import hosts, node, processes, switch

pytestmark = pytest.mark.lab

BRIDGE = "br-int"
BRIDGES = (BRIDGE, "br-tun")
FLOWS = "table=0,priority=96,icmp6,in_port=2,actions=NORMAL table=82,priority=98,udp6,tp_dst=5555,actions=NORMAL"
SAVE = "/usr/share/openvswitch/scripts/ovs-save"
LIMIT = 30.0
"""Seconds; ovs-vswitchd alone takes up to 8 to find ovsdb-server again."""

_PROGRAM = """
import json, sys
from ovs_pathfinder.temporary import flows, journal, protocol, rule

way, directory, text, seconds = sys.argv[1:]
book, seconds = journal.Journal(directory), float(seconds)
kind = flows.Flows(bridge="br-int", cookie=flows.new_cookie(), rules=rule.parse(text))
if way == "leave":
    print(protocol.leave(book, kind, seconds=seconds, action="inject-flows").change.cookie, flush=True)
    sys.exit()
with protocol.temporarily(book, kind, seconds=seconds, action="try-flows") as made:
    print(kind.cookie, flush=True)
    sys.stdin.readline()
print(json.dumps({"outcome": made.outcome and made.outcome.state, "left": made.left}))
"""


class Living:
    """Temporary flows on a host, made by a process there, and the journal that knows of them."""

    def __init__(self, host: node.Host, child: "subprocess.Popen[str]") -> None:
        self._host = host
        self._child = child
        self.book = journal.Journal(host.directory / "state")
        assert child.stdout is not None
        self.cookie = child.stdout.readline().strip()
        assert self.cookie in dump(host)
        """The flows are there."""

    def begin_end(self) -> None:
        """Let the process that made the flows undo them."""
        assert self._child.stdin is not None
        self._child.stdin.write("\n")
        self._child.stdin.flush()

    def end(self) -> dict[str, Any]:
        """Let the process that made the flows undo them, and return what it says of that."""
        self.begin_end()
        return self.heard()

    def heard(self) -> dict[str, Any]:
        """Return what the process says at its end."""
        assert self._child.stdout is not None
        said = json.loads(self._child.stdout.readline())
        assert self._child.wait(timeout=LIMIT) == 0
        return said

    @property
    def failed(self) -> str:
        """Why the last undo failed, as the journal has it."""
        return next((each.error for each in self.book.entries()), "")

    def closed(self) -> journal.Entry:
        """Wait until the journal says that it is over, and return what it says."""
        processes.wait_until(self.book.is_empty, "the journal's entry is closed", limit=LIMIT, interval=0.05)
        (entry,) = self.book.closed()
        return entry


Live = Callable[..., Living]


@pytest.fixture
def lab(lab_support: None) -> Generator[hosts.Lab]:
    """A lab whose path need not work: only the tables of its source matter here."""
    with hosts.Lab.start(cloud=False, heartbeats=False) as lab:
        yield lab


@pytest.fixture
def host(lab: hosts.Lab, monkeypatch: pytest.MonkeyPatch) -> Generator[node.Host]:
    """The source, on whose switch the library works from here, too."""
    for name, value in lab.source.env.items():
        monkeypatch.setenv(name, value)
    yield lab.source
    for guard in guards(lab.source):
        guard.kill()


@pytest.fixture
def live(host: node.Host) -> Generator[Live]:
    """Make temporary flows that live for as long as a process does (`temporarily`), or without it (`leave`)."""
    with contextlib.ExitStack() as children:

        def make(way: str = "temporarily", seconds: float = 120.0) -> Living:
            environment = {**host.env, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": "lib"}
            program = [sys.executable, "-c", _PROGRAM, way, host.env["OVS_PATHFINDER_STATE"], FLOWS, str(seconds)]
            child = children.enter_context(
                subprocess.Popen(
                    [*host.enter, *program],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment,
                    cwd=hosts.CHECKOUT,
                )
            )
            children.callback(child.kill)
            return Living(host, child)

        yield make


def guards(host: node.Host) -> list[processes.Identity]:
    """Return the guards of this host's changes."""
    mark = f"OVS_RUNDIR={host.env['OVS_RUNDIR']}".encode()
    found: list[processes.Identity | None] = []
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            is_guard = b"ovs_pathfinder.temporary.guard" in (place / "cmdline").read_bytes().split(b"\0")
            if is_guard and mark in (place / "environ").read_bytes().split(b"\0"):
                found.append(processes.Identity.of(int(place.name)))
    return [each for each in found if each is not None]


def dump(host: node.Host) -> str:
    """Return all flows of the bridge, with cookies and time limits, without counters; sorted."""
    text = host.ofctl("--no-stats", "--no-names", "dump-flows", BRIDGE)
    return "\n".join(sorted(line.strip() for line in text.splitlines() if "actions=" in line))


def age(host: node.Host, cookie: str) -> float:
    """Return for how many seconds the flows with that cookie have been there."""
    text = host.ofctl("dump-flows", BRIDGE, f"cookie={cookie}/-1")
    return max(float(seconds) for seconds in re.findall(r"duration=([0-9.]+)s", text))


def without(cookie: str, flows_: str) -> str:
    return "\n".join(line for line in flows_.splitlines() if cookie not in line)


def stop_switch(host: node.Host, how: str) -> None:
    """End ovs-vswitchd: by `kill`, or by `exit`, as `ovs-ctl stop` does."""
    if how == "kill":
        switch.stop(host, "ovs-vswitchd")
        return
    pid = processes.Identity.of(int((host.directory / "run" / "ovs-vswitchd.pid").read_text()))
    assert pid is not None
    host.appctl("exit")
    processes.wait_until(lambda: not pid.alive, "ovs-vswitchd ends")


def start_switch(host: node.Host) -> None:
    """Start ovs-vswitchd and wait until it answers."""
    switch.start_switch(host)
    for bridge in BRIDGES:
        show = ("ovs-ofctl", "-O", "OpenFlow14", "show", bridge)
        processes.wait_until(lambda show=show: host.run(*show, check=False).returncode == 0, f"{bridge} answers")


@contextlib.contextmanager
def restarting(host: node.Host, meanwhile: Callable[[], object] = lambda: None) -> Generator[None]:
    """Restart both daemons in the steps of `ovs-ctl restart`; the context is the time before flows are restored.

    Args:
        host: Where.
        meanwhile: What happens after the flows are saved and before the switch ends.
    """
    keep = ["env", f"TMPDIR={host.directory}"]
    script = host.run(*keep, SAVE, "save-flows", *BRIDGES).stdout
    meanwhile()
    switch.stop(host, "ovsdb-server")
    switch.serve_database(host)
    switch.wait_for_database(host)
    stop_switch(host, "exit")
    host.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:flow-restore-wait=true")
    start_switch(host)
    yield
    host.run("sh", "-c", script)
    host.vsctl("remove", "Open_vSwitch", ".", "other_config", "flow-restore-wait")


def restart_database(host: node.Host) -> None:
    switch.serve_database(host)
    switch.wait_for_database(host)


def agent_restarts(lab: hosts.Lab, host: node.Host) -> None:
    """Do what Neutron's agent does at its start: a new cookie for its flows, then all others go by their cookie."""
    cookie = 0x1BADB002DEADBEEF
    text = re.sub(r"cookie=0x[0-9a-f]+", f"cookie={cookie:#x}", lab.flows(host.site)[BRIDGE])
    host.ofctl("--bundle", "add-flows", BRIDGE, "-", text_in=text)
    for foreign in set(re.findall(r"cookie=(0x[0-9a-f]+)", dump(host))) - {f"{cookie:#x}"}:
        host.ofctl("del-flows", BRIDGE, f"cookie={foreign}/-1")


# --- a restart without flows ---


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_flows_that_a_restart_lost_are_gone_and_the_agents_new_ones_stay(
    lab: hosts.Lab, host: node.Host, live: Live, how: str
) -> None:
    before = dump(host)
    living = live()
    stop_switch(host, how)
    start_switch(host)
    assert dump(host) == ""
    lab.apply()

    said = living.end()

    assert said == {"outcome": "gone", "left": ""}
    assert dump(host) == before
    closed = living.closed()
    assert (closed.by, closed.error, closed.attempts) == ("action", "", 0)


def test_flows_that_a_restart_lost_are_gone_before_the_agent_comes(host: node.Host, live: Live) -> None:
    living = live()
    stop_switch(host, "kill")
    start_switch(host)

    assert living.end() == {"outcome": "gone", "left": ""}
    assert dump(host) == ""


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_left_flows_that_a_restart_lost_are_closed_by_the_guard(
    lab: hosts.Lab, host: node.Host, live: Live, how: str
) -> None:
    before = dump(host)
    living = live("leave", seconds=5)
    stop_switch(host, how)
    start_switch(host)
    lab.apply()

    closed = living.closed()

    assert (closed.by, closed.error) == ("guard", "")
    assert closed.outcome is not None
    assert closed.outcome.state == "gone"
    assert dump(host) == before


# --- a restart that restores flows ---


def test_flows_that_a_restart_restored_are_undone_and_no_other(host: node.Host, live: Live) -> None:
    before = dump(host)
    living = live()
    with restarting(host):
        pass
    restored = dump(host)
    assert restored.count(living.cookie) == 2
    assert without(living.cookie, restored) == before

    assert living.end() == {"outcome": "undone", "left": ""}
    assert dump(host) == before


def test_left_flows_that_a_restart_restored_are_undone_at_their_deadline(host: node.Host, live: Live) -> None:
    before = dump(host)
    living = live("leave", seconds=8)
    processes.wait_until(lambda: age(host, living.cookie) >= 2, "the flows have lived for a while")
    with restarting(host):
        pass
    assert re.search(rf"cookie={living.cookie},.* hard_timeout=[67],", dump(host))  # which begins anew

    closed = living.closed()

    assert dump(host) == before
    assert (closed.by, closed.error) == ("guard", "")
    assert closed.outcome is not None
    assert closed.outcome.state == "undone"


def test_an_undo_before_flows_are_restored_is_not_believed(host: node.Host, live: Live) -> None:
    before = dump(host)
    living = live()
    with restarting(host):
        living.begin_end()
        processes.wait_until(lambda: living.failed, "an undo finds no flows", limit=LIMIT)
        assert "has yet to restore" in living.failed
        assert not living.book.closed()

    closed = living.closed()
    assert dump(host) == before
    assert closed.outcome is not None
    # "gone" where the one before the last attempt met the restored flows, but not yet the end of the restart
    assert closed.outcome.state in ("undone", "gone")


def test_a_sweep_before_flows_are_restored_is_not_believed(host: node.Host, live: Live) -> None:
    before = dump(host)
    living = live("leave")
    for guard in guards(host):
        guard.kill()
    with restarting(host):
        (found,) = sweep.sweep(living.book, everything=True)
        assert found.outcome is None
        assert "has yet to restore" in found.error

    (found,) = sweep.sweep(living.book, everything=True)

    assert found.outcome is not None
    assert found.outcome.state == "undone"
    assert dump(host) == before


def test_flows_that_come_back_after_their_undo_end_by_their_time_limit(host: node.Host, live: Live) -> None:
    before = dump(host)
    living = live(seconds=3)
    with restarting(host, lambda: living.end()):
        assert living.closed().outcome == change.Outcome(
            state="undone", text=f"2 flows with cookie {living.cookie} deleted from {BRIDGE}."
        )
    assert living.cookie in dump(host)

    processes.wait_until(lambda: dump(host) == before, "the switch ends the flows", limit=LIMIT, interval=0.1)


# --- a daemon that is down when it is needed ---


@pytest.mark.parametrize("how", ["kill", "exit"])
def test_an_undo_without_a_switch_is_left_to_the_guard(lab: hosts.Lab, host: node.Host, live: Live, how: str) -> None:
    before = dump(host)
    living = live()
    stop_switch(host, how)

    said = living.end()

    assert said["outcome"] is None
    assert "could not be undone yet" in said["left"]
    assert "ovs-vswitchd does not answer for br-int" in said["left"]
    assert "ovs-vswitchd does not answer for br-int" in living.failed
    assert guards(host)

    start_switch(host)
    lab.apply()
    closed = living.closed()
    assert (closed.by, closed.outcome and closed.outcome.state) == ("guard", "gone")
    assert closed.attempts >= 4
    assert dump(host) == before


def test_an_undo_without_a_switch_and_without_a_guard_is_left_to_a_sweep(
    lab: hosts.Lab, host: node.Host, live: Live
) -> None:
    before = dump(host)
    living = live()
    for guard in guards(host):
        guard.kill()
    stop_switch(host, "kill")
    assert living.end()["outcome"] is None

    (found,) = sweep.sweep(living.book)
    assert found.outcome is None
    assert "ovs-vswitchd does not answer for br-int" in found.error
    assert not living.book.is_empty()

    start_switch(host)
    lab.apply()
    (found,) = sweep.sweep(living.book)
    assert found.outcome is not None
    assert found.outcome.state == "gone"
    assert living.closed().by == "sweep"
    assert dump(host) == before


def test_flows_are_undone_across_a_restart_of_the_database(host: node.Host, live: Live) -> None:
    before = dump(host)
    living = live()
    switch.stop(host, "ovsdb-server")
    restart_database(host)

    living.begin_end()

    closed = living.closed()
    assert closed.outcome is not None
    assert closed.outcome.state == "undone"
    assert dump(host) == before


def test_no_undo_is_claimed_while_the_database_is_down(host: node.Host, live: Live) -> None:
    before = dump(host)
    living = live()
    switch.stop(host, "ovsdb-server")

    living.begin_end()
    processes.wait_until(lambda: living.failed, "the undo fails", limit=LIMIT)
    assert "ovsdb-server does not answer" in living.failed
    assert not living.book.closed()

    restart_database(host)
    closed = living.closed()
    assert closed.outcome is not None
    assert closed.outcome.state == "undone"
    assert dump(host) == before


# --- others who take the flows away ---


def test_flows_of_a_bridge_that_was_made_anew_are_gone(lab: hosts.Lab, host: node.Host, live: Live) -> None:
    before = dump(host)
    living = live()
    host.vsctl("del-br", BRIDGE)
    host.vsctl("add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, "datapath_type=netdev", "fail_mode=secure")
    lab.apply(BRIDGE)

    assert living.end() == {"outcome": "gone", "left": ""}
    assert dump(host) == before


def test_flows_of_a_bridge_that_was_deleted_are_gone(host: node.Host, live: Live) -> None:
    living = live()
    host.vsctl("del-br", BRIDGE)

    assert living.end() == {"outcome": "gone", "left": ""}
    assert living.closed().outcome == change.Outcome(
        state="gone", text=f"The bridge {BRIDGE} is gone, and its flows with it."
    )


@pytest.mark.parametrize("way", ["temporarily", "leave"])
def test_flows_that_a_restarting_agent_deleted_are_gone(lab: hosts.Lab, host: node.Host, live: Live, way: str) -> None:
    living = live(way, seconds=120 if way == "temporarily" else 4)
    agent_restarts(lab, host)
    agents = dump(host)
    assert living.cookie not in agents
    assert agents

    if way == "temporarily":
        living.begin_end()

    closed = living.closed()
    assert closed.outcome is not None
    assert closed.outcome.state == "gone"
    assert dump(host) == agents


def test_a_change_can_be_made_again_after_each_of_these(lab: hosts.Lab, host: node.Host, live: Live) -> None:
    before = dump(host)
    for _ in range(2):
        living = live()
        stop_switch(host, "kill")
        start_switch(host)
        lab.apply()
        assert living.end()["outcome"] == "gone"

    rules = rule.parse(FLOWS)
    again = flows.Flows(bridge=BRIDGE, cookie=flows.new_cookie(), rules=rules)
    again.check()
    again.make(60)
    assert again.undo().state == "undone"
    assert dump(host) == before
