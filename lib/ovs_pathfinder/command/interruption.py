"""Ctrl-C: what runs is cancelled, the units that were asked clean up, and only then the command ends."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from . import engine

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Value = TypeVar("Value")


class Interrupted(Exception):  # noqa: N818 - not an error
    """Somebody ended the command; the sentences say what became of what it had begun."""

    def __init__(self, sentences: list[str]) -> None:
        self.sentences = sentences
        super().__init__("; ".join(sentences))


def _nothing_is_asked() -> bool:
    return False


async def guarded(
    by: engine.Engine,
    work: Coroutine[Any, Any, Value],
    say: Callable[[str], None],
    withdraw: Callable[[], bool] = _nothing_is_asked,
) -> Value:
    """Do some work; where a signal ends it, leave nothing behind. A second signal ends the waiting for that.

    Args:
        by: Who asks units in this work.
        work: The work.
        say: Is told what happens after a signal.
        withdraw: Takes back the question that the operator is being asked, and returns whether there was one: then a
            signal is a no, and what is known already is told.

    Raises:
        Interrupted: A signal came.
    """
    loop = asyncio.get_running_loop()
    doing = asyncio.ensure_future(work)
    stopped = False

    def stop(current: "asyncio.Future[Any]", text: str) -> None:
        nonlocal stopped
        if withdraw():
            return
        stopped = True
        say(text)
        current.cancel()

    def listen(current: "asyncio.Future[Any]", text: str) -> None:
        for one in SIGNALS:
            loop.add_signal_handler(one, stop, current, text)

    listen(doing, "interrupted: cancelling what runs")
    try:
        return await doing
    except asyncio.CancelledError:
        if not stopped:
            raise
        asked = ", ".join(sorted(by.unsettled))
        if not asked:
            raise Interrupted(["interrupted; nothing was running on a unit"]) from None
        tidying = asyncio.ensure_future(by.tidy())
        listen(tidying, "interrupted again: not waiting for it")
        say(f"cleaning up on {asked}")
        try:
            sentences = await tidying
        except asyncio.CancelledError:
            raise Interrupted([f"interrupted; whether {asked} cleaned up is not known: run clean-up there"]) from None
        raise Interrupted(["interrupted", *sentences]) from None
    finally:
        for one in SIGNALS:
            loop.remove_signal_handler(one)
