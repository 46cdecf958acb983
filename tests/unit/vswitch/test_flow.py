import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder.vswitch import flow
from tests.unit import recorded


@pytest.mark.parametrize("name", recorded.files("**/*.br-*.flows*.txt"))
def test_all_of_a_recorded_dump_is_understood(name: str) -> None:
    lines = [line for line in recorded.text(name).splitlines() if "actions=" in line]

    found = [flow.parse(line) for line in lines]

    assert lines
    for line, one in zip(lines, found, strict=True):
        assert one is not None
        assert f"priority={one.priority}" in line
        assert one.cookie in line
        assert one.actions
        assert line.endswith(one.actions)
        assert one.match in line
        assert "priority" not in one.match
        assert "n_packets" not in one.match


def test_versions_of_the_protocol_agree_on_all_but_actions() -> None:
    def identities(name: str) -> set[tuple[int, int, str, str]]:
        parsed = (flow.parse(line) for line in recorded.text(name).splitlines())
        return {(one.table, one.priority, one.cookie, one.match) for one in parsed if one is not None}

    for bridge in ("octavia.br-int", "octavia.br-tun", "compute.br-int"):
        old = identities(f"healthy-gre-l2pop/{bridge}.flows.txt")
        assert old == identities(f"healthy-gre-l2pop/{bridge}.flows-of13.txt")
        assert old == identities(f"healthy-gre-l2pop/{bridge}.flows-no-stats.txt")


@pytest.mark.parametrize("line", ["", "NXST_FLOW reply (xid=0x4):", "OFPST_FLOW reply (OF1.3) (xid=0x2):"])
def test_what_is_no_flow(line: str) -> None:
    assert flow.parse(line) is None


def test_flags_and_timeouts_are_no_matches() -> None:
    one = flow.parse(
        " cookie=0x1, duration=1.0s, table=7, n_packets=4, n_bytes=3, idle_timeout=5, hard_timeout=60, idle_age=1, "
        "hard_age=2, send_flow_rem reset_counts check_overlap importance=3, priority=9,ip,nw_src=10.0.0.0/24 "
        "actions=learn(table=20,priority=1),output:2"
    )

    assert one is not None
    assert (one.table, one.priority, one.match, one.packets) == (7, 9, "ip,nw_src=10.0.0.0/24", 4)
    assert one.actions == "learn(table=20,priority=1),output:2"


@given(st.text(max_size=80) | st.text(alphabet="table=priority,cookie 0x1 actions", max_size=80))
def test_no_text_makes_it_fail(text: str) -> None:
    found = flow.parse(text)
    assert found is None or found.raw == text.strip()


@pytest.mark.parametrize(
    "line", ["table=first, priority=1 actions=drop", "table=1, n_packets=x, priority=1 actions=drop"]
)
def test_a_number_that_is_none_is_no_flow(line: str) -> None:
    assert flow.parse(line) is None
