"""Faults that can be injected into a running lab, a module each, with the truth to be found."""

import dataclasses
import importlib
import pathlib
from typing import TYPE_CHECKING, Literal, Protocol, cast

from ovs_pathfinder import path

if TYPE_CHECKING:
    from .. import hosts

Word = Literal[
    "gre",
    "vxlan",
    "vlan",
    "flat",
    "tunnelled",
    "physical",
    "single",
    "bond",
    "ip4",
    "ip6",
    "icmp",
    "tcp",
    "no-l2pop",
    "warm",
    "cold",
]
"""What a setting may be; `tests.lab.matrix` has the settings."""


@dataclasses.dataclass(frozen=True)
class Second:
    """The later one of two faults at once: packets do not get as far as that."""

    code: str
    hop: path.Hop
    """With br-tun for the bridge behind br-int, whatever bridge that is in a setting."""
    direction: path.Direction | None = None
    told: bool = False
    """Whether a diagnosis must name it; else it is enough that nothing denies it."""


@dataclasses.dataclass(frozen=True)
class Truth:
    """What is wrong in the lab, in the words of a diagnosis; "source" is the side of Octavia."""

    verdict: Literal["ok", "broken", "degraded"]
    code: str
    hop: path.Hop | None = None
    direction: path.Direction | None = None
    reaches: path.Hop | None = None
    """How far the packets get, where that is further than the hop at which something is done to them."""
    cold: tuple[path.Hop, path.Direction] | None = None
    """Hop and direction where they are others on a path whose neighbours are unknown: questions are flooded."""
    also: tuple[str, ...] = ()
    """Codes that are as right: a part of what was done, or all that can be told where a warm path hides the rest."""
    tcp: str = ""
    """The code for a probe by TCP, where it is another."""
    second: Second | None = None
    unless: tuple[Word, ...] = ()
    """What a setting must not be for this to be the truth."""
    bond: bool = False
    """Whether it is shown between hosts with bonds as well."""
    one_host: bool = False
    """Whether it is the truth as well where both ports are on one host."""

    def codes(self, protocol: path.Protocol) -> tuple[str, ...]:
        """Return all codes that are right, the best first."""
        return (self.tcp if protocol == "tcp" and self.tcp else self.code, *self.also)

    def place(self, *, cold: bool, physical: bool = False) -> tuple[path.Hop | None, path.Direction | None]:
        """Return hop and direction; on a physical network another bridge is in the place of br-tun."""
        hop, direction = self.cold if cold and self.cold else (self.hop, self.direction)
        return (behind(hop, physical=physical) if hop else None), direction

    def later(self, *, physical: bool = False) -> Second | None:
        """Return the second fault."""
        return self.second and dataclasses.replace(self.second, hop=behind(self.second.hop, physical=physical))


def behind(hop: path.Hop, *, physical: bool) -> path.Hop:
    """Return a hop, with the physical network's bridge for br-tun where packets travel on one."""
    names: dict[path.Hop, path.Hop] = {
        "source-br-tun": "source-br-phys",
        "destination-br-tun": "destination-br-phys",
    }
    return names.get(hop, hop) if physical else hop


class Fault(Protocol):
    """A module of this package."""

    __doc__: str | None
    TRUTH: Truth

    def inject(self, lab: "hosts.Lab") -> None:
        """Break a healthy, running lab; the lab's end repairs it."""
        ...


def names() -> list[str]:
    """Return the names of all faults, `none` first."""
    found = (each.stem.replace("_", "-") for each in pathlib.Path(__file__).parent.glob("[a-z]*.py"))
    return sorted(found, key=lambda name: (name != "none", name))


def load(name: str) -> Fault:
    """Return a fault by its name.

    Raises:
        ValueError: there is none of that name.

    """
    if name not in names():
        raise ValueError(f"no fault {name!r}; there are {', '.join(names())}")
    return cast("Fault", importlib.import_module(f".{name.replace('-', '_')}", __name__))


def summary(name: str) -> str:
    """Return the first line of a fault's description."""
    return (load(name).__doc__ or "").strip().splitlines()[0]
