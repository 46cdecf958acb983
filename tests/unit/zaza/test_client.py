"""The client on zaza's own functions, with a model of libjuju's that does what it is told."""

import asyncio
import dataclasses
import types
from typing import Any

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.command import juju
from ovs_pathfinder.zaza import client, untyped

UNIT = "ovs-pathfinder/0"


@dataclasses.dataclass
class Action:
    """What libjuju holds of an action: its data are other ones with each news, and the message comes after the end."""

    ended: str = "completed"
    said: str = ""
    seconds: float = 0.0
    answered: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    data: dict[str, Any] = dataclasses.field(default_factory=lambda: {"status": "pending"})
    _status: str = ""
    results: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])

    async def wait(self) -> None:
        await asyncio.sleep(self.seconds)
        self._status, self.results = self.ended, self.answered
        loop = asyncio.get_running_loop()
        loop.call_soon(setattr, self, "data", {"status": "running"})
        loop.call_later(0.2, setattr, self, "data", {"status": self.ended, "message": self.said})


@dataclasses.dataclass
class Model:
    """A model with one unit of octavia, and the charm beside it."""

    action: Action = dataclasses.field(default_factory=Action)
    leads: bool = True
    asked: list[tuple[str, dict[str, Any]]] = dataclasses.field(default_factory=list[tuple[str, dict[str, Any]]])
    charm: str = "ch:amd64/jammy/octavia-301"

    @property
    def applications(self) -> dict[str, Any]:
        unit = types.SimpleNamespace(entity_id=UNIT, run_action=self._run_action)
        return {"ovs-pathfinder": types.SimpleNamespace(units=[unit])}

    async def _run_action(self, name: str, **params: Any) -> Action:
        if name == "unknown":
            raise ValueError(f"Action `unknown` not found on {UNIT}")
        self.asked.append((name, params))
        return self.action

    async def get_status(self) -> Any:
        agent = types.SimpleNamespace(status="idle")
        beside = types.SimpleNamespace(leader=self.leads, agent_status=agent)
        host = types.SimpleNamespace(subordinates={UNIT: beside})
        octavia = types.SimpleNamespace(charm=self.charm, units={"lb/0": host})
        return types.SimpleNamespace(
            applications={"lb": octavia, "keystone": types.SimpleNamespace(charm="", units=None)}
        )


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    found = Model()

    async def get_model(_: str | None = None) -> Model:
        return found

    monkeypatch.setattr(untyped.MODEL, "get_model", get_model)
    return found


def ask(action: str = "plan-path", unit: str = UNIT, within: float = 5.0, **params: Any) -> juju.Answer:
    asked = client.Client("ovs-pathfinder", "lab")
    return client.run(lambda: asked.run(unit, action, params, within=within), 30)


def test_answer_is_that_of_the_action(model: Model):
    model.action.answered = {"run": "x", "return-code": 0}

    assert ask(source="octavia/0") == juju.Answer(UNIT, {"run": "x", "return-code": "0"})
    assert model.asked == [("plan-path", {"source": "octavia/0"})]


def test_leader_is_found_among_subordinates(model: Model):
    assert ask(unit="ovs-pathfinder/leader").unit == UNIT


def test_model_without_a_leader_is_told(model: Model):
    model.leads = False

    with pytest.raises(juju.JujuError, match="no unit of ovs-pathfinder leads"):
        ask(unit="ovs-pathfinder/leader")


def test_failure_has_the_message_that_comes_after_the_end(model: Model):
    model.action.ended, model.action.said = "failed", "there is no port at fc00::9"

    with pytest.raises(juju.ActionFailed, match="plan-path on ovs-pathfinder/0 failed: there is no port at fc00::9"):
        ask()


def test_action_that_does_not_end_is_given_up(model: Model):
    model.action.seconds = 60

    with pytest.raises(juju.TooLate, match=r"ovs-pathfinder/0 did not answer plan-path within 0\.2 s"):
        ask(within=0.2)


@pytest.mark.parametrize(
    ("action", "unit", "said"),
    [("unknown", UNIT, "Action `unknown` not found"), ("plan-path", "ovs-pathfinder/9", "ovs-pathfinder/9")],
)
def test_whatever_libjuju_raises_is_one_sentence(model: Model, action: str, unit: str, said: str):
    with pytest.raises(juju.JujuError, match=f"running {action} on {unit} failed: .*{said}"):
        ask(action, unit)


@pytest.mark.parametrize(
    ("charm", "is_octavia"),
    [
        ("ch:amd64/jammy/octavia-301", True),
        ("local:jammy/octavia-0", True),
        ("ch:octavia-dashboard-3", False),
        ("", False),
    ],
)
def test_octavia_is_known_by_its_charm(model: Model, charm: str, is_octavia: bool):
    model.charm = charm

    (unit,) = client.run(client.Client("ovs-pathfinder").units, 30)

    assert unit == juju.Unit(UNIT, "lb/0", is_octavia, True, False)


def test_thread_of_zaza_ends_with_what_it_was_begun_for(model: Model):
    ask()

    assert untyped.ZAZA._libjuju_thread is None


def test_thread_that_zaza_has_begun_goes_on(model: Model):
    untyped.ZAZA.get_or_create_libjuju_thread()
    try:
        ask()
        assert untyped.ZAZA._libjuju_thread.is_alive()
    finally:
        untyped.ZAZA.clean_up_libjuju_thread()


def test_work_has_a_time_limit():
    with pytest.raises(errors.PathfinderError, match=r"was not done within 0\.2 s"):
        client.run(lambda: asyncio.sleep(60), 0.2)


def test_zaza_s_own_loop_does_not_wait_for_itself():
    async def within() -> None:
        client.run(lambda: asyncio.sleep(0), 5)

    with pytest.raises(errors.PathfinderError, match="called on zaza's own loop"):
        client.run(within, 5)


@pytest.mark.parametrize(
    ("status", "answered"),
    [("completed", ["a"]), ("completed", "text"), (["completed"], {}), (None, {}), ("failed", None), (1, {"a": 1})],
)
def test_an_answer_of_another_shape_is_one_sentence(status: Any, answered: Any, monkeypatch: pytest.MonkeyPatch):
    async def run_action(*_: Any, **__: Any) -> Any:
        return types.SimpleNamespace(data={"status": status, "results": answered, "message": "it is so"})

    monkeypatch.setattr(client, "_MESSAGE", 0.0)
    monkeypatch.setattr(untyped, "MODEL", types.SimpleNamespace(async_run_action=run_action))

    with pytest.raises(errors.PathfinderError) as caught:
        asyncio.run(client.Client("ovs-pathfinder").run(UNIT, "probe-path", {}, within=5))

    assert "\n" not in str(caught.value)
    assert "error of its own" not in str(caught.value)


@pytest.mark.parametrize("applications", [None, [], {"octavia": None}, {"octavia": types.SimpleNamespace()}])
def test_a_status_of_another_shape_is_one_sentence_or_no_units(applications: Any, monkeypatch: pytest.MonkeyPatch):
    async def get_status(*_: Any, **__: Any) -> Any:
        return types.SimpleNamespace(applications=applications)

    monkeypatch.setattr(untyped, "MODEL", types.SimpleNamespace(async_get_status=get_status))
    asked = client.Client("ovs-pathfinder").units()

    if not applications:
        assert asyncio.run(asked) == []
        return
    with pytest.raises(juju.JujuError, match=r"^reading the model's status failed: [^\n]+$"):
        asyncio.run(asked)
