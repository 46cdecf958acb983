import pytest

from ovs_pathfinder.vswitch import cookie


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("0x0", "other"),
        ("0xbad", "other"),
        ("0x6f70661234567890", "charm"),
        ("0x2cb0eb9fa89e0", "perhaps-agent"),
        ("0xd2523cc3be57e730", "perhaps-agent"),
    ],
)
def test_a_cookie_says_whose_a_flow_may_be(text: str, owner: cookie.Owner) -> None:
    assert cookie.owner(text) == owner
