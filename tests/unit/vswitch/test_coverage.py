import pytest

from ovs_pathfinder.vswitch import coverage

SHOWN = """\
Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=fa489b59:
xlate_actions              0.0/sec     0.000/sec        0.0000/sec   total: 16
conntrack_full             0.0/sec     0.000/sec        0.0000/sec   total: 3
drop_action_of_pipeline    0.0/sec     0.000/sec        0.0000/sec   total: 4
netdev_push_header_drops   0.0/sec     0.000/sec        0.0000/sec   total: 5
dpif_execute_error         0.0/sec     0.000/sec        0.0000/sec   total: 6
dpif_execute               0.0/sec     0.000/sec        0.0000/sec   total: 60
miniflow_extract_ipv4_pkt_len_error   0.0/sec     0.000/sec        0.0000/sec   total: 7
111 events never hit
"""


def test_every_counter_of_lost_packets_is_read() -> None:
    assert coverage.parse(SHOWN) == {
        "conntrack_full": 3,
        "drop_action_of_pipeline": 4,
        "netdev_push_header_drops": 5,
        "dpif_execute_error": 6,
        "miniflow_extract_ipv4_pkt_len_error": 7,
    }


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("system@ovs-system:\n  lookups: hit:2 missed:2 lost:0\n  flows: 2\n", {"datapath_lookups_lost": 0}),
        (
            "one:\n  lookups: hit:2 missed:2 lost:8\ntwo:\n  lookups: hit:1 missed:0 lost:1\n",
            {"datapath_lookups_lost": 9},
        ),
        ("", {}),
    ],
)
def test_lookups_that_were_lost_are_read(text: str, lost: dict[str, int]) -> None:
    assert coverage.lost(text) == lost
