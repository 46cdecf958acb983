"""Flows for people: parsed, with the names of ports and networks for their numbers."""

import re

from . import flow, state, wording

_TIME_LIMIT = re.compile(r"(?:idle|hard)_timeout=\d+")
_WORD = re.compile(r"[\w.-]+")


class Reader:
    """Reads lines of `dump-flows` of one bridge, as its database names what they hold."""

    def __init__(self, bridge: str, switch: state.State) -> None:
        self._words = wording.Wording(bridge, wording.names(switch, bridge), spelt=False)
        self._ports = {one.name: one for one in switch.ports_of(bridge)}

    def read(self, line: bytes) -> flow.Flow:
        """Return a flow with names in its match and actions, and the line as it is; a time limit is among the actions.

        What is not understood is all match.
        """
        raw = line.decode(errors="replace").strip()
        (text,) = self._words.meanings([line])
        parsed = flow.parse(text.decode(errors="replace"))
        if parsed is None:
            return flow.Flow(table=0, match=raw, raw=raw)
        limits = _TIME_LIMIT.findall(raw.partition("actions=")[0])
        return parsed.model_copy(update={"raw": raw, "actions": " ".join([*limits, parsed.actions])})

    def ports(self, one: flow.Flow) -> tuple[state.Port, ...]:
        """Return the ports that a flow names, in the order in which it does."""
        words = dict.fromkeys(_WORD.findall(f"{one.match},{one.actions}"))
        return tuple(self._ports[word] for word in words if word in self._ports)
