"""Whatever becomes of the explanation, the failure stays what it was."""

import asyncio
import logging
import pathlib
import unittest

import pytest

from ovs_pathfinder import zaza
from ovs_pathfinder.report import outcome
from ovs_pathfinder.zaza import options, tracing


class LostError(Exception):
    pass


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what was traced to; nothing answers."""
    names: list[str] = []

    async def trace(chosen: options.Options) -> object:
        names.append(f"{chosen.protocol} {chosen.port} {chosen.destinations[0]}")
        raise LostError("the controller is gone")

    monkeypatch.setattr(tracing, "trace", trace)
    return names


def test_failure_is_raised_as_it_was_where_it_cannot_be_explained(asked: list[str], caplog: pytest.LogCaptureFixture):
    failure = AssertionError("not reached")

    with pytest.raises(AssertionError) as raised, zaza.explained("fc00::5"):
        raise failure

    assert raised.value is failure
    assert asked == ["icmp None fc00::5"]
    assert "cannot explain the failure" in caplog.text
    assert "the controller is gone" in caplog.text


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

    assert asked == ["icmp None a"] * 2


def test_what_pytest_fails_with_is_explained_too(asked: list[str]):
    with pytest.raises(pytest.fail.Exception), zaza.explained("a"):
        pytest.fail("not reached")

    assert asked == ["icmp None a"]


def test_failure_of_a_coroutine_is_explained(asked: list[str]):
    @zaza.explained("a")
    async def test() -> None:
        await asyncio.sleep(0)
        raise ValueError("original")

    with pytest.raises(ValueError, match="original"):
        asyncio.run(test())

    assert asked == ["icmp None a"]


def test_port_goes_with_the_protocol_of_the_suite(asked: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(options, "read", lambda: options.parse({"protocol": "tcp", "port": 9443}))

    zaza.explain("a")
    zaza.explain("a", port=443)
    zaza.explain("a", protocol="icmp")

    assert asked == ["tcp 9443 a", "tcp 443 a", "icmp None a"]


def test_each_failure_has_a_report_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
):
    async def trace(_: options.Options) -> tracing.Traced:
        why = ("plan-path failed: nobody",)
        return tracing.Traced(outcome.Outcomes(paths=(outcome.Outcome(source="s", destination="d", problems=why),)), ())

    monkeypatch.setattr(tracing, "trace", trace)
    monkeypatch.setenv("OVS_PATHFINDER_LOG_DIR", str(tmp_path))

    assert [zaza.explain("fc00::5") for _ in range(2)] == [
        tmp_path / "unreached-fc00__5.html",
        tmp_path / "unreached-fc00__5-2.html",
    ]
    assert "plan-path failed: nobody" in (tmp_path / "unreached-fc00__5.txt").read_text()

    caplog.clear()
    monkeypatch.setenv("OVS_PATHFINDER_LOG_DIR", str(tmp_path / "unreached-fc00__5.txt"))

    assert zaza.explain("fc00::5") is None
    assert "plan-path failed: nobody" in caplog.text, "what was found is told where it cannot be written"
    assert "reports cannot be written into" in caplog.text
