from typing import Any

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import diagnose, verdict
from ovs_pathfinder.evidence import record
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World

NETWORK, OTHER = 753, 999
SIDES: dict[path.Direction, tuple[path.Role, path.Point, str]] = {
    "forward": ("source", "destination-underlay", "source-br-tun"),
    "reply": ("destination", "source-underlay", "destination-br-tun"),
}


def judged(direction: path.Direction, borne: tuple[int, ...], traced: record.Outcome) -> verdict.Diagnosis:
    """Lose all packets of a direction in the switch that they come to by a tunnel."""
    sender, point, _ = SIDES[direction]
    other: path.Direction = "reply" if direction == "forward" else "forward"
    keys: dict[str, Any] = {f"{direction}_tunnel_keys": borne, f"{other}_tunnel_keys": (NETWORK,)}
    trace = build.trace(direction, traced, *build.OUT, outputs=("the tunnel to 172.20.0.209 with key 0x3e7",))
    made = World(
        lost_after={(direction, point): 5},
        traces={(sender, direction): trace},
        observations={point: keys},
    )
    return diagnose.diagnose(made.plan, made.run())


@pytest.mark.parametrize("direction", ["forward", "reply"])
def test_a_sender_that_sets_another_key_is_named_with_its_flow(direction: path.Direction) -> None:
    found = judged(direction, (OTHER,), "misdirected")

    assert (found.code, found.certainty) == ("forwarding-entry-wrong", "proven")
    assert (found.hop, found.direction) == (SIDES[direction][2], direction)
    assert "with key 0x3e7" in found.summary
    assert "br-tun table 20, priority 2" in found.summary
    assert "0x2f1" in found.findings[0].evidence[1]


def test_a_key_that_no_flow_shows_to_be_set_is_likely() -> None:
    assert judged("forward", (OTHER,), "forwarded").certainty == "likely"


@pytest.mark.parametrize("borne", [(), (NETWORK,), (NETWORK, OTHER)])
def test_packets_with_the_network_s_key_leave_the_sender_alone(borne: tuple[int, ...]) -> None:
    assert judged("forward", borne, "forwarded").hop == "destination-br-int"
