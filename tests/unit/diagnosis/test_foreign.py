from typing import Any

import pytest

from ovs_pathfinder.diagnosis import diagnose, verdict
from ovs_pathfinder.evidence import record
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World

ELSEWHERE = "fa:16:3e:00:00:99"
ANTI_SPOOFING = ("br-int 0 200 in_port=3", "br-int 60 100 in_port=3", "br-int 71 10 reg5=0x3", "br-int 93 0")
COOKIES = {"br-int": "0x69", "br-tun": "0x74"}


def judged(trace: record.Trace, station: build.Station = ("forward", "source-port"), **world: Any) -> verdict.Diagnosis:
    fields: dict[str, Any] = {
        "lost_after": {station: 5},
        "traces": {("source", "forward"): trace},
        "source": {"agent_cookies": COOKIES},
        **world,
    }
    made = World(**fields)
    return diagnose.diagnose(made.plan, made.run())


def foreign(outcome: record.Outcome, without: record.Outcome, *tables: str, **about: Any) -> record.Trace:
    """Make a trace whose first flow is somebody else's."""
    first, *others = build.steps(*(tables or ANTI_SPOOFING))
    met = first.model_copy(update={"cookie": "0xbad"})
    said = record.Without(
        flow=met, actions="A,goto_table:59", instead="priority=0 actions=goto_table:59", outcome=without
    )
    return build.trace("forward", outcome).model_copy(
        update={"steps": (met, *others), "without": said.model_copy(update=about)}
    )


def test_a_flow_without_which_the_packets_would_pass_is_the_cause() -> None:
    found = judged(foreign("dropped", "forwarded"))

    assert (found.code, found.certainty, found.hop) == ("foreign-flow", "proven", "source-br-int")
    assert "cookie 0xbad, actions=A,goto_table:59" in found.summary
    assert "dropped in table 71 of br-int" in found.summary


def test_a_flow_without_which_they_would_be_dropped_as_well_is_not() -> None:
    found = judged(foreign("dropped", "dropped"))

    assert (found.code, found.certainty) == ("source-address-wrong", "proven")


def test_of_a_flow_whose_absence_could_not_be_traced_nothing_is_proven_either_way() -> None:
    found = judged(foreign("dropped", "unknown", reason="whether the packet would meet conj_id=7 is not known"))

    assert (found.code, found.certainty) == ("source-address-wrong", "likely")
    assert "conj_id=7 is not known" in found.findings[0].against[-1]


def test_where_the_agent_s_cookie_is_not_known_no_flow_is_proven_to_be_the_cause() -> None:
    own = build.trace("forward", "dropped", *ANTI_SPOOFING)

    known, unknown = judged(own), judged(own, source={"agent_cookies": {"br-tun": "0x74"}})

    assert (known.code, known.certainty) == ("source-address-wrong", "proven")
    assert (unknown.code, unknown.certainty) == ("source-address-wrong", "likely")
    assert "The agent's cookie on br-int is not known" in unknown.findings[0].against[-1]


@pytest.mark.parametrize("owner", ["perhaps-agent", "charm"])
def test_a_flow_that_may_be_the_agent_s_or_is_the_charm_s_is_never_proven_to_be_foreign(owner: str) -> None:
    found = judged(foreign("dropped", "forwarded", owner=owner))

    assert (found.code, found.certainty) == ("foreign-flow", "likely")
    assert found.findings[0].against


def test_a_flow_of_others_on_a_path_that_works_is_no_accusation() -> None:
    assert judged(foreign("dropped", "forwarded"), lost_after={}).code == "path-ok"


@pytest.mark.parametrize(("seen", "certainty"), [(ELSEWHERE, "proven"), (build.DESTINATION_MAC, "likely")])
def test_packets_that_a_flow_readdresses_are_not_the_guest_s_fault(seen: str, certainty: str) -> None:
    trace = foreign("flooded", "forwarded", *build.OUT, rewritten=(f"set(eth(dst={ELSEWHERE}))",))
    found = judged(
        trace,
        ("forward", "destination-port"),
        observations={"destination-port": {"forward_destination_mac": seen}},
    )

    assert (found.code, found.certainty, found.hop) == ("foreign-flow", certainty, "source-br-int")
    assert ELSEWHERE in found.summary


def test_a_flow_that_readdresses_behind_the_loss_is_not_its_cause() -> None:
    trace = foreign("forwarded", "forwarded", *build.IN, rewritten=(f"set(eth(dst={ELSEWHERE}))",))
    found = judged(trace, traces={("destination", "forward"): trace})

    assert found.code == "switch-disobeys"
