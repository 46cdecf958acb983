"""Whatever becomes of the explanation, the failure stays what it was."""

import logging
import unittest

import pytest

from ovs_pathfinder import zaza
from ovs_pathfinder.zaza import client, tracing


class LostError(Exception):
    pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what was traced to; nothing answers."""
    names: list[str] = []

    async def trace(_: object, name: str) -> object:
        names.append(name)
        raise LostError("the controller is gone")

    monkeypatch.setattr(tracing, "trace", trace)
    monkeypatch.setattr(client, "run", lambda work, *_: work().send(None))  # pyright: ignore
    return names


def test_failure_is_raised_as_it_was_where_it_cannot_be_explained(asked: list[str], caplog: pytest.LogCaptureFixture):
    failure = AssertionError("not reached")

    with pytest.raises(AssertionError) as raised, zaza.explained("fc00::5"):
        raise failure

    assert raised.value is failure
    assert asked == ["unreached-fc00__5"]
    assert "cannot explain the failure: the controller is gone" in caplog.text


def test_address_is_asked_for_after_the_failure_alone(asked: list[str]):
    with zaza.explained(lambda: pytest.fail("was asked for")):
        pass

    def unknown() -> str:
        raise LostError("there is no address yet")

    with pytest.raises(ValueError, match="original"), zaza.explained(unknown):
        raise ValueError("original")

    assert asked == []


def test_bad_options_of_a_suite_do_not_hide_a_failure(asked: list[str], caplog: pytest.LogCaptureFixture):
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(ValueError, match="original"),
        zaza.explained("a", protocol="tcp"),
    ):
        raise ValueError("original")

    assert "protocol tcp needs a port" in caplog.text


def test_test_that_is_skipped_is_not_explained(asked: list[str]):
    with pytest.raises(unittest.SkipTest), zaza.explained("a"):
        raise unittest.SkipTest("not here")

    assert asked == []


def test_decorated_test_is_explained_each_time(asked: list[str]):
    @zaza.explained("a")
    def test() -> None:
        raise ValueError("original")

    for _ in range(2):
        with pytest.raises(ValueError, match="original"):
            test()

    assert asked == ["unreached-a", "unreached-a"]
