"""A port that is open, closed, filtered or unreachable is told apart."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import asking, hosts, topology

pytestmark = pytest.mark.lab

BEYOND = "198.51.100.7"


@pytest.fixture(scope="module")
def quiet_lab(lab_support: None) -> Iterator[hosts.Lab]:
    """Start a healthy lab without heartbeats, which tests share that leave it as it was."""
    with hosts.Lab.start(cloud=False, heartbeats=False) as lab:
        lab.warm_up()
        yield lab


def outcomes(asked: asking.Asked) -> list[str]:
    return [one["outcome"] for one in asked.answer["attempts"]]


def test_each_outcome_is_told_with_what_it_means(quiet_lab: hosts.Lab) -> None:
    lab = quiet_lab
    guest = topology.GUEST
    questions: dict[str, dict[str, Any]] = {
        "open": {"destination": guest.address4, "port": topology.API_PORT},
        "closed": {"destination": guest.address6, "port": 22},
        "filtered": {"destination": guest.address6, "port": 80, "count": 2},
        "datagram": {"destination": guest.address6, "port": 5555, "protocol": "udp", "count": 1},
        "no listener": {"destination": topology.CONTROL_ADDRESS, "port": 9, "protocol": "udp"},
    }

    asking_ = {name: asking.Asking(lab, "octavia", "service", None, **question) for name, question in questions.items()}
    found = {name: one.result() for name, one in asking_.items()}

    assert outcomes(found["open"]) == ["connected"] * 3
    assert all(one["milliseconds"] > 0 for one in found["open"].answer["attempts"])
    assert outcomes(found["closed"]) == ["refused"] * 3
    assert "nothing listens" in found["closed"].summary
    assert "a reset (RST) came back" in found["closed"].summary
    assert outcomes(found["filtered"]) == ["silent"] * 2
    assert "A filter drops the packets or their answers" in found["filtered"].summary
    assert outcomes(found["datagram"]) == ["silent"]
    assert "This says little" in found["datagram"].summary
    assert outcomes(found["no listener"]) == ["refused"] * 3
    assert f"{topology.CONTROL_ADDRESS} says 'port unreachable'" in found["no listener"].summary
    assert {found[name].answer["device"] for name in questions} == {"o-hm0", "eth0"}
    assert "this host's route" in found["no listener"].answer["why"]


def test_a_router_that_refuses_is_named_and_so_is_a_neighbour_that_is_silent(quiet_lab: hosts.Lab) -> None:
    lab = quiet_lab
    lab.control.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    lab.control.run("ip", "route", "replace", "prohibit", f"{BEYOND}/32")
    lab.source.run("ip", "route", "replace", f"{BEYOND}/32", "via", topology.CONTROL_ADDRESS)
    nobody = str(topology.PREFIX4).replace("0/24", "99")

    refused = asking.Asking(lab, "octavia", "service", None, destination=BEYOND, port=80, count=1)
    silent = asking.Asking(lab, "octavia", "service", None, destination=nobody, port=80, count=1)
    first, second = refused.result(), silent.result()

    (attempt,) = first.answer["attempts"]
    assert (attempt["outcome"], attempt["message"], attempt["sender"]) == (
        "unreachable",
        "administratively prohibited",
        topology.CONTROL_ADDRESS,
    )
    assert first.answer["neighbour"] == topology.CONTROL_ADDRESS
    assert "did not tell its MAC address" in second.summary
    assert "this says nothing about the port" in second.summary
