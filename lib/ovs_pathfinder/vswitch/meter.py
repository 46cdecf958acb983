"""Meters: rate limits of OpenFlow 1.3 (`ovs-ofctl dump-meters`, `meter-stats`, ovs-ofctl(8)).

Neutron's packet rate limits are such, in br-int's tables of limits, before the one that tells the ports apart.
"""

import re
from typing import TYPE_CHECKING

from .. import path, process
from . import ofctl

if TYPE_CHECKING:
    from typing_extensions import LiteralString

_BAND = re.compile(r"^\s*\d+:\s*packet_count:(\d+)", re.MULTILINE)
_COUNTED = re.compile(r"^meter[:=]\d+ ", re.MULTILINE)


class Meter(path.Model):
    """One meter of a bridge."""

    bridge: str
    number: int
    setting: str = ""
    """Its unit and bands, as `dump-meters` prints them: `pktps bands= type=drop rate=2`."""
    exceeded: int | None = None
    """Packets that were above the rate of a band, and that a band of type drop has dropped; None where not known."""


def read(bridge: str, number: int) -> Meter:
    """Return a meter as it stands; what the switch does not say is left out."""
    return Meter(
        bridge=bridge,
        number=number,
        setting=_setting(_ask("dump-meters", bridge, number)),
        exceeded=parse_stats(_ask("meter-stats", bridge, number)),
    )


def parse_stats(text: str) -> int | None:
    """Read `meter-stats` of one meter: the packets of all of its bands."""
    if not _COUNTED.search(text):
        return None
    return sum(int(count) for count in _BAND.findall(text))


def _setting(text: str) -> str:
    _, found, rest = text.partition("meter=")
    return " ".join(rest.split()).partition(" ")[2] if found else ""


def _ask(what: "LiteralString", bridge: str, number: int) -> str:
    try:
        return process.run(ofctl.command(bridge, [what], f"meter={number}"))
    except process.ProcessError:
        return ""
