"""Known bugs are named where their version, their effect and their log agree, and not on a version's word alone."""

from typing import Any

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import bugs, diagnose, verdict
from ovs_pathfinder.evidence import record
from ovs_pathfinder.vswitch import defects, trace
from tests.unit import recorded
from tests.unit.diagnosis import build
from tests.unit.diagnosis.build import World

LOGGED = (
    "2022-03-14T10:15:12.123Z|00042|ofproto_dpif_xlate(handler1)|WARN|over max translation depth 64 on bridge br-int "
    "while processing icmp6,…",
)


def tracked(outcome: record.Outcome = "failed") -> record.Trace:
    """Return the real trace of the walk through table 71, of Open vSwitch 2.16.0."""
    found = trace.parse(recorded.text("versions/2.16.0.trace.tracked.txt"))
    steps = tuple(
        record.Step(bridge=one.bridge, table=one.table, priority=one.priority, match=one.match) for one in found.steps
    )
    made = build.trace("forward", outcome, reason=found.failure, state="new")
    return made.model_copy(update={"steps": steps})


def world(
    version: str,
    *,
    log: tuple[str, ...] = LOGGED,
    log_unread: str = "",
    lost: int = 5,
    outcome: record.Outcome = "failed",
) -> World:
    traces = (build.trace("forward", "forwarded", *build.OUT, stuck_at=2), tracked(outcome))
    return World(
        lost_after={("forward", "source-port"): lost},
        source={"ovs_version": version, "traces": traces, "log": log, "log_unread": log_unread},
    )


def diagnosis(what: World) -> verdict.Diagnosis:
    return diagnose.diagnose(what.plan, what.run())


@pytest.mark.parametrize("version", ["2.13.7", "2.16.0", "2.16.3", "2.17.1"])
def test_ct_clear_that_is_skipped_is_named(version: str) -> None:
    found = diagnosis(world(version))

    assert (found.code, found.hop, found.direction) == ("switch-known-bug", "source-br-int", "forward")
    assert found.certainty == "proven"
    assert "2.16.4" in found.summary
    quoted = "\n".join(found.findings[0].evidence)
    assert "br-int 71 (64 times)" in quoted or "times)" in quoted
    assert "over max translation depth 64" in quoted


def test_without_its_line_in_the_log_it_is_only_likely() -> None:
    found = diagnosis(world("2.16.0", log=()))

    assert (found.code, found.certainty) == ("switch-known-bug", "likely")
    assert "has not logged 'over max translation depth'" in " ".join(found.findings[0].against)


def test_a_log_that_could_not_be_read_is_not_said_to_lack_a_line() -> None:
    unread = diagnosis(world("2.16.0", log=(), log_unread="ovs-vswitchd.log could not be read: Permission denied"))

    assert unread.certainty == "likely"
    assert "is not known: ovs-vswitchd.log could not be read" in " ".join(unread.findings[0].against)


@pytest.mark.parametrize("version", ["2.16.4", "3.1.0", "", "2.16.0-rc"])
def test_another_version_is_not_blamed_for_it(version: str) -> None:
    found = diagnosis(world(version if version != "2.16.0-rc" else "unknown"))

    assert (found.code, found.certainty) == ("switch-disobeys", "likely")
    assert "if the host's own conntrack calls them new" in found.summary


def test_version_alone_accuses_nobody() -> None:
    assert diagnosis(world("2.16.0", lost=0)).code == "path-ok"
    assert diagnosis(world("2.16.0", outcome="forwarded")).code == "switch-disobeys"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("could not add network device gre-ac1400d1 to ofproto (File exists)", "the same two ends"),
        ("gre-ac1400d1: unknown packet_type 'legacy'", "packet_type=legacy"),
    ],
)
def test_tunnel_port_that_the_switch_refuses_is_explained(error: str, words: str) -> None:
    what = World(
        lost_after={("forward", "source-port"): 5},
        traces={("source", "forward"): build.trace("forward", "dropped", *build.OUT)},
        source={"tunnel_error": error, "ovs_version": "3.1.0"},
    )

    found = diagnosis(what)

    assert (found.code, found.hop, found.certainty) == ("switch-known-bug", "source-br-tun", "proven")
    assert words in found.summary


def test_tunnel_port_that_is_refused_for_another_reason_is_as_good_as_missing() -> None:
    what = World(
        lost_after={("forward", "source-port"): 5},
        traces={("source", "forward"): build.trace("forward", "dropped", *build.OUT)},
        source={"tunnel_error": "gre-ac1400d1: could not set configuration (Invalid argument)"},
    )

    found = diagnosis(what)

    assert (found.code, found.hop) == ("tunnel-missing", "source-br-tun")
    assert "Invalid argument" in found.summary


def test_every_known_bug_says_where_it_is_described() -> None:
    assert len({bug.id for bug, _ in bugs.KNOWN}) == len(bugs.KNOWN)
    assert all(bug.sources and bug.fix.endswith(".") and bug.logged for bug, _ in bugs.KNOWN)


MISSING_FLOOD = build.trace("forward", "dropped", "br-int 0 0", "br-tun 0 1", "br-tun 22 0")


@pytest.mark.parametrize(
    ("version", "is_named"),
    [("2:21.0.0-7+deb12u1", True), ("2:27.0.4-0ubuntu1", True), ("2:28.0.0-0ubuntu1", False), ("", False)],
)
def test_bugs_of_the_agent_are_something_to_look_at_and_accuse_nobody(version: str, is_named: bool) -> None:
    lost: dict[build.Station, int] = {("forward", "source-port"): 5}
    traces: dict[tuple[path.Role, path.Direction], record.Trace] = {("source", "forward"): MISSING_FLOOD}

    found = diagnosis(World(lost_after=lost, traces=traces, source={"agent_version": version}))

    assert (found.code, found.hop) == ("forwarding-entry-wrong", "source-br-tun")
    assert ("1978088" in " ".join(found.findings[0].next)) is is_named
    assert "1978088" not in " ".join((found.summary, *found.findings[0].evidence))


@pytest.mark.parametrize(
    ("id_", "version", "affected"),
    [
        ("neutron-conj-id-reused", "2:16.4.2-0ubuntu6", True),
        ("neutron-conj-id-reused", "2:18.1.0-0ubuntu1", True),
        ("neutron-conj-id-reused", "2:18.2.0-0ubuntu1", False),
        ("neutron-conj-id-reused", "20.0.0", False),
        ("neutron-group-removed-in-use", "2:25.2.0-0ubuntu1", True),
        ("neutron-group-removed-in-use", "2:27.0.0-0ubuntu1", False),
        ("neutron-conntrack-cleaned-early", "2:25.2.3-0ubuntu1", True),
        ("neutron-conntrack-cleaned-early", "2:29.0.0-0ubuntu1", False),
        ("neutron-conj-flows-lost", "git-1234", False),
    ],
)
def test_releases_of_the_agent_are_compared_within_their_series(id_: str, version: str, affected: bool) -> None:
    (bug,) = (one for one in defects.AGENTS if one.id == id_)

    assert bug.affects(version) is affected


def test_an_empty_bridge_is_told_as_one_and_no_bug_of_the_agent_is_hinted_at() -> None:
    lost: dict[build.Station, int] = {("forward", "source-port"): 5}
    traces: dict[tuple[path.Role, path.Direction], record.Trace] = {
        ("source", "forward"): build.trace("forward", "dropped", "br-int 0 -")
    }
    host: dict[str, Any] = {"agent_version": "2:24.0.0-1", "agent_cookies": {}}

    empty = diagnosis(World(lost_after=lost, traces=traces, source={**host, "empty_bridges": ("br-int",)}))
    other = diagnosis(World(lost_after=lost, traces=traces, source=host))

    assert (empty.code, empty.hop, empty.certainty) == ("flows-missing", "source-br-int", "proven")
    assert "br-int has no flows at all" in empty.summary
    assert not any("known bug" in line for line in empty.findings[0].next)
    assert "no flow matches there" in other.summary
    assert any("known bug" in line for line in other.findings[0].next)
