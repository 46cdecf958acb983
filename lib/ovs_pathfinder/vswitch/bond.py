"""Bonds: ports of several devices, of which the switch chooses one for each packet (`ovs-appctl bond/show`)."""

import re
from collections.abc import Iterable

from .. import path, process
from . import database

_HEADING = re.compile(r"^---- (?P<name>.+) ----$")
_NUMBER = re.compile(
    r"^(?:bond may use recirculation: \w+, Recirc-ID : |lb_output action: \w+, bond-id: )(?P<number>[0-9]{1,10})$"
)
_MEMBER = re.compile(r"^(?:member|slave) (?P<name>.+): (?P<state>enabled|disabled)$")
_ACTIVE = re.compile(r"^active (?:member|slave)$")


class Member(path.Model):
    """One device of a bond."""

    name: str
    enabled: bool = False
    active: bool = False
    """Whether it is the one that takes what is for all, and in some modes the only one that takes anything."""


class Bond(path.Model):
    """One bond."""

    name: str
    number: int | None = None
    """That of its recirculation (`recirc(…)`) and of `lb_output(…)`; None in modes that need neither."""
    members: tuple[Member, ...] = ()

    @property
    def entry(self) -> str:
        """The member that packets of any kind may come in by; empty where all are disabled."""
        usable = sorted((one for one in self.members if one.enabled), key=lambda one: not one.active)
        return usable[0].name if usable else ""


def parse(text: str) -> tuple[Bond, ...]:
    """Read `bond/show`, whose members were called slaves before Open vSwitch 2.15."""
    found: list[Bond] = []
    for line in text.splitlines():
        if (heading := _HEADING.match(line)) is not None:
            found.append(Bond(name=heading["name"]))
        elif found:
            found[-1] = _read(found[-1], line.strip())
    return tuple(found)


def _read(bond: Bond, line: str) -> Bond:
    members = bond.members
    if (number := _NUMBER.match(line)) is not None:
        return bond.model_copy(update={"number": int(number["number"])})
    if (member := _MEMBER.match(line)) is not None:
        members = (*members, Member(name=member["name"], enabled=member["state"] == "enabled"))
    elif _ACTIVE.match(line) and members:
        members = (*members[:-1], members[-1].model_copy(update={"active": True}))
    return bond.model_copy(update={"members": members})


def read(switch: database.Switch) -> tuple[Bond, ...]:
    """Ask vswitchd for its bonds; of a switch whose database has none, nothing is asked.

    Raises:
        ProcessError: vswitchd does not answer.
    """
    if not any(one.bond for one in switch.interfaces):
        return ()
    return parse(process.run(["ovs-appctl", "bond/show"]))


def names(bonds: Iterable[Bond]) -> dict[int, str]:
    """Return the name of each bond that datapath actions call by its number."""
    return {one.number: one.name for one in bonds if one.number is not None}
