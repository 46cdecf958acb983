"""A change lives no longer than it may, however the clock is set."""

import time
from typing import Any

import pytest

from ovs_pathfinder.temporary import change, clock, flows, guard, journal, port_security, protocol, rule

HOUR = 3600.0


def made() -> flows.Flows:
    return flows.Flows(
        bridge="br-int", cookie=flows.new_cookie(), rules=rule.parse("table=0,priority=7,icmp6,actions=NORMAL")
    )


@pytest.mark.parametrize("turned", [-HOUR, HOUR])
def test_clock_that_is_set_changes_no_life(monkeypatch: pytest.MonkeyPatch, turned: float):
    entry = journal.new(made(), seconds=10, action="try-flows", stays=True)
    now = time.time()

    monkeypatch.setattr(time, "time", lambda: now + turned)

    assert 9 < entry.left <= 10


def test_clock_set_back_between_entry_and_change_gives_no_longer_time_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
):
    asked: list[int] = []
    now = time.time()

    def check(_: flows.Flows) -> None:
        monkeypatch.setattr(time, "time", lambda: now - HOUR)

    class Watching:
        def release(self, timeout: float = 2.0) -> None:
            """Let go."""

    def make(_: flows.Flows, seconds: int, __: object) -> None:
        asked.append(seconds)

    monkeypatch.setattr(flows.Flows, "check", check)
    monkeypatch.setattr(flows.Flows, "make", make)
    monkeypatch.setattr(flows.Flows, "undo", lambda *_: change.Outcome(state="undone", text="Done."))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    monkeypatch.setattr(guard, "start", lambda *_: Watching())  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]

    with protocol.temporarily(journal.Journal(tmp_path), made(), seconds=10, action="try-flows"):
        pass

    assert asked == [9]


def test_reboot_ends_what_may_live_on():
    entry = journal.new(made(), seconds=10, action="inject-flows", stays=True)

    assert entry.model_copy(update={"began": clock.Moment(boot="another", at=0.0)}).left == 0


def test_entry_of_an_earlier_revision_lives_until_its_deadline():
    entry = journal.new(made(), seconds=10, action="inject-flows", stays=True)
    old = journal.Entry.model_validate_json(entry.model_dump_json(exclude={"began", "seconds"}))

    assert 9 < old.left <= 10


def test_port_that_an_earlier_revision_has_seen_was_seen_long_ago():
    old = {"port": "a", "label": "b", "before": port_security.OFF.model_dump(), "seen": 1_700_000_000.5}

    assert port_security.PortSecurity.model_validate(old).seen.ago is None
