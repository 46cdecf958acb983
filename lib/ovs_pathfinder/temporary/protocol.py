"""The one way to change something for a moment: journal, guard, check, change; retest; undo, verify, close."""

import contextlib
import time
from collections.abc import Generator

from .. import cloud, errors, process
from . import change, guard, journal, sweep

_PAUSES = (0.2, 0.6, 1.5)
"""Seconds between the attempts to undo; after the last one the guard goes on."""


class Made:
    """A change that has been made, and what became of it."""

    def __init__(self, entry: journal.Entry) -> None:
        self.entry = entry
        self.since = time.monotonic()
        """When it began to be made, by the monotonic clock."""
        self.seconds = 0.0
        """How long it lived, once it is undone."""
        self.outcome: change.Outcome | None = None
        """How the undo ended; None while it lives, and where it could not be undone."""
        self.left = ""
        """What is left, in one sentence; empty where nothing is."""


@contextlib.contextmanager
def temporarily(
    book: journal.Journal,
    kind: journal.Kind,
    *,
    seconds: float,
    action: str,
    run: str = "",
    credentials: cloud.Credentials | None = None,
) -> Generator[Made]:
    """Make a change for as long as the context lasts, and undo it whatever happens.

    Args:
        book: The unit's journal.
        kind: The change.
        seconds: How long it may live at the most; the context must be left before.
        action: What it is for: the action's name.
        run: The run, where it is of one.
        credentials: How to sign in to the cloud, where the change is made there.

    Raises:
        PathfinderError: The change was refused or could not be made; nothing is left of it, or the sentence says what.
    """
    with book.lock(f"{action} of run {run}" if run else action):
        entry = journal.new(kind, seconds=seconds, action=action, run=run, unit=book.unit)
        with _begun(book, entry, credentials) as made:
            try:
                yield made
            except BaseException as error:
                _end(book, made, credentials)
                if made.left:
                    raise errors.PathfinderError(f"{error} (and {made.left})") from error
                raise
            _end(book, made, credentials)


def leave(
    book: journal.Journal,
    kind: journal.Kind,
    *,
    seconds: float,
    action: str,
    run: str = "",
    credentials: cloud.Credentials | None = None,
) -> journal.Entry:
    """Make a change that stays until its deadline, when the switch or the guard undoes it; raises as `temporarily`."""
    with book.lock(action):
        entry = journal.new(kind, seconds=seconds, action=action, run=run, unit=book.unit, stays=True)
        with _begun(book, entry, credentials):
            return entry


@contextlib.contextmanager
def _begun(book: journal.Journal, entry: journal.Entry, credentials: cloud.Credentials | None) -> Generator[Made]:
    """Write the journal, start the guard, look for what is in the way, and make the change."""
    refuse_leftovers(book)
    book.write(entry)
    outcome = change.Outcome(state="gone", text="Nothing was changed.")
    watching: process.Outliving | None = None
    try:
        watching = guard.start(book, entry, credentials)
        entry.change.check()
    except BaseException:
        book.close(entry, outcome, "action")
        if watching is not None:
            watching.release()
        raise
    made = Made(entry)
    try:
        try:
            _refuse_late(book, entry)
            entry.change.make(max(1, int(entry.left)), credentials)
        except BaseException as error:
            _end(book, made, credentials)
            if made.left:
                raise errors.PathfinderError(f"{error} (and {made.left})") from error
            raise
        yield made
    finally:
        watching.release(0 if entry.stays else 2)


def refuse_leftovers(book: journal.Journal) -> None:
    """Refuse to change anything while an earlier change has not been undone.

    Raises:
        PathfinderError: There is one.
    """
    others = book.others()
    for entry in book.entries():
        if not entry.stays:
            why = "others have changed the same meanwhile" if entry.conflict else entry.error[:200]
            raise errors.PathfinderError(
                f"an earlier change is still in the journal, so no other is made: {entry.change.describe()} "
                f"({why or 'not undone yet'}); run clean-up{f' on {entry.unit}' if entry.unit in others else ''}"
            )


def _refuse_late(book: journal.Journal, entry: journal.Entry) -> None:
    """Refuse to make what its guard has already given up, where this process was stopped for long."""
    if entry.left <= 0 or book.entry(entry.id) is None:
        raise errors.PathfinderError(
            "this took so long that the time for the change was over before it was made; nothing was changed, try again"
        )


def _end(book: journal.Journal, made: Made, credentials: cloud.Credentials | None) -> None:
    """Undo, verify and close; what cannot be undone now stays in the journal, and its guard goes on trying."""
    found = sweep.undo(book, made.entry, credentials, "action")
    made.seconds = time.monotonic() - made.since
    for pause in _PAUSES:
        if found.outcome is not None:
            break
        time.sleep(pause)
        found = sweep.undo(book, found.entry, credentials, "action")
        made.seconds = time.monotonic() - made.since
    made.outcome = found.outcome
    if found.outcome is None:
        made.left = (
            f"{made.entry.change.describe()} could not be undone yet, and its guard goes on trying: {found.error}"
        )
    elif found.outcome.state == "conflict":
        made.left = found.outcome.text
