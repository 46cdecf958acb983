"""Units take turns: Juju runs one action at a time on a unit, so a second one would wait, and its time would run."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator


@dataclasses.dataclass
class Turns:
    """Which units are being asked, and who waits for them, in the order in which they came."""

    aliases: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    """Which unit a name such as `APPLICATION/leader` stands for."""
    _busy: set[str] = dataclasses.field(default_factory=set[str])
    _waiting: "list[tuple[frozenset[str], asyncio.Future[None]]]" = dataclasses.field(
        default_factory=list["tuple[frozenset[str], asyncio.Future[None]]"]
    )

    def unit(self, name: str) -> str:
        """Return the unit that a name stands for."""
        return self.aliases.get(name, name)

    async def take(self, *names: str) -> None:
        """Wait until all of these are free at one moment, and take them: who holds one never waits for another."""
        wanted = frozenset(map(self.unit, names))
        if not wanted & self._busy:
            self._busy |= wanted
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free(wanted)
            self._waiting = [one for one in self._waiting if one[1] is not turn]
            raise

    def free(self, name: str) -> None:
        """Let the next one ask a unit."""
        self._free({self.unit(name)})

    def _free(self, units: set[str] | frozenset[str]) -> None:
        self._busy -= units
        left: list[tuple[frozenset[str], asyncio.Future[None]]] = []
        for wanted, turn in self._waiting:
            if turn.done() or wanted & self._busy:
                left.append((wanted, turn))
                continue
            self._busy |= wanted
            turn.set_result(None)
        self._waiting = [one for one in left if not one[1].done()]

    @contextlib.asynccontextmanager
    async def at(self, name: str) -> AsyncGenerator[None]:
        """Ask one unit in its turn."""
        unit = self.unit(name)
        await self.take(unit)
        try:
            yield
        finally:
            self.free(unit)
