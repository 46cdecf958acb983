"""Two switches, or one at two times, compared by what their rules mean: `difference` and `settings` put together."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol

from . import difference, settings, snapshot, wording


class Kept(snapshot.Source, Protocol):
    """A source that can be read again."""

    def lines(self, wanted: Mapping[str, set[int]]) -> dict[tuple[str, int], bytes]:
        """Return flows by bridge and number, counted from 0 in each bridge."""
        ...


@dataclasses.dataclass
class Compared:
    """What was found."""

    settings: settings.Compared
    bridges: list[difference.Bridge] = dataclasses.field(default_factory=lambda: list[difference.Bridge]())
    """Those that both have, by name."""
    changes: list[difference.Change] = dataclasses.field(default_factory=lambda: list[difference.Change]())
    lonely: dict[str, int] = dataclasses.field(default_factory=lambda: dict[str, int]())
    """How many flows there are on each bridge that only one has."""
    unread: dict[str, str] = dataclasses.field(default_factory=lambda: dict[str, str]())
    """Why the flows of a bridge could not be compared."""


def compare(
    before: Kept, after: snapshot.Source, *, own: bytes = b"", log: Callable[[str], None] = lambda said: None
) -> Compared:
    """Read both, a chunk at a time, the earlier one first.

    Args:
        before: The earlier one.
        after: The later one.
        own: How the cookies of temporary flows of ours begin, such as `0x6f7066`.
        log: Is told of each bridge.

    Raises:
        PathfinderError: One of them cannot be read.
    """
    found = Compared(settings.compare(before.switch, after.switch))
    both = {one.name for one in before.switch.bridges} & {one.name for one in after.switch.bridges}
    compared = {
        name: difference.Bridge(name, wording.names(before.switch, name), wording.names(after.switch, name), own=own)
        for name in sorted(both)
    }
    for source, is_later in ((before, False), (after, True)):
        for about, chunks in source.flows():
            bridge = compared.get(about.bridge)
            if is_later:
                log(f"comparing the flows of {about.bridge}")
            for chunk in chunks:
                if bridge is None:
                    found.lonely[about.bridge] = found.lonely.get(about.bridge, 0) + chunk.count(b"\n")
                elif is_later:
                    bridge.add_after(chunk)
                else:
                    bridge.add_before(chunk)
            if bridge is not None:
                (bridge.after if is_later else bridge.before).openflow = about.openflow
            if about.error:
                found.unread[about.bridge] = about.error
    for name in list(compared):
        _finish(found, compared.pop(name), before)
    return found


def _finish(found: Compared, bridge: difference.Bridge, before: Kept) -> None:
    if bridge.name in found.unread:
        return
    found.bridges.append(bridge)
    pairs = bridge.finish()
    wanted = {number for number, _ in pairs if number is not None}
    lines = before.lines({bridge.name: wanted}) if wanted else {}
    found.changes += [
        difference.Change(bridge.name, b"" if number is None else lines[bridge.name, number], line)
        for number, line in pairs
    ]
