"""A trace that does not come back is the last one that is asked of that ovs-vswitchd."""

import os
import pathlib
import signal
from collections.abc import Generator

import pytest

from ovs_pathfinder import process
from ovs_pathfinder.vswitch import conntrack_loop, daemon, trace, tracing
from tests.unit.vswitch import private

pytestmark = pytest.mark.skipif(bool(private.missing()), reason=private.missing())
FLOW = "in_port=1,icmp6,icmpv6_type=128"


@pytest.fixture
def switch(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    monkeypatch.setattr(tracing, "_MARKS", tmp_path / "marks")
    monkeypatch.setattr(tracing, "_lost_here", set[str]())
    with private.running():
        private.call("ovs-vsctl", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=dummy")
        yield


def hang() -> int:
    number = daemon.pid()
    assert number is not None
    os.kill(number, signal.SIGSTOP)
    return number


def test_no_trace_follows_one_that_did_not_come_back(switch: None, monkeypatch: pytest.MonkeyPatch):
    assert trace.run("br-int", FLOW).steps

    number = hang()
    with pytest.raises(process.ProcessError, match=r"no answer in 0.2 s; no other trace is begun on this host"):
        trace.run("br-int", FLOW, timeout=0.2)
    os.kill(number, signal.SIGCONT)

    with pytest.raises(tracing.Untraced, match="until ovs-vswitchd is restarted: an earlier trace did not come back"):
        trace.run("br-int", FLOW)
    monkeypatch.setattr(tracing, "_lost_here", set[str]())  # as another process of the charm
    with pytest.raises(tracing.Untraced):
        trace.run("br-int", FLOW)


def test_another_ovs_vswitchd_is_asked_again(switch: None, monkeypatch: pytest.MonkeyPatch):
    number = hang()
    asked = process.Command(["ovs-appctl", "ofproto/trace"], "br-int", FLOW)
    with pytest.raises(process.ProcessError):
        tracing._watched(asked, 0.2)  # pyright: ignore[reportPrivateUsage]
    os.kill(number, signal.SIGCONT)
    monkeypatch.setattr(daemon, "identity", lambda: "after-a-restart")

    assert trace.run("br-int", FLOW).steps


def test_daemon_that_hangs_is_asked_for_its_version_and_no_more(switch: None):
    assert daemon.trouble() == ""

    number = hang()

    assert daemon.trouble() == "no answer within 2 s"
    os.kill(number, signal.SIGCONT)


def test_trace_into_a_circle_is_not_begun(switch: None, monkeypatch: pytest.MonkeyPatch):
    private.call("ovs-ofctl", "add-flow", "br-int", "table=71,icmp6,actions=ct(table=71)")
    private.call("ovs-ofctl", "add-flow", "br-int", "table=0,priority=9,actions=resubmit(,71)")
    before = daemon.resident(daemon.pid())
    monkeypatch.setattr(conntrack_loop, "affects", bool)  # whatever version runs here

    with pytest.raises(tracing.Untraced, match=r"take the host's memory: .* table=71,priority=32768,icmp6") as caught:
        trace.run("br-int", FLOW)

    assert caught.value.loop is not None
    assert 0 < before <= daemon.resident(daemon.pid()) < before + 10 * 2**20


def test_process_that_is_not_known_has_no_name_and_no_memory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    os.mkfifo(tmp_path / "ovs-vswitchd.pid")

    assert daemon.pid() is None
    assert daemon.identity() == ""
    assert daemon.resident(None) == 0
