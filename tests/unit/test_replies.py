"""What an action tells Juju acts on no terminal, whoever it comes from."""

import io
import logging
import pathlib
import re
from typing import Any, cast

import ops

import replies
from tests.unit.report import hostile, test_hostile

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "src"


class Event:
    """Keeps what Juju would print."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.results: dict[str, Any] = {}

    def log(self, message: str) -> None:
        self.said.append(message)

    def fail(self, message: str) -> None:
        self.said.append(message)

    def set_results(self, results: dict[str, Any]) -> None:
        self.results |= results


def test_nothing_that_an_action_tells_acts_on_a_terminal() -> None:
    event = Event()
    reply = replies.Reply(cast("ops.ActionEvent", event))

    reply.log(hostile.ATTACK)
    reply.fail(hostile.ATTACK)
    reply.give({"report": hostile.ATTACK})

    assert [test_hostile.acting(one) for one in (*event.said, *event.results.values())] == [set()] * 3
    assert all("\n" not in one for one in event.said)
    assert len(event.results["report"].splitlines()) == len(hostile.ATTACK.split("\n"))


def test_nothing_that_is_logged_acts_on_a_terminal() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        replies.filter_log()
        logging.getLogger("charm").error("met %s", hostile.ATTACK)
        try:
            raise ValueError(hostile.ATTACK)
        except ValueError:
            logging.getLogger("charm").exception("an error of %s", hostile.ATTACK)
    finally:
        logging.getLogger().removeHandler(handler)

    assert "2J" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert test_hostile.acting(stream.getvalue()) == set()


def test_actions_tell_in_no_other_way() -> None:
    found = {
        file.name for file in SOURCES.glob("*.py") if re.search(r"\bevent\.(log|fail|set_results)\(", file.read_text())
    }

    assert found <= {"replies.py"}
