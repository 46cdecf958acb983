"""Trials where a real Neutron has the last word, and its agents are restarted meanwhile."""

import contextlib
import json
import os
import re
import signal
from collections.abc import Callable, Generator

import pytest

from tests.cloud import breaking, conftest
from tests.cloud import cloud as real
from tests.lab import deployed, processes

pytestmark = [pytest.mark.cloud, pytest.mark.xdist_group("cloud"), pytest.mark.usefixtures("nothing_is_left")]

LEADER = deployed.LEADER


def test_port_is_the_same_before_and_after_port_security_was_tried(cloud: real.Cloud, charm: deployed.Cloud):
    with breaking.ingress_rule_missing(cloud):
        processes.wait_until(lambda: not cloud.answers(), "the agents to follow", limit=60)
        run = charm.plan()["run"]
        charm.probe(run, count=3, interval=0.1)
        before = conftest.stable(cloud, "guest")
        found = charm.run(LEADER, "try-port-security", {"run": run, "port": "destination"})
        after = conftest.stable(cloud, "guest")
        report = charm.report(run)
    processes.wait_until(cloud.answers, "the path to work again", limit=60)

    assert (report["code"], report["hop"]) == ("ingress-rule-missing", "destination-br-int"), report["report"]
    assert found["effect"] == "heals", found
    assert after == before
    assert deployed.closed(cloud.source).by == "action"


def test_flows_that_a_restarted_agent_deleted_are_not_called_undone(cloud: real.Cloud, charm: deployed.Cloud):
    """An agent that starts deletes all flows that are not its own: the trial's, and the fault."""
    run = charm.plan()["run"]
    with breaking.foreign_flow(cloud), starting(cloud, "octavia") as go_on:
        done = charm.call("run", "--background", LEADER, "try-flows", f"run={run}", "count=12", "interval=0.25")
        task = re.findall(r"task (\d+)", done.stdout + done.stderr)[0]
        processes.wait_until(lambda: deployed.ours(cloud.source), "the trial's flows", limit=60)
        trying = deployed.charms(cloud.source)[0]
        os.kill(trying.pid, signal.SIGSTOP)
        go_on()
        assert deployed.ours(cloud.source) == []
        os.kill(trying.pid, signal.SIGCONT)
        shown = json.loads(charm.call("show-task", "--format", "json", "--wait", "60s", task).stdout)

    entry = deployed.closed(cloud.source)
    assert (shown["status"], entry.by) == ("completed", "action"), shown
    assert entry.outcome is not None
    assert entry.outcome.state == "gone"
    assert shown["results"]["undone"] == entry.outcome.text
    assert "deleted" not in entry.outcome.text


@contextlib.contextmanager
def starting(cloud: real.Cloud, key: str) -> Generator[Callable[[], None]]:
    """Start an agent anew, and hold it before it looks at its switch; yield what lets it go on, and waits for it."""
    before, told = cloud.cookies(key), cloud.agent_log(key)
    cloud.stop_agent(key)
    cloud.start_agent(key)
    processes.wait_until(
        lambda: "Agent initialized successfully" in cloud.agent_log(key).removeprefix(told), "the agent", limit=60
    )
    cloud.signal_agent(key, signal.SIGSTOP)

    def go_on() -> None:
        cloud.signal_agent(key, signal.SIGCONT)
        cloud.wait_for_agent(key, before)

    yield go_on
