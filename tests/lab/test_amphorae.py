"""list-amphorae beside the lab's Octavia, from its cloud and its host."""

import pytest

from tests import conftest
from tests.lab import asking, topology

pytestmark = pytest.mark.lab


def test_the_labs_amphorae_are_listed_with_their_hosts(start_lab: conftest.StartLab) -> None:
    lab = start_lab(guests=2)

    asked = asking.ask(lab, "octavia", "amphorae", cloud=True)

    rows = {one["id"]: one for one in asked.answer["amphorae"]}
    assert set(rows) == {topology.GUEST.amphora, topology.GUEST2.amphora}
    assert {one["unit"] for one in rows.values()} == {"ovs-pathfinder/1"}
    assert rows[topology.GUEST.amphora]["management_address"] == topology.GUEST.address6
