"""The sweep: undo what is open in the journal and nobody sees to any more."""

from .. import cloud, errors, path
from . import change, journal, mirror


class Found(path.Model):
    """One open change that a sweep met."""

    entry: journal.Entry
    outcome: change.Outcome | None = None
    """How its undo ended; None where it was not undone."""
    error: str = ""
    """Why it could not be undone."""
    kept: str = ""
    """Why it was left alone."""
    owner: str = ""
    """The other unit of this host that alone may end or close it, where it was left alone for that."""

    def __str__(self) -> str:
        end = self.outcome.text if self.outcome else self.error or self.kept
        return f"{self.entry} — {end}"


def sweep(
    book: journal.Journal,
    credentials: cloud.Credentials | None = None,
    *,
    everything: bool = False,
    leaving: bool = False,
    dry_run: bool = False,
    wait: float = 3.0,
) -> list[Found]:
    """Undo what is open and not under way.

    What another unit of this host has made is undone once its time is over, and not before; its conflicts stay open.

    Args:
        book: The unit's journal.
        credentials: How to sign in to the cloud; without them port security cannot be put back.
        everything: Whether to end also what may still live (`inject-flows`), and to close what others have changed.
        leaving: Whether the unit goes; where the host has other units, it then sees to no more than its own.
        dry_run: Say what would be done, and do nothing.
        wait: Seconds that a process which changes or undoes something is waited for.

    Raises:
        Busy: Such a process goes on; what is open may be its own.
        PathfinderError: A file of the journal cannot be read; what the others speak of has been seen to.
    """
    if book.is_empty():
        return []
    others = book.others()
    if dry_run:
        return [_theirs(entry, others) or _foresee(entry, everything=everything) for entry in book.entries()]
    only_own = leaving and bool(others)
    if only_own and not any(entry.unit == book.unit for entry in book.readable()[0]):
        return []
    with book.lock("a sweep of what was left behind", wait):
        entries, damaged = book.readable()
        found = [
            _theirs(entry, others) or _settle(book, entry, credentials, everything=everything)
            for entry in entries
            if not only_own or entry.unit == book.unit
        ]
    if damaged and not only_own:
        raise damaged[0]
    return found


def orphans(book: journal.Journal, *, dry_run: bool = False, wait: float = 3.0) -> list[Found]:
    """Undo mirrors that carry this charm's mark and are in no journal, as where its disk was lost.

    Flows are not looked for: their cookies could be another's, and the switch ends them by itself.

    Raises:
        Busy: A process changes or undoes something.
        PathfinderError: The journal cannot be read.
    """
    known = {entry.change.mark for entry in book.entries() if isinstance(entry.change, mirror.Mirror)}
    try:
        found = mirror.orphans(known)
    except errors.PathfinderError:  # no Open vSwitch, no mirrors
        return []
    entries = [journal.new(one, seconds=0, action="an action of before", run=one.run, unit=book.unit) for one in found]
    if dry_run or not entries:
        return [_foresee(entry, everything=True) for entry in entries]
    with book.lock("a sweep of mirrors that no journal knows", wait):
        return [undo(book, entry, None, "sweep") for entry in entries]


def _theirs(entry: journal.Entry, others: frozenset[str]) -> Found | None:
    """Leave alone what another unit of this host alone may end or close; None for anything else."""
    if entry.unit not in others or not (entry.conflict or _lives(entry)):
        return None
    why = entry.conflict or f"it may live until {entry.until}"
    return Found(entry=entry, kept=f"{why} (made by {entry.unit}: run clean-up there)", owner=entry.unit)


def _lives(entry: journal.Entry) -> bool:
    return entry.stays and entry.left > 0


def _foresee(entry: journal.Entry, *, everything: bool) -> Found:
    if entry.conflict:
        return Found(entry=entry, kept=entry.conflict)
    if _lives(entry) and not everything:
        return Found(entry=entry, kept=f"it may live until {entry.until}")
    under_way = "" if entry.stays else ", unless its action is still under way"
    return Found(entry=entry, kept=f"it would be undone{under_way}")


def _settle(
    book: journal.Journal, entry: journal.Entry, credentials: cloud.Credentials | None, *, everything: bool
) -> Found:
    if entry.conflict and everything:
        outcome = change.Outcome(state="conflict", text=entry.conflict)
        book.close(entry, outcome, "sweep")
        return Found(entry=entry, outcome=outcome)
    if entry.conflict:
        return Found(entry=entry, kept=entry.conflict)
    if _lives(entry) and not everything:
        return Found(entry=entry, kept=f"it may live until {entry.until}")
    return undo(book, entry, credentials, "sweep")


def undo(book: journal.Journal, entry: journal.Entry, credentials: cloud.Credentials | None, by: journal.By) -> Found:
    """Undo one change, look that it is undone, and close its entry; what fails is written down for the next sweep."""
    try:
        outcome = entry.change.undo(credentials)
    except errors.PathfinderError as error:
        failed = entry.model_copy(update={"attempts": entry.attempts + 1, "error": str(error)})
        book.note(failed)
        return Found(entry=failed, error=str(error))
    if outcome.state == "conflict":
        book.note(entry.model_copy(update={"conflict": outcome.text}))
    elif stays := book.close(entry, outcome, by):
        outcome = outcome.model_copy(update={"text": f"{outcome.text} {stays}"})
    return Found(entry=entry, outcome=outcome)
