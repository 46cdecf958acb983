"""Trials, an operator's own flows and the cleaning up after them: the real charm on two real switches.

Whatever a test does, both hosts are afterwards as they were: all flows with their cookies and time limits, the journals
empty, and no process left.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Generator
from typing import Any

import pytest

from ovs_pathfinder.diagnosis import trials
from ovs_pathfinder.evidence import record
from tests import conftest
from tests.lab import deployed, faults, hosts, node, probing, processes, rewiring, topology, trying

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("trials"), pytest.mark.usefixtures("nothing_is_left")]

LEADER, OTHER = deployed.LEADER, deployed.OTHER
QUICK = {"count": 3, "interval": 0.1}
ECHO = "icmp6,icmpv6_type=128"


def evidence(results: dict[str, Any]) -> record.Trial:
    return record.Trial.model_validate_json(results["evidence"])


def findings(report: dict[str, Any]) -> list[dict[str, Any]]:
    return json.loads(report["diagnosis"])["findings"]


# --- flows are tried at the source ---


def test_trial_heals_what_the_switch_does_not_obey_and_the_report_quotes_it(cloud: deployed.Cloud):
    run = cloud.plan()["run"]
    with deployed.suffering(cloud.lab, "switch-disobeys"):
        cloud.probe(run)
        first = cloud.report(run)
        before = deployed.tables(cloud.lab)
        found = cloud.run(LEADER, "try-flows", {"run": run})
        after = deployed.tables(cloud.lab)
        second = cloud.report(run)

    assert first["next"] == f"juju run {LEADER} try-flows run={run}"
    assert (found["effect"], found["next"]) == ("heals", f"juju run ovs-pathfinder/leader path-report run={run}")
    assert after == before
    assert deployed.closed(cloud.host()).by == "action"
    assert "2 flows with cookie 0x6f7066" in found["undone"]
    assert (second["code"], second["hop"]) == ("switch-disobeys", "source-br-int")
    assert "next" not in second
    assert found["summary"] in findings(second)[0]["evidence"]
    assert "5 of 5 packets were answered; without, 0 of 5 before" in " ".join(second["report"].split())
    print("exposure", evidence(found).exposure)


@contextlib.contextmanager
def monitored(host: node.Host) -> Generator[Callable[[], str]]:
    """Let the switch tell of each change of br-int's flows; yield what returns all that was told."""
    place = host.directory / "monitor.txt"
    environment = [f"{key}={value}" for key, value in host.env.items()]
    command = [*host.enter, "env", *environment, "ovs-ofctl", "monitor", "br-int", "watch:!initial"]

    def listens() -> bool:
        with deployed.dropping(host, "in_port=78"):
            return "0xbad" in place.read_text()

    with place.open("w") as told, subprocess.Popen(command, stdout=told, stderr=told) as watcher:
        processes.wait_until(listens, "the monitor")
        try:
            yield place.read_text
        finally:
            watcher.kill()


def test_trial_on_a_path_that_works_changes_nothing(cloud: deployed.Cloud, run: str):
    with monitored(cloud.host()) as told:
        found = evidence(cloud.run(LEADER, "try-flows", {"run": run, **QUICK}))
        with deployed.dropping(cloud.host(), "in_port=77"):
            processes.wait_until(lambda: "in_port=77" in told(), "the test's own flow")
        changes = [line for line in told().splitlines() if "event=" in line]

    assert all("0xbad" in line for line in changes), changes
    assert (found.commands, found.lived, found.during, found.outcome) == ((), 0.0, None, "")
    assert "so there was nothing to try" in found.problem


def test_trial_does_not_heal_what_the_underlay_loses(cloud: deployed.Cloud):
    run = cloud.plan()["run"]
    with deployed.suffering(cloud.lab, "underlay-loss"):
        cloud.probe(run, **QUICK)
        found = cloud.run(LEADER, "try-flows", {"run": run, **QUICK})
        report = cloud.report(run)

    assert found["effect"] == "none"
    assert found["summary"].endswith(
        "0 of 3 packets were answered, and 0 of 3 without: what it goes around does not lose them."
    )
    assert (report["code"], report["hop"]) == ("underlay-loss", "underlay")
    assert found["summary"] not in json.dumps(findings(report))
    text = cloud.report(run, format="text")["report"]
    assert f"Trial: - {found['summary']}" in " ".join(text.split())


def test_later_trial_of_the_same_kind_replaces_the_earlier_one(cloud: deployed.Cloud):
    run = cloud.plan()["run"]
    cloud.probe(run, **QUICK)
    with deployed.broken(cloud):
        first = cloud.run(LEADER, "try-flows", {"run": run, **QUICK})
    second = cloud.run(LEADER, "try-flows", {"run": run, **QUICK})

    reports = [cloud.report(run, evidence=one) for one in ("", second["evidence"] + first["evidence"])]

    assert (first["effect"], second["effect"]) == ("heals", "needless")
    told = [[one["effect"] for one in json.loads(report["diagnosis"])["trials"]] for report in reports]
    assert told == [["needless"], ["heals"]], "what is handed over wins, and the last of that"


@pytest.mark.parametrize(
    ("unit", "params", "words"),
    [
        (OTHER, {}, ["the flows are tried at the source", f"{LEADER} does alone", "at=destination"]),
        (LEADER, {"at": "destination", "wait": 0.5}, [OTHER, "not heard within 0.5 s", "both units in one command"]),
        (OTHER, {"at": "destination", "wait": 0.5}, [LEADER, "was not heard", "nothing was changed", "on both units"]),
        (LEADER, {"run": "20200101t000000-000000"}, ["'20200101t000000-000000' is not known here"]),
        (LEADER, {"count": 200, "interval": 5}, ["1000 s"]),
    ],
)  # fmt: skip
def test_trial_is_refused_where_it_cannot_be_made(
    cloud: deployed.Cloud, run: str, unit: str, params: dict[str, Any], words: list[str]
):
    message = cloud.refuse(unit, "try-flows", {"run": run, **params})

    assert all(word in message for word in words), message


def test_unit_off_the_path_tries_nothing(cloud: deployed.Cloud, run: str):
    third = "ovs-pathfinder/2"
    units = {**cloud.units, third: {**cloud.units[OTHER], "principal": "nova-compute/1"}}

    message = cloud.variant("third", units=units).refuse(third, "try-flows", {"run": run})

    assert f"{third} is not on the path" in message
    assert f"{LEADER} and {OTHER}" in message


def test_trial_may_not_take_longer_than_configured(cloud: deployed.Cloud, run: str):
    cloud.juju.cli("config", "ovs-pathfinder", "max-change-duration=60", include_model=False)
    try:
        tried = cloud.refuse(LEADER, "try-flows", {"run": run, "count": 200, "interval": 0.3})
        injected = cloud.refuse(LEADER, "inject-flows", {**deployed.INJECTION, "run": run, "duration": 61})
    finally:
        cloud.juju.cli("config", "ovs-pathfinder", "--reset", "max-change-duration", include_model=False)

    assert "max-change-duration allows 60 s" in tried
    assert "max-change-duration allows 60 s" in injected


def test_two_trials_at_once_on_one_unit_do_not_meet(cloud: deployed.Cloud, run: str):
    with deployed.broken(cloud):
        first = trying.start(cloud.lab, "octavia", probing.plan_of(cloud.lab), settings={"count": 10})
        processes.wait_until(lambda: deployed.ours(cloud.host()), "the flows of the first", limit=30)
        first.send_signal(signal.SIGSTOP)
        message = cloud.refuse(LEADER, "try-flows", {"run": run, "count": 1, "interval": 0.05})
        first.send_signal(signal.SIGCONT)
        found = trying.finish(first)

    assert "another temporary change is under way on this unit: try-flows of run" in message
    assert isinstance(found, record.Trial)


# --- at the destination, in turns ---


def test_trial_at_the_destination_heals_what_its_rules_drop(cloud: deployed.Cloud):
    with deployed.suffering(cloud.lab, "ingress-rule-missing"):
        run = cloud.plan()["run"]
        cloud.probe(run, **QUICK)
        first = cloud.report(run)
        found = cloud.together("try-flows", {"run": run, "at": "destination", **QUICK})
        report = cloud.report(run)

    assert first["next"] == f"juju run {LEADER} {OTHER} try-flows run={run} at=destination"
    assert {unit: results["effect"] for unit, results in found.items()} == {LEADER: "heals", OTHER: "heals"}
    assert "3 packets came to the destination's port; without, 0 before and 0 afterwards" in found[OTHER]["summary"]
    assert "undone" not in found[LEADER]
    assert "2 flows with cookie" in found[OTHER]["undone"]
    assert (report["code"], report["hop"]) == ("ingress-rule-missing", "destination-br-int")
    assert found[LEADER]["summary"] in findings(report)[0]["evidence"]
    assert len(json.loads(report["diagnosis"])["trials"]) == 1
    assert "next" not in report
    print("exposure", evidence(found[OTHER]).exposure)


def test_trial_at_the_destination_of_a_path_that_works_changes_nothing(cloud: deployed.Cloud, run: str):
    found = cloud.together("try-flows", {"run": run, "at": "destination", **QUICK})

    assert found[LEADER]["effect"] == "needless"
    assert found[OTHER]["summary"] == f"{LEADER} did not ask for the change, and nothing was changed."
    assert not {"change", "undone"} & {*found[LEADER], *found[OTHER]}


# --- killed amid it all ---


def start_trial(cloud: deployed.Cloud, run: str) -> str:
    """Start a trial through Juju, and wait until its flows are there; return the task."""
    done = cloud.call("run", "--background", LEADER, "try-flows", f"run={run}", "count=30")
    processes.wait_until(lambda: deployed.ours(cloud.host()), "the flows", limit=30)
    return re.findall(r"task (\d+)", done.stdout + done.stderr)[0]


def wait_for_undo(host: node.Host) -> None:
    processes.wait_until(lambda: not deployed.open_entries(host), "the guard undoes", limit=15)
    assert deployed.ours(host) == []
    assert deployed.closed(host).by == "guard"


def test_killed_trial_is_undone_by_its_guard_and_the_next_action_works(cloud: deployed.Cloud, run: str):
    with deployed.broken(cloud):
        start_trial(cloud, run)
        deployed.charms(cloud.host())[0].kill()
        wait_for_undo(cloud.host())

    probed = cloud.run(LEADER, "probe-path", {"run": run, "wait": 0.1, **QUICK})

    assert probed["summary"].startswith("3 of 3 packets were answered")
    assert cloud.run(LEADER, "clean-up")["summary"] == "Nothing is left behind on this unit."


def test_cancelled_trial_is_undone_by_its_guard(cloud: deployed.Cloud, run: str):
    with deployed.broken(cloud):
        task = start_trial(cloud, run)
        cloud.call("cancel-task", task)
        wait_for_undo(cloud.host())

    shown = json.loads(cloud.call("show-task", "--format", "json", "--wait", "10s", task).stdout)
    assert (shown["status"], shown["message"]) == ("aborted", "terminated")
    assert "closed by its guard" in cloud.run(LEADER, "clean-up")["latest"].replace(
        deployed.closed(cloud.host()).closed, "closed"
    )


# --- port security ---


def port_in_cloud(lab: hosts.Lab, key: str) -> dict[str, Any]:
    """Return a port as the cloud has it, without the count and the time of its updates."""
    wanted = lab.port(key)["id"]
    served = json.loads((lab.directory / "cloud.json").read_text())
    port = next(one for one in served["ports"] if one["id"] == wanted)
    return {name: value for name, value in port.items() if name not in ("revision_number", "updated_at")}


@pytest.mark.parametrize(
    ("fault", "end", "key"), [("switch-disobeys", "source", "source"), ("ingress-rule-missing", "destination", "guest")]
)
def test_port_without_port_security_lets_packets_pass(cloud: deployed.Cloud, fault: str, end: str, key: str):
    run = cloud.plan()["run"]
    with deployed.suffering(cloud.lab, fault):
        before = port_in_cloud(cloud.lab, key)
        with rewiring.following(cloud.lab):
            found = cloud.run(LEADER, "try-port-security", {"run": run, "port": end, **QUICK})
        after = port_in_cloud(cloud.lab, key)

    assert found["effect"] == "heals", found
    assert found["summary"].startswith("With port security of port")
    assert "--disable-port-security" in found["change"]
    assert after == before
    assert deployed.closed(cloud.host()).by == "action"
    print("exposure", evidence(found).exposure, "lived", evidence(found).lived)


def test_port_security_that_is_off_already_is_not_turned_off(cloud: deployed.Cloud, run: str):
    with deployed.suffering(cloud.lab, "ingress-rule-missing"):
        cloud.lab.port("guest").update(port_security_enabled=False, security_groups=[])
        cloud.lab.write_description()
        message = cloud.refuse(LEADER, "try-port-security", {"run": run, "port": "destination"})

    assert "is off already" in message


def test_port_security_is_not_tried_without_credentials(cloud: deployed.Cloud, run: str):
    poor = cloud.variant(
        "poor", relations={"keystone-credentials": {"remote-app": "keystone", "units": {"keystone/0": {}}}}
    )
    try:
        message = poor.refuse(LEADER, "try-port-security", {"run": run})
    finally:
        cloud.juju.status()

    assert "keystone has not sent the OpenStack credentials yet" in message


# --- other shapes, and paths on which neighbours are unknown: the library alone ---


def judged(found: list[record.Trial]) -> str:
    (one,) = trials.judge(found)
    return one.effect


@pytest.mark.parametrize("fault", ["egress-rule-missing", "switch-disobeys"])
def test_connections_are_healed_over_vxlan_without_l2population(start_lab: conftest.StartLab, fault: str):
    lab = start_lab(cloud=False, tunnel="vxlan", ip=4, l2population=False)
    faults.load(fault).inject(lab)
    with deployed.unchanged(lab):
        found = trying.run(lab, probing.plan_of(lab, "tcp", topology.API_PORT))

    assert judged(found) == "heals"


def test_rules_on_one_host_are_gone_around(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False, same_host=True)
    faults.load("ingress-rule-missing").inject(lab)
    with deployed.unchanged(lab):
        found = trying.run(lab, probing.plan_of(lab), "destination")

    assert judged(found) == "heals"


@pytest.fixture
def cold(start_lab: conftest.StartLab) -> Callable[..., hosts.Lab]:
    """Start labs on which the two ends do not know each other."""

    def start(**shape: Any) -> hosts.Lab:
        lab = start_lab(cloud=False, heartbeats=False, **shape)
        lab.forget_neighbours()
        return lab

    return start


@pytest.mark.parametrize(("ip", "question"), [(6, "icmp6,icmpv6_type=135"), (4, "arp")])
def test_questions_that_are_lost_are_let_through_too(
    cold: Callable[..., hosts.Lab], ip: topology.IpVersion, question: str
):
    lab = cold(ip=ip)
    with deployed.dropping(lab.source, f"in_port={lab.source.ofport('o-hm0')},{question}"), deployed.unchanged(lab):
        found = trying.run(lab, probing.plan_of(lab))

    assert judged(found) == "heals"
    assert found[0].after is not None
    assert found[0].after.forward["source-port"] == 0, "the source asks again in the last round"


def test_answers_that_the_guest_cannot_send_for_its_lost_question_are_not_called_healed(cold: Callable[..., hosts.Lab]):
    lab = cold()
    lab.ping(1)
    with (
        deployed.dropping(lab.source, f"in_port={lab.source.ofport('patch-tun')},icmp6,icmpv6_type=135"),
        deployed.unchanged(lab),
    ):
        lab.guest.run("ip", "neigh", "flush", "dev", "eth0")
        found = trying.run(lab, probing.plan_of(lab))

    assert found[0].learned
    assert found[0].during is not None
    assert found[0].during.answered >= 3, "but for the packets before the guest asks again"
    assert judged(found) == "unclear"


def test_packets_that_are_lost_twice_are_seen_to_leave(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    faults.load("ingress-rule-missing").inject(lab)
    port = lab.source.ofport("o-hm0")
    with deployed.dropping(lab.source, f"in_port={port},{ECHO}"), deployed.unchanged(lab):
        found = trying.run(lab, probing.plan_of(lab))

    (one,) = trials.judge(found)
    assert one.effect == "heals"
    assert "5 packets left the source's host; without, 0 before and 0 afterwards" in one.summary


def test_datagrams_need_no_answer_to_be_seen_to_leave(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    plan = probing.plan_of(lab, "udp", topology.HEARTBEAT_PORT)
    with deployed.dropping(lab.source, f"in_port={lab.source.ofport('o-hm0')},udp6"), deployed.unchanged(lab):
        broken_ = trying.run(lab, plan)
    healthy = trying.run(lab, plan)

    assert (judged(broken_), judged(healthy)) == ("heals", "none")


def test_destination_whose_source_was_killed_undoes_and_proves_nothing(start_lab: conftest.StartLab):
    lab = start_lab(cloud=False)
    faults.load("ingress-rule-missing").inject(lab)
    plan = probing.plan_of(lab)
    with deployed.unchanged(lab):
        changing = trying.start(lab, "compute", plan, "destination")
        sending = trying.start(lab, "octavia", plan, "destination", settings={"count": 30})
        processes.wait_until(lambda: deployed.ours(lab.destination), "the flows", limit=30)
        os.kill(sending.pid, signal.SIGKILL)
        sending.communicate()
        found = trying.finish(changing)

    assert isinstance(found, record.Trial)
    assert "did not say that it had sent anything" in found.problem
    assert found.outcome.endswith("deleted from br-int.")
    assert judged([found]) == "unclear"
