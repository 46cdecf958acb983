import pytest

from ovs_pathfinder.vswitch import defects


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("2.13.6", False),
        ("2.13.7", True),
        ("2.13.8", False),
        ("2.14.5", True),
        ("2.15.4", True),
        ("2.15.3", False),
        ("2.16.0", True),
        ("2.16.3", True),
        ("2.16.4", False),
        ("2.17.0", True),
        ("2.17.1", True),
        ("2.17.2", False),
        ("2.17.9", False),
        ("3.0.0", False),
        ("3.3.0", False),
        ("2.16.90", False),
        ("", False),
        ("unknown", False),
    ],
)
def test_versions_that_skip_ct_clear_are_known(version: str, has: bool) -> None:
    assert defects.CT_CLEAR.affects(version) == has
