import asyncio
import json

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.command import engine, juju, sweep, turns
from ovs_pathfinder.report import outcome
from tests.unit.command import model
from tests.unit.diagnosis import build

LOST = build.World(lost_after={("forward", "source-underlay"): 5})
LIMIT = 20.0
"""Seconds after which a test says that something waits for ever."""


def begin(client: model.Model, events: list[engine.Event]) -> tuple[sweep.Sweep, list[sweep.Job]]:
    leader = f"{model.APPLICATION}/leader"
    by = engine.Engine(client, tell=events.append, turns=turns.Turns(sweep.aliases(client.units(), leader)))
    answer = asyncio.run(client.run(sweep.beside(client.units()), "list-amphorae", {}, within=1))
    client.asked.clear()
    wanted = sweep.jobs(sweep.sources(client.units(), ()), sweep.destinations(answer))
    return sweep.Sweep(by, engine.Settings()), wanted


def run(client: model.Model, events: list[engine.Event] | None = None) -> outcome.Outcomes:
    swept, wanted = begin(client, [] if events is None else events)
    return asyncio.run(asyncio.wait_for(swept.run(wanted), LIMIT))


def test_every_unit_of_octavia_is_traced_to_every_amphora():
    client = model.Model(sources=3, computes=4, worlds={"fc00::3": LOST})

    found = run(client)

    pairs = {(one.source, one.destination): one.verdict for one in found.paths}
    assert len(found.paths) == len(pairs) == 12
    assert {pair for pair, verdict in pairs.items() if verdict == "broken"} == {
        (f"octavia/{number}", "fc00::3") for number in range(3)
    }
    assert found.worst == "broken"
    assert found.paths[0].note == "amphora 00000000 ALLOCATED"


def test_no_unit_is_asked_while_it_is_busy():
    client = model.Model(sources=3, computes=5)

    run(client)

    assert client.waited == []
    assert len(client.asked) == 15 * 4


def test_plans_are_reported_before_the_charm_drops_them():
    client = model.Model(sources=8, computes=30)

    found = run(client)

    assert {one.verdict for one in found.paths} == {"ok"}
    assert client.at_once <= model.KEPT_PLANS / 2


@pytest.mark.parametrize("silent", [1, 5])
def test_silent_units_delay_nobody_else(silent: int):
    first = 3
    client = model.Model(sources=3, computes=8, silent={f"ovs-pathfinder/{first + one}" for one in range(silent)})
    events: list[engine.Event] = []
    swept, wanted = begin(client, events)
    others = [job for job in wanted if job.destination_unit not in client.silent]

    async def watch() -> outcome.Outcomes:
        sweeping = asyncio.ensure_future(swept.run(wanted))
        while len([one for one in events if one.stage == "done"]) < len(others):
            await asyncio.sleep(0)
        client.over.set()
        return await sweeping

    found = asyncio.run(asyncio.wait_for(watch(), LIMIT))

    first_done = [one.pair.destination for one in events if one.stage == "done"][: len(others)]
    assert not {client.compute(one) for one in first_done} & client.silent
    told = {one.destination: one for one in found.paths if client.compute(one.destination) in client.silent}
    assert len(told) == silent
    assert all("given up" in " ".join(one.problems) for one in told.values())
    asked = [unit for unit, action in client.asked if action == "probe-path" and unit in client.silent]
    assert sorted(asked) == sorted(client.silent), "each silent unit is asked once"


def test_paths_of_a_unit_that_was_given_up_cannot_be_told():
    client = model.Model(sources=2, computes=2, silent={"ovs-pathfinder/1"})
    client.over.set()

    found = run(client)

    verdicts = {(one.source, one.destination): one.verdict for one in found.paths}
    assert {verdict for (source, _), verdict in verdicts.items() if source == "octavia/1"} == {"cannot-tell"}
    assert {verdict for (source, _), verdict in verdicts.items() if source == "octavia/0"} == {"ok"}
    assert found.worst == "cannot-tell"


def test_path_that_cannot_be_planned_keeps_no_other_from_its_report():
    client = model.Model(sources=1, computes=2)
    swept, wanted = begin(client, [])
    nobody = sweep.Job(engine.Pair("octavia/0", "nobody"), wanted[0].source_unit, "")

    found = asyncio.run(swept.run([nobody, *wanted]))

    assert [one.verdict for one in found.paths] == ["cannot-tell", "ok", "ok"]
    assert "Neutron knows no port" in found.paths[0].problems[0]


def test_cancelled_sweep_cancels_what_runs():
    client = model.Model(sources=2, computes=6, silent={"ovs-pathfinder/2", "ovs-pathfinder/3"})
    swept, wanted = begin(client, [])

    async def cut_off() -> None:
        sweeping = asyncio.ensure_future(swept.run(wanted))
        while len([one for one in client.asked if one[0] in client.silent]) < 2:
            await asyncio.sleep(0)
        sweeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sweeping
        client.silent = set()
        await swept.by.tidy()

    asyncio.run(asyncio.wait_for(cut_off(), LIMIT))

    assert {"ovs-pathfinder/2", "ovs-pathfinder/3"} <= {unit for unit, _ in client.cancelled}
    assert (client.left, swept.by.unsettled) == (set(), set())


def test_sources_are_chosen_by_name():
    units = model.Model(sources=2).units()

    assert [one.principal for one in sweep.sources(units, ["octavia/1"])] == ["octavia/1"]
    with pytest.raises(
        errors.PathfinderError, match="octavia/7 is no unit of Octavia with the charm; there are octavia/0"
    ):
        sweep.sources(units, ["octavia/7"])
    with pytest.raises(errors.PathfinderError, match="integrate ovs-pathfinder:juju-info with octavia"):
        sweep.sources(model.Model(sources=0).units(), [])


def test_amphorae_are_asked_for_beside_octavia_of_a_unit_that_is_heard_of():
    assert sweep.beside(model.Model(sources=2, silent={"ovs-pathfinder/0"}).units()) == "ovs-pathfinder/1"


def test_neighbours_in_the_list_share_no_unit():
    units = model.Model(sources=3, computes=4).units()
    ports = [sweep.Port(f"fc00::{one}", unit=f"ovs-pathfinder/{one + 2}") for one in range(1, 5)]

    wanted = sweep.jobs([one for one in units if one.is_octavia], ports)

    for at in range(0, len(wanted), 3):
        beside = wanted[at : at + 3]
        assert len({one.source_unit for one in beside} | {one.destination_unit for one in beside}) == 6


def test_what_is_listed_and_cannot_be_read_is_said():
    with pytest.raises(errors.PathfinderError, match="of another revision"):
        sweep.destinations(juju.Answer("ovs-pathfinder/0", {"answer": "{}"}))


def answer_of_find_port(**network: str) -> juju.Answer:
    port = {"id": "p", "name": "web", "mac": "fa:16:3e:00:00:01", "addresses": ["fc00::1"], "host": "compute-0"}
    odd = ({"host": ""}, {"device_owner": "network:dhcp"}, {"name": "octavia-health-manager-octavia-0-listen-port"})
    found = [{"port": {**port, **more}, "network": network, "unit": "ovs-pathfinder/1"} for more in ({}, *odd)]
    return juju.Answer("ovs-pathfinder/0", {"answer": json.dumps({"ports": found, "notes": ["There may be more."]})})


@pytest.mark.parametrize("network", ["net", "the-id"])
def test_ports_of_a_network_are_those_that_somebody_answers_at(network: str):
    answer = answer_of_find_port(name="net", id="the-id")

    assert sweep.ports(answer, network) == [sweep.Port("fc00::1", "web", "ovs-pathfinder/1")]
    assert sweep.notes(answer) == ("There may be more.",)


def test_what_is_no_network_is_not_swept():
    with pytest.raises(errors.PathfinderError, match="web is no network with ports"):
        sweep.ports(answer_of_find_port(name="net", id="the-id"), "web")
