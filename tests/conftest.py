"""Fixtures for tests that need a lab: two hosts with real switches in network namespaces."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest

from tests.lab import hosts

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

StartLab = Callable[..., hosts.Lab]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how often the kill test has killed."""
    passed: list[pytest.TestReport] = terminalreporter.getreports("passed")
    told = [str(value) for report in passed for name, value in report.user_properties if name == "kill test"]
    if told:
        terminalreporter.section("kill test")
        for line in told:
            terminalreporter.line(line)
        terminalreporter.line(f"{sum(int(line.split()[0]) for line in told)} kills in all")


@pytest.fixture(scope="session")
def lab_support() -> None:
    """Skip where no lab can run; fail instead in CI, where one must."""
    reason = hosts.missing()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture
def start_lab(lab_support: None) -> Iterator[StartLab]:
    """Start labs of any shape, each warm and healthy; they end with the test."""
    with contextlib.ExitStack() as labs:

        def start(**options: Any) -> hosts.Lab:
            lab = labs.enter_context(hosts.Lab.start(**options))
            lab.warm_up()
            return lab

        yield start


@pytest.fixture
def lab(start_lab: StartLab) -> hosts.Lab:
    """Start a healthy lab: GRE, IPv6, l2population."""
    return start_lab()
