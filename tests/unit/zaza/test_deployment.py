"""What lacks until the charm can be used, by the model's status as libjuju has it."""

import types
from collections.abc import Callable
from typing import Any

import pytest

from ovs_pathfinder import errors, zaza
from ovs_pathfinder.zaza import options, untyped

Show = Callable[..., None]


def unit(status: str = "active", agent: str = "idle", info: str = "") -> Any:
    return types.SimpleNamespace(
        workload_status=types.SimpleNamespace(status=status, info=info),
        agent_status=types.SimpleNamespace(status=agent),
    )


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Show:
    """Return what sets the units of the charm beside those of octavia and nova-compute; None for no unit."""
    monkeypatch.setattr(options, "read", lambda: options.parse({"timeout": 0.1}))

    def found(*beside: Any, names: tuple[str, ...] = ("octavia", "nova-compute", "ovs-pathfinder")) -> None:
        applications: dict[str, Any] = {name: types.SimpleNamespace(units=None) for name in names}
        for number, (principal, one) in enumerate(zip(("octavia", "nova-compute"), beside, strict=False)):
            known = {} if one is None else {f"ovs-pathfinder/{number}": one}
            applications[principal].units = {f"{principal}/0": types.SimpleNamespace(subordinates=known)}

        async def get_status(*_: object, **__: object) -> Any:
            return types.SimpleNamespace(applications=applications)

        monkeypatch.setattr(untyped.MODEL, "async_get_status", get_status)

    return found


@pytest.mark.parametrize("agent", ["idle", "executing"])
def test_charm_beside_each_unit_is_enough(show: Show, agent: str):
    show(unit(agent=agent), unit())

    zaza.check()


@pytest.mark.parametrize(
    ("beside", "names", "said"),
    [
        ((), ("octavia", "nova-compute"), "there is no application ovs-pathfinder in the model"),
        ((), ("ovs-pathfinder", "octavia"), "there is no application nova-compute in the model"),
        ((unit(), None), None, "nova-compute/0 has no unit of ovs-pathfinder beside it"),
        ((unit("blocked", info="run clean-up"),), None, r"ovs-pathfinder/0 is blocked and idle \(run clean-up\)"),
        ((unit(agent="lost"), unit()), None, "ovs-pathfinder/0 is active and lost"),
    ],
)
def test_what_lacks_is_told_in_a_sentence(
    show: Show, beside: tuple[Any, ...], names: tuple[str, ...] | None, said: str
):
    show(*beside, **({"names": names} if names else {}))

    with pytest.raises(errors.PathfinderError, match=f"^{said}$"):
        zaza.check()
