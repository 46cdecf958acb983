"""A flow is found in a table of any size without that being held in memory."""

import tracemalloc
from collections.abc import Generator

import pytest

from ovs_pathfinder.vswitch import flow
from tests.unit.vswitch import private

pytestmark = pytest.mark.skipif(bool(private.missing()), reason=private.missing())
MANY = 20_000


@pytest.fixture(scope="module")
def _switch() -> Generator[None]:
    with private.running():
        private.call("ovs-vsctl", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=dummy")
        private.call("ovs-ofctl", "del-flows", "br-int")
        lines = [
            f"cookie=0xa,table=0,priority=9,ip,nw_dst=10.0.{one >> 8}.{one & 255},actions=drop" for one in range(MANY)
        ]
        lines += ["cookie=0xa,table=0,priority=0,actions=drop", "table=0,priority=32768,arp,actions=drop"]
        private.call("ovs-ofctl", "add-flows", "br-int", "-", stdin="\n".join(lines) + "\n")
        yield


@pytest.mark.usefixtures("_switch")
@pytest.mark.parametrize("cookie", ["", "0xa", "0xb"])
def test_flow_that_matches_everything_is_found_by_its_cookie_and_nothing_is_held(cookie: str):
    tracemalloc.start()
    found = flow.find("br-int", 0, 0, "", cookie)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (found is not None) is (cookie != "0xb")
    assert most < 8 * 2**20


@pytest.mark.usefixtures("_switch")
def test_priorities_of_a_large_table():
    assert flow.priorities("br-int", 0) == {0, 9, 32768}
