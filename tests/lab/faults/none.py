"""Nothing is wrong."""

from .. import hosts
from . import Truth

TRUTH = Truth("ok", "path-ok", one_host=True, bond=True)


def inject(lab: hosts.Lab) -> None:
    """Leave the lab as it is."""
