import asyncio
import os
import signal

import pytest

from ovs_pathfinder.command import engine, interruption, juju
from tests.unit.command import model, test_sweep
from tests.unit.diagnosis import build

DISOBEYED = build.World(lost_after={("forward", "source-port"): 5})


def interrupted(action: str, *numbers: signal.Signals) -> tuple[model.Model, list[str]]:
    """Let signals come while an action is under way; return the model, and what was said."""
    client = model.Model(worlds={"fc00::1": DISOBEYED}, endless=action)
    said: list[str] = []
    left = list(numbers)

    def before(_: str, name: str) -> None:
        if name in (action, "clean-up") and left:
            os.kill(os.getpid(), left.pop(0))

    client.before = before
    by = engine.Engine(client)
    work = by.trace(engine.Pair("octavia/0", "fc00::1"), engine.Settings(), "auto")
    with pytest.raises(interruption.Interrupted) as caught:
        asyncio.run(asyncio.wait_for(interruption.guarded(by, work, said.append), test_sweep.LIMIT))
    return client, [*said, *caught.value.sentences]


@pytest.mark.parametrize("action", ["plan-path", "probe-path", "path-report", "try-flows"])
def test_interruption_at_any_stage_leaves_nothing_behind(action: str):
    client, said = interrupted(action, signal.SIGINT)

    cut_off = {unit for unit, name in client.asked if name == action}
    assert {unit for unit, _ in client.cancelled} == cut_off
    assert {unit for unit, name in client.asked if name == "clean-up"} == cut_off
    assert client.left == set()
    assert said[0] == "interrupted: cancelling what runs"
    named = {"ovs-pathfinder/leader"} if action == "plan-path" else cut_off
    assert said[1] == f"cleaning up on {', '.join(sorted(named))}"
    assert said[3:] == [f"{unit}: Nothing is left behind on this unit." for unit in sorted(cut_off)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_goes_is_an_interruption_too(number: signal.Signals):
    client, _ = interrupted("try-flows", number)

    assert client.asked[-1][1] == "clean-up"
    assert client.left == set()


def test_second_interruption_ends_the_waiting_and_says_what_to_do():
    client = model.Model(worlds={"fc00::1": DISOBEYED}, endless="probe-path")
    client.before = lambda unit, name: os.kill(os.getpid(), signal.SIGINT) if unit == "ovs-pathfinder/1" else None
    by = engine.Engine(client)

    async def never(unit: str) -> juju.Answer:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        raise AssertionError

    by.clean_up = never  # type: ignore[method-assign, assignment]
    work = by.trace(engine.Pair("octavia/0", "fc00::1"), engine.Settings())
    with pytest.raises(interruption.Interrupted, match="is not known: run clean-up there"):
        asyncio.run(asyncio.wait_for(interruption.guarded(by, work, list[str]().append), test_sweep.LIMIT))


def test_unit_that_cannot_clean_up_is_named():
    client = model.Model(endless="probe-path", failing={("ovs-pathfinder/1", "clean-up"): "Neutron does not answer"})
    client.before = lambda unit, name: os.kill(os.getpid(), signal.SIGINT) if name == "probe-path" else None
    by = engine.Engine(client)

    with pytest.raises(interruption.Interrupted) as caught:
        asyncio.run(
            interruption.guarded(
                by, by.trace(engine.Pair("octavia/0", "fc00::1"), engine.Settings()), list[str]().append
            )
        )

    assert "ovs-pathfinder/0: Nothing is left behind on this unit." in caught.value.sentences
    assert any("ovs-pathfinder/1: not cleaned up: " in one and "Neutron" in one for one in caught.value.sentences)


def test_sweep_that_is_interrupted_cleans_up_where_it_was_at_work():
    client = model.Model(sources=2, computes=3, endless="probe-path")
    swept, wanted = test_sweep.begin(client, [])
    client.before = lambda unit, name: os.kill(os.getpid(), signal.SIGINT) if unit == "ovs-pathfinder/3" else None

    with pytest.raises(interruption.Interrupted):
        asyncio.run(interruption.guarded(swept.by, swept.run(wanted), list[str]().append))

    at_work = {unit for unit, name in client.asked if name == "probe-path"}
    assert {unit for unit, name in client.asked if name == "clean-up"} >= at_work
    assert client.left == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_the_question_is_a_no_and_nothing_is_lost(number: signal.Signals):
    client = model.Model(worlds={"fc00::1": DISOBEYED})
    told: list[engine.Event] = []
    by = engine.Engine(client, tell=told.append)
    asked: list[asyncio.Future[bool]] = []

    async def confirm(question: str) -> bool:
        assert any(one.text.startswith("broken: ") for one in told)  # the verdict comes before the question
        asked.append(asyncio.get_running_loop().create_future())
        os.kill(os.getpid(), number)
        return await asked[0]

    def withdraw() -> bool:
        asked[0].set_result(False)
        return True

    async def work() -> str:
        work = by.trace(engine.Pair("octavia/0", "fc00::1"), engine.Settings(), "ask", confirm)
        return (await interruption.guarded(by, work, list[str]().append, withdraw)).verdict

    assert asyncio.run(asyncio.wait_for(work(), test_sweep.LIMIT)) == "broken"
    assert "try-flows" not in {action for _, action in client.asked}


def test_work_that_is_not_interrupted_is_done_and_signals_are_as_before():
    before = signal.getsignal(signal.SIGINT)

    async def work() -> str:
        return "done"

    assert asyncio.run(interruption.guarded(engine.Engine(model.Model()), work(), list[str]().append)) == "done"
    assert signal.getsignal(signal.SIGINT) in (before, signal.default_int_handler)
