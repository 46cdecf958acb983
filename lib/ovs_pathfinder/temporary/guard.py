"""The guard: a process outside the action's that undoes a temporary change when the action's process is gone.

It is started before anything changes, and holds one end of a pipe: the other ends with the action, however that ends.
"""

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from typing import Any

from .. import cloud, errors, process
from . import journal, sweep

GRACE = 3.0
"""Seconds after the deadline at which an action that still runs is no longer waited for."""
LOOK = 5.0
"""Seconds after which the guard of a change that stays looks whether it has been undone before its time."""
RETRY_FOR = 900.0
"""Seconds for which an undo that fails is tried again; then it is left to the sweeps."""
_READY = "ready"
_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def start(book: journal.Journal, entry: journal.Entry, credentials: cloud.Credentials | None) -> process.Outliving:
    """Start the guard of one entry and wait until it watches.

    Raises:
        PathfinderError: It cannot be started, and so nothing may be changed.
    """
    message = {
        "journal": str(book.directory),
        "entry": entry.id,
        "seconds": entry.left,
        "stays": entry.stays,
        # Through a pipe only: an argument or a file would show the password.
        "credentials": credentials
        and {**credentials.model_dump(), "password": credentials.password.get_secret_value()},
    }
    try:
        return process.Outliving(__name__, f"ovs-pathfinder-guard-{entry.id}", json.dumps(message), ready=_READY)
    except (OSError, process.ProcessError) as error:
        raise errors.PathfinderError(
            f"the process that would undo the change if this one were killed cannot be started, so nothing was "
            f"changed: {error}"
        ) from error


def main() -> None:
    """Watch over one entry until it is closed."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    line = sys.stdin.buffer.readline()
    if not line:
        return  # it begins too late: its message has been taken back
    given: Mapping[str, Any] = json.loads(line)
    credentials = given["credentials"] and cloud.Credentials.model_validate(given["credentials"])
    deadline = time.monotonic() + given["seconds"]
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    # The host shuts down, or somebody ends this: undo at once. From `ready` on that must work.
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, _go_on)
    with contextlib.suppress(BrokenPipeError):  # the action is gone already
        os.write(1, f"{_READY}\n".encode())
    pipe = sys.stdin.fileno()
    _wait([pipe, woken], deadline + GRACE)
    book = journal.Journal(given["journal"])
    # An action that hangs may go on at any moment, so its entry stays open until it ends.
    while not _is_any([pipe, woken]) and _is_open(book, given["entry"]):
        _undo_for_now(book, given["entry"], credentials)
        _wait([pipe, woken], time.monotonic() + GRACE)
    while given["stays"] and not _is_any([woken]) and time.monotonic() < deadline and _is_open(book, given["entry"]):
        _wait([woken], min(deadline, time.monotonic() + LOOK))
    if _is_any([woken]):
        # At once, whoever holds the lock; and once more below, when the action's last tool has let go of it.
        _undo_for_now(book, given["entry"], credentials)
    _undo(book, given["entry"], credentials)


def _go_on(number: int, frame: object) -> None:
    """Take a signal; the pipe that it wakes does the rest."""


def _is_any(descriptors: list[int]) -> bool:
    """Return whether the pipe has ended, or a signal has come."""
    return bool(select.select(descriptors, [], [], 0)[0])


def _undo_for_now(book: journal.Journal, identifier: str, credentials: cloud.Credentials | None) -> None:
    """Undo what an action that hangs has made, without the lock, which it holds, and without closing the entry."""
    with contextlib.suppress(Exception):
        entry = book.entry(identifier)
        if entry is not None:
            entry.change.undo(credentials)


def _wait(descriptors: list[int], until: float) -> None:
    """Wait for the end of the pipe, or for a signal, but no longer than to the deadline."""
    select.select(descriptors, [], [], max(0.0, until - time.monotonic()))


def _undo(book: journal.Journal, identifier: str, credentials: cloud.Credentials | None) -> None:
    """Undo what is still open, again and again until it works."""
    end = time.monotonic() + RETRY_FOR
    attempt = 0
    while _is_open(book, identifier) and time.monotonic() < end:
        # Whatever happens here, nobody else sees to the change before the next sweep.
        with contextlib.ExitStack() as held, contextlib.suppress(Exception):
            # A tool of the action keeps the lock to its end. To undo twice does no harm, and never to undo would.
            with contextlib.suppress(errors.PathfinderError):
                held.enter_context(book.lock("the undo by its guard", wait=GRACE))
            entry = book.entry(identifier)
            if entry is None or sweep.undo(book, entry, credentials, "guard").outcome is not None:
                return
        time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
        attempt += 1


def _is_open(book: journal.Journal, identifier: str) -> bool:
    try:
        entry = book.entry(identifier)
    except errors.PathfinderError:
        return True
    return entry is not None and not entry.conflict


if __name__ == "__main__":
    main()
