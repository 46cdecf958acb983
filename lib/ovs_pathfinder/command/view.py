"""What an operator sees: stages on stderr while it runs, then the report on stdout; plain where is no terminal."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING

from .. import text
from . import engine

if TYPE_CHECKING:
    from rich import console as console_
    from rich import progress as progress_

_NAMES: dict[engine.Stage, str] = {
    "plan": "plan",
    "probe": "probe",
    "report": "report",
    "trial": "trial",
    "done": "done",
}
_COLOURS = (
    (r"(?m)^Path report \S+: OK$|(?<=  )OK$", "bold green"),
    (r"(?m)^Path report \S+: (BROKEN)$|  BROKEN$|✗(?: \d+/\d+)?(?: \d+)?(?: lost)?", "bold red"),
    (r"(?m)^Path report \S+: (DEGRADED|CANNOT TELL)$|  (DEGRADED|CANNOT TELL)$", "bold yellow"),
    (r"(?m)^(Proof|Against it|Next|Trial|Mind|Went wrong|More can be told by):$", "bold"),
    (r"(?m)^[a-z-]+, (proven|likely|possible)(?=[:$])", "bold"),
)
"""What stands out in a report on a terminal; the report itself is the same everywhere."""


class Silent:
    """Shows no progress, and answers no question."""

    def tell(self, event: engine.Event) -> None:
        """Hear of a step on the way."""

    def say(self, sentence: str) -> None:
        """Tell something that no stage is about."""
        complain(sentence)

    async def confirm(self, question: str) -> bool:
        """Ask the operator; nobody is there."""
        return False

    def withdraw(self) -> bool:
        """Take back a question that is open, as if the answer were no; return whether there was one."""
        return False


class Lines(Silent):
    """A line a stage of one path, or a line a path of several; for logs and pipes."""

    def __init__(self, total: int = 1) -> None:
        self._total = total
        self._done = 0

    def tell(self, event: engine.Event) -> None:
        """Print a step on the way."""
        if event.stage == "done":
            self._done += 1
            pair = f"{event.pair.source} → {event.pair.destination}"
            self.say(f"[{self._done}/{self._total}] {pair}: {event.text}")
        elif self._total == 1 and event.text:
            self.say(f"{event.stage}: {f'{event.unit}: ' if event.unit else ''}{event.text}")


class Live(Lines):
    """A terminal: what is over stands, what goes on moves."""

    def __init__(self, console: "console_.Console", progress: "progress_.Progress", total: int) -> None:
        super().__init__(total)
        self._console = console
        self._progress = progress
        self._task = progress.add_task("", total=total if total > 1 else None)
        self._typed: asyncio.Future[str] | None = None

    def say(self, sentence: str) -> None:
        """Print above what moves."""
        from rich import text as text_

        self._console.print(text_.Text(text.plain(sentence), style="dim"), soft_wrap=True)

    def tell(self, event: engine.Event) -> None:
        """Show a step on the way."""
        if event.stage == "done":
            super().tell(event)
            self._progress.advance(self._task)
        elif event.text:
            unit = f"{event.unit}: " if event.unit else ""
            told = text.plain(f"{event.stage}: {unit}{event.text}")
            self._progress.update(self._task, description=told[: max(20, self._console.width - 24)])
            if self._total == 1:
                self.say(told)

    async def confirm(self, question: str) -> bool:
        """Ask the operator, whom Ctrl-C must reach meanwhile."""
        if not sys.stdin.isatty():
            return False
        self._progress.stop()
        loop = asyncio.get_running_loop()
        self._console.print(f"{text.plain(question)} [y/N] ", end="", highlight=False, markup=False)
        typed = self._typed = loop.create_future()
        loop.add_reader(sys.stdin, lambda: typed.done() or typed.set_result(sys.stdin.readline()))
        try:
            return (await typed).strip().lower() in ("y", "yes")
        finally:
            loop.remove_reader(sys.stdin)
            self._typed = None
            self._progress.start()

    def withdraw(self) -> bool:
        """Take back a question that is open, as if the answer were no; return whether there was one."""
        if self._typed is None or self._typed.done():
            return False
        self._console.print()
        self._typed.set_result("")
        return True


@contextlib.contextmanager
def watching(total: int = 1, *, quiet: bool = False) -> Generator[Silent]:
    """Show the progress of so many paths on stderr."""
    if quiet:
        yield Silent()
    elif not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield Lines(total)
    else:
        from rich import console as console_
        from rich import progress as progress_

        console = console_.Console(stderr=True)
        columns: list[progress_.ProgressColumn] = [progress_.SpinnerColumn(), progress_.TimeElapsedColumn()]
        if total > 1:
            columns += [progress_.MofNCompleteColumn(), progress_.BarColumn(bar_width=20)]
        columns += [progress_.TextColumn("{task.description}", markup=False)]
        with progress_.Progress(*columns, console=console, transient=True) as progress:
            yield Live(console, progress, total)


def complain(sentence: str) -> None:
    """Print a sentence on stderr, whatever is in it."""
    print(text.plain(sentence), file=sys.stderr, flush=True)


def show(report: str) -> None:
    """Print a report on stdout; a terminal shows in colour what it is about."""
    report = text.lines(report)
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
        sys.stdout.write(report)
        return
    from rich import console as console_
    from rich import text as text_

    shown = text_.Text(report)
    for pattern, style in _COLOURS:
        shown.highlight_regex(pattern, style)
    console_.Console().print(shown, end="", soft_wrap=True, highlight=False)
