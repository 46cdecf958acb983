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
from tests.lab import deployed, processes, topology

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


def test_address_pairs_of_a_port_are_put_back_letter_by_letter(cloud: real.Cloud, charm: deployed.Cloud):
    pairs = [
        {"ip_address": "192.168.77.96/28", "mac_address": "fa:16:3e:00:00:07"},
        {"ip_address": "fc00:5896:ff23:44dc::/96", "mac_address": topology.GUEST.mac},
    ]
    with (
        breaking.ingress_rule_missing(cloud),
        breaking.changed_port(cloud, "guest", allowed_address_pairs=pairs),
    ):
        processes.wait_until(lambda: not cloud.answers(), "the agents to follow", limit=60)
        run = charm.plan()["run"]
        before = conftest.stable(cloud, "guest")
        found = charm.run(LEADER, "try-port-security", {"run": run, "port": "destination"})
        after = conftest.stable(cloud, "guest")
    processes.wait_until(cloud.answers, "the path to work again", limit=60)

    assert found["effect"] == "heals", found
    assert before["allowed_address_pairs"] == pairs
    assert after == before


def test_port_is_put_back_though_its_agent_restarts_while_port_security_is_off(
    cloud: real.Cloud, charm: deployed.Cloud
):
    with breaking.ingress_rule_missing(cloud):
        processes.wait_until(lambda: not cloud.answers(), "the agents to follow", limit=60)
        run = charm.plan()["run"]
        before = conftest.stable(cloud, "guest")
        trial = ("try-port-security", f"run={run}", "port=destination")
        done = charm.call("run", "--background", LEADER, *trial)
        task = re.findall(r"task (\d+)", done.stdout + done.stderr)[0]
        processes.wait_until(lambda: not cloud.port("guest")["port_security_enabled"], "the change", limit=60)
        trying = deployed.charms(cloud.source)[0]
        os.kill(trying.pid, signal.SIGSTOP)
        cloud.restart_agent("compute")
        os.kill(trying.pid, signal.SIGCONT)
        shown = json.loads(charm.call("show-task", "--format", "json", "--wait", "120s", task).stdout)
        after = conftest.stable(cloud, "guest")
    processes.wait_until(cloud.answers, "the path to work again", limit=60)

    assert (shown["status"], shown["results"]["effect"]) == ("completed", "heals"), shown
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
