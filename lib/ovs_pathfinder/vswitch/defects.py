"""Defects of Open vSwitch that change what becomes of a packet, by version."""

import re

_CT_CLEAR = {
    (2, 13): (7, 8),
    (2, 14): (5, 6),
    (2, 15): (4, 5),
    (2, 16): (0, 4),
    (2, 17): (0, 2),
}
"""From which patch release of a series on, and until which: commit 355fef6f2ccb, undone by 88e3ae5d6f73."""


def skips_ct_clear(version: str) -> bool:
    """Say whether this version leaves out `ct_clear` for a packet that has not been recirculated.

    Such a packet stays tracked where the host's conntrack has seen it before the switch: Neutron's
    `table=71,priority=110,ct_state=+trk actions=ct_clear,resubmit(,71)` then goes round in a circle.
    """
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if found is None:
        return False
    major, minor, patch = (int(part) for part in found.groups())
    first, fixed = _CT_CLEAR.get((major, minor), (0, 0))
    return first <= patch < fixed
