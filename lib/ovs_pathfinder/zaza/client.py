"""One model, asked through `zaza.model`: what the `juju` command is to the command for operators.

Everything runs on the loop on which zaza keeps libjuju, so that actions on several units run at once.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Coroutine, Generator, Mapping
from typing import Any, TypeVar, cast

from .. import errors
from ..command import juju, printed
from . import untyped

Value = TypeVar("Value")
_MESSAGE = 3.0
"""Seconds within which libjuju is told the message of an action that failed, after its end."""


def run(work: Callable[[], Coroutine[Any, Any, Value]], within: float) -> Value:
    """Run work on zaza's loop, and wait for it.

    Where zaza's own commands do not run, nobody would end the thread of that loop, and no process ends before it.

    Args:
        work: What is to be run there.
        within: Seconds that it may take at the most.

    Raises:
        PathfinderError: It took longer, and was cancelled; or this is called on that very loop, which would wait for
            itself.
    """
    if _is_on_zazas_loop():
        raise errors.PathfinderError("this was called on zaza's own loop; call it in a thread, as a test's function is")
    is_first = untyped.ZAZA._libjuju_thread is None

    async def bounded() -> Value:
        try:
            return await asyncio.wait_for(work(), within)
        except asyncio.TimeoutError:
            raise errors.PathfinderError(f"it was not done within {within:g} s; does the controller answer?") from None

    try:
        return cast("Value", untyped.ZAZA.sync_wrapper(bounded)())
    finally:
        if is_first:
            untyped.ZAZA.clean_up_libjuju_thread()


def _is_on_zazas_loop() -> bool:
    try:
        return asyncio.get_running_loop() is untyped.ZAZA._libjuju_loop
    except RuntimeError:
        return False


class Client:
    """The model that zaza runs a suite in."""

    def __init__(self, application: str, model: str | None = None) -> None:
        """Take a model.

        Args:
            application: The charm's.
            model: Its name; by default the one that zaza has set.
        """
        self.application = application
        self.model = model

    async def run(
        self, unit: str, action: str, params: Mapping[str, Any], *, within: float, log: juju.Log | None = None
    ) -> juju.Answer:
        """Run an action to its end, as `juju.Juju.run` does.

        zaza knows no way to cancel an action. One that is given up ends by itself, as all of them do, and with it
        what it changed; libjuju tells nothing of what it logs meanwhile.

        Raises:
            ActionFailed: It ended, and did not complete.
            TooLate: It did not end in time.
            JujuError: Juju did not take it.
        """
        with told(f"running {action} on {unit}"):
            name = await self._leader() if unit.endswith("/leader") else unit

            async def asked() -> dict[str, Any]:
                done = await untyped.MODEL.async_run_action(
                    name, action, model_name=self.model, action_params=dict(params)
                )
                ended = dict(done.data)  # at once: news of the model brings other data, which lack the results
                message = await _message(done, str(ended.get("status")))
                return {**ended, "unit": name, "message": message, "log": ()}

            doing = asyncio.ensure_future(asked())
            try:
                await asyncio.wait({doing}, timeout=within)  # a time limit of libjuju's own is none of the action's
                if not doing.done():
                    raise juju.TooLate(name, action, within)
                return juju.answer(printed.read(printed.TASK, f"run {action}", doing.result()), name, action)
            finally:
                doing.cancel()

    async def units(self) -> list[juju.Unit]:
        """Return the charm's units; none where the model has none, or no such application.

        Raises:
            JujuError: Juju does not tell.
        """
        status = await model_status(self.model)
        with told("reading the model's status"):
            return sorted(self._units(status), key=lambda one: int(one.name.rpartition("/")[2]))

    def _units(self, status: Any) -> list[juju.Unit]:
        found: list[juju.Unit] = []
        for name, entry in untyped.branches(status.applications).items():
            is_octavia = _charm(entry.charm) == "octavia" or name == "octavia"
            for principal, host in untyped.branches(entry.units).items():
                for unit, own in untyped.branches(host.subordinates).items():
                    if printed.is_target(unit) and unit.rpartition("/")[0] == self.application:
                        lost = own.agent_status is not None and own.agent_status.status == "lost"
                        found.append(juju.Unit(unit, principal, is_octavia, bool(own.leader), lost))
        return found

    async def _leader(self) -> str:
        """Return the unit that leads; zaza's own function for it does not look among subordinates."""
        found = next((one.name for one in await self.units() if one.leader), "")
        if not found:
            raise juju.JujuError(f"no unit of {self.application} leads; is it deployed, and related to octavia?")
        return found


async def model_status(model: str | None = None) -> Any:
    """Return the model's status, as libjuju's FullStatus.

    Raises:
        JujuError: Juju does not tell.
    """
    with told("reading the model's status"):
        asked = untyped.MODEL.async_get_status(model, interval=0)  # by default it waits for seconds
        return await asyncio.wait_for(asked, juju.ANSWER)


@contextlib.contextmanager
def told(what: str) -> Generator[None]:
    """Make one sentence of whatever zaza and libjuju raise, which have no error in common."""
    try:
        yield
    except errors.PathfinderError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise juju.JujuError(f"{what} failed: {said}") from error


async def _message(done: Any, status: str) -> str:
    """Return the message of an action that failed, which libjuju hears a moment after its end."""
    waited = 0.0
    while status != "completed" and not done.data.get("message") and waited < _MESSAGE:
        await asyncio.sleep(0.1)
        waited += 0.1
    return str(done.data.get("message") or "")


def _charm(url: str) -> str:
    """Return the name in a charm's URL, such as ch:amd64/jammy/octavia-301."""
    return re.sub(r"-\d+$", "", re.split(r"[:/]", url or "")[-1])
