"""Whose a flow is, by its cookie, where that is not the one of Neutron's agent on its bridge."""

from typing import Literal

CHARM_MARK = 0x6F7066
"""How the cookies of this charm's own flows begin: `opf` in ASCII, then 40 bits drawn by lot."""
_TYPED = 1 << 32
"""Of all numbers of 64 bits, one in four thousand millions is smaller."""

Owner = Literal["other", "perhaps-agent", "charm"]
"""Somebody else's; perhaps the agent's all the same, as its extensions have cookies of their own and flows of before
its restart an old one; this charm's, for a time."""


def owner(cookie: str) -> Owner:
    """Say whose a flow is that does not have the agent's cookie.

    Neutron draws its cookies from all numbers of 64 bits (`generate_random_cookie` in `ovs_lib.py`), one for the agent
    and one for each of its extensions (`OVSCookieBridge`). What a person types is small.
    """
    number = int(cookie, 16)
    if number >> 40 == CHARM_MARK:
        return "charm"
    return "other" if number < _TYPED else "perhaps-agent"
