import asyncio
import io
import os
import pty
import re
import sys
from collections.abc import Generator

import pytest
from rich import console, progress

from ovs_pathfinder.command import cli, engine, view
from tests.unit.report import hostile, test_hostile

PAIR = engine.Pair("octavia/0", "fc00::1")
REPORT = "Path report 20220314t101500-abcdef: BROKEN\n  a → b\n\nsource br-int  ✗ lost\nProof:\n  - it is\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    monkeypatch.setattr(sys, "stdout", stream)
    view.show(REPORT)
    return stream.getvalue()


def test_terminal_shows_the_same_report_in_colour(monkeypatch: pytest.MonkeyPatch):
    text = shown(monkeypatch, Terminal())

    assert "\x1b[1;31m✗ lost\x1b[0m" in text
    assert "\x1b[1mProof:\x1b[0m" in text
    assert re.sub(r"\x1b\[[\d;]*m", "", text) == REPORT


@pytest.mark.parametrize("reason", ["pipe", "NO_COLOR", "dumb"])
def test_elsewhere_it_is_plain(monkeypatch: pytest.MonkeyPatch, reason: str):
    if reason == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    if reason == "dumb":
        monkeypatch.setenv("TERM", "dumb")

    assert shown(monkeypatch, io.StringIO() if reason == "pipe" else Terminal()) == REPORT


def test_stages_are_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]):
    with view.watching() as one, view.watching(2) as several, view.watching(quiet=True) as none:
        for each in (one, several, none):
            each.tell(engine.Event(PAIR, "probe", "listening", "ovs-pathfinder/1"))
            each.tell(engine.Event(PAIR, "probe", ""))
            each.tell(engine.Event(PAIR, "done", "ok"))

    assert capsys.readouterr().err.splitlines() == [
        "probe: ovs-pathfinder/1: listening",
        "[1/1] octavia/0 → fc00::1: ok",
        "[1/2] octavia/0 → fc00::1: ok",
    ]


@pytest.fixture
def live() -> Generator[tuple[view.Live, Terminal]]:
    stream = Terminal()
    screen = console.Console(file=stream, force_terminal=True, width=80)
    with progress.Progress(progress.TextColumn("{task.description}"), console=screen, transient=True) as moving:
        yield view.Live(screen, moving, 1), stream


def test_stages_move_on_a_terminal(live: tuple[view.Live, Terminal]):
    shown_, stream = live

    shown_.tell(engine.Event(PAIR, "plan", "asking [OpenStack] for the path"))

    assert "plan: asking [OpenStack] for the path" in stream.getvalue()


@pytest.mark.parametrize(("typed", "answer"), [("y\n", True), ("\n", False), ("no\n", False)])
def test_operator_is_asked_on_a_terminal(
    live: tuple[view.Live, Terminal], monkeypatch: pytest.MonkeyPatch, typed: str, answer: bool
):
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(ours, typed.encode())

        assert asyncio.run(live[0].confirm("Shall flows be tried?")) is answer
    os.close(ours)
    assert "Shall flows be tried? [y/N] " in live[1].getvalue()


def test_a_question_that_is_taken_back_is_a_no(live: tuple[view.Live, Terminal], monkeypatch: pytest.MonkeyPatch):
    ours, theirs = pty.openpty()
    shown_ = live[0]

    async def asked() -> bool:
        asyncio.get_running_loop().call_soon(shown_.withdraw)
        return await shown_.confirm("Shall flows be tried?")

    with os.fdopen(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        assert asyncio.run(asked()) is False
    os.close(ours)
    assert not shown_.withdraw()
    assert not view.Silent().withdraw()


def test_nobody_is_asked_where_stdin_is_no_terminal(live: tuple[view.Live, Terminal], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))

    assert asyncio.run(live[0].confirm("?")) is False
    assert asyncio.run(view.Silent().confirm("?")) is False


def test_nothing_that_is_told_acts_on_a_terminal(
    live: tuple[view.Live, Terminal], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with view.watching() as lines:
        for one in (lines, live[0]):
            one.say(hostile.ATTACK)
            one.tell(engine.Event(engine.Pair(hostile.ATTACK, "b"), "probe", hostile.ATTACK, hostile.ATTACK))
            one.tell(engine.Event(engine.Pair(hostile.ATTACK, "b"), "done", hostile.ATTACK))
    view.show(hostile.ATTACK)
    cli.status(["explain", hostile.ATTACK])

    told = capsys.readouterr()
    own = re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", live[1].getvalue())
    assert [test_hostile.acting(one) for one in (told.out, told.err, own)] == [set()] * 3
    assert "2J" in told.err
