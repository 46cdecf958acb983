"""While Open vSwitch waits for flows to be restored, nothing is changed that it would not act on."""

from collections.abc import Generator

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.temporary import flows, mirror, rule
from tests.unit.vswitch import private

pytestmark = pytest.mark.skipif(bool(private.missing()), reason=private.missing())
WAIT = "other_config:flow-restore-wait=true"


@pytest.fixture(scope="module")
def _switch() -> Generator[None]:
    with private.running():
        private.call("ovs-vsctl", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=dummy")
        private.call("ovs-vsctl", "--no-wait", "set", "Open_vSwitch", ".", WAIT)
        yield


@pytest.mark.usefixtures("_switch")
def test_flows_are_refused_before_any_is_added():
    wanted = rule.parse("table=0,priority=7,icmp6,actions=NORMAL")

    with pytest.raises(errors.PathfinderError, match=r"flow-restore-wait is set, and .* so nothing is changed"):
        flows.Flows(bridge="br-int", cookie=flows.new_cookie(), rules=wanted).check()


@pytest.mark.usefixtures("_switch")
def test_mirrors_are_refused():
    with pytest.raises(errors.PathfinderError, match=r"flow-restore-wait is set, and .* so nothing is changed"):
        mirror.new("br-int", "br-int").check()
