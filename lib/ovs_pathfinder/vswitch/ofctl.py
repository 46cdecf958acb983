"""ovs-ofctl(8): the one place where its calls are put together, so that each bridge is asked in a version it speaks."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .. import process

if TYPE_CHECKING:
    from typing_extensions import LiteralString

VERSIONS: Final = "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15"
"""What is offered to a bridge: the highest of these that its `protocols` allow is spoken. Without an offer ovs-ofctl
speaks 1.0 alone, which a bridge need not. Groups came with 1.1, meters with 1.3."""
BUNDLING: Final = "OpenFlow13,OpenFlow14,OpenFlow15"
"""Those that can add flows all or none: bundles are of 1.4, and an extension of 1.3 (ONF EXT-230)."""
_NAME = re.compile(r"[^\s:/]+")
"""A bridge, and neither a socket nor an address to connect to; Open vSwitch takes no bridge with such a name."""


def command(
    bridge: str,
    asked: "Sequence[LiteralString]",
    *operands: str,
    names: bool = False,
    patience: int = 0,
    versions: "LiteralString" = "",
) -> process.Command:
    """Return a call about a bridge, for `process`.

    Args:
        bridge: The bridge.
        asked: What is asked of it, such as `["dump-flows"]`.
        operands: What follows the bridge.
        names: Whether ports may be named, which costs one more question to the switch. None are printed into a pipe.
        patience: Seconds after which ovs-ofctl itself gives up; 0 for never.
        versions: Those that are offered; all by default.

    Raises:
        NotRunError: That is no name of a bridge.
    """
    found = process.Command([*_head(patience, versions or VERSIONS, names=names), *asked], bridge, *operands)
    if not is_name(bridge):
        raise process.NotRunError(found.words, f"{bridge[:80]!r} cannot be the name of a bridge")
    return found


def offline(asked: "Sequence[LiteralString]", *, patience: int) -> process.Command:
    """Return a call that asks no bridge: what ovs-ofctl itself makes of flows that are to be added."""
    return process.Command([*_head(patience, BUNDLING, names=False), *asked])


def is_name(bridge: str) -> bool:
    """Return whether ovs-ofctl takes a text for the name of a bridge, and for nothing else."""
    return _NAME.fullmatch(bridge) is not None


def _head(patience: int, versions: "LiteralString", *, names: bool) -> "Sequence[process.Word]":
    limit: Sequence[process.Word] = [("--timeout=", patience)] if patience else []
    return ["ovs-ofctl", *limit, *([] if names else ["--no-names"]), "-O", versions]
