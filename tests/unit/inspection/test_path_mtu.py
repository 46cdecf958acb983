"""The search for the largest packet: few sizes are tried, and the answer says what limits it."""

from typing import Literal

import pytest

from ovs_pathfinder.inspection import path_mtu


@pytest.mark.parametrize("limit", [16, 17, 1000, 1322, 1430, 8952])
@pytest.mark.parametrize("tells", [True, False])
def test_the_search_finds_the_largest_that_passes(limit: int, tells: bool) -> None:
    sizes: list[int] = []

    def ask(size: int) -> path_mtu.Reply:
        sizes.append(size)
        return path_mtu.Reply(passed=size <= limit, mtu=limit + 28 if tells and size > limit else None, pings=3)

    best, reported = path_mtu.search(ask, 16, 8952, 28)

    assert best == limit
    assert reported == (limit + 28 if tells and limit < 8952 else None)
    assert len(sizes) <= (2 if tells else 15)


def test_the_search_says_that_nothing_passes_and_ends_though_errors_lie() -> None:
    sizes: list[int] = []

    def ask(size: int) -> path_mtu.Reply:
        sizes.append(size)
        return path_mtu.Reply(passed=False, mtu=size + 28 - 1, pings=3)

    assert path_mtu.search(ask, 16, 8952, 28)[0] is None
    assert len(sizes) <= 16


@pytest.mark.parametrize(
    ("limit", "network", "tells", "mtu", "words"),
    [
        (1450, 1450, False, 1450, "has 1450 bytes (1402 of payload), which is the network's MTU."),
        (1500, 0, False, 1500, "has 1500 bytes (1452 of payload), which is the device's MTU."),
        (1500, 1450, False, 1500, "has 1500 bytes (1452 of payload), more than the network's MTU."),
        (1400, 0, False, 1400, "less than the device's MTU of 1500, and larger ones are lost without a word."),
        (1400, 1450, True, 1400, "less than the network's MTU of 1450, and an error named 1400."),
        (0, 1450, False, None, "No packet that must not be fragmented was answered."),
    ],
)
def test_the_sentence_says_what_limits_it(limit: int, network: int, tells: bool, mtu: int | None, words: str) -> None:
    sizes: list[int] = []

    def ask(size: int) -> path_mtu.Reply:
        sizes.append(size)
        passed = size + 48 <= limit
        return path_mtu.Reply(passed=passed, mtu=limit if tells and not passed else None, pings=3)

    found = path_mtu.find(ask, ip_version=6, device=1500, network=network)

    assert found.mtu == mtu
    assert found.text.endswith(words)
    assert found.pings == 3 * len(sizes)
    assert found.reported == (limit if tells else None)


@pytest.mark.parametrize(("ip_version", "payload"), [(4, 1472), (6, 1452)])
def test_the_largest_that_the_device_takes_is_tried_first(ip_version: Literal[4, 6], payload: int) -> None:
    sizes: list[int] = []

    def ask(size: int) -> path_mtu.Reply:
        sizes.append(size)
        return path_mtu.Reply(passed=True, pings=3)

    found = path_mtu.find(ask, ip_version=ip_version, device=1500, network=1450)

    assert sizes == [payload]
    assert (found.largest, found.mtu, found.expected, found.expected_of) == (payload, 1500, 1450, "network")
