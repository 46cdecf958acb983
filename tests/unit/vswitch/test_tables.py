import pytest

from ovs_pathfinder.vswitch import tables


@pytest.mark.parametrize(
    ("bridge", "numbers"),
    [("br-int", (0, 1, 2, 3, 4, 23, 77, 78, 94)), ("br-tun", (0, 1, 2, 9, 22, 222)), ("br-ex", (0, 1, 2, 3))],
)
def test_every_table_that_neutron_writes_has_a_name(bridge: str, numbers: tuple[int, ...]) -> None:
    assert all(tables.name(bridge, one) for one in numbers)


@pytest.mark.parametrize(("bridge", "number"), [("br-int", 35), ("br-tun", 40), ("br-ex", 4), ("tbr-2e9b4c11-6", 0)])
def test_no_other_table_has_one(bridge: str, number: int) -> None:
    assert tables.name(bridge, number) == ""
