"""What trace-packet is asked → the traces to be made; `typed` and `captured` have their own modules."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import pydantic

from .. import errors, path, process
from ..evidence import local, record, synthetic, theory
from ..vswitch import bond, database, datapath, trace, trunk
from . import query

_UFID = re.compile(r"(?:ufid:)?(?P<ufid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_MOST_MEGAFLOWS = 8
_STATES: tuple[record.State, ...] = ("untracked", "new", "established")
Direction = Literal["forward", "reply", "given"]
"""`given` is a packet of which only itself is known."""


_Port = Annotated[int, pydantic.Field(ge=1, le=65535)]


class Wanted(query.Query):
    """What is to be traced."""

    run: query.OptionalRun = ""
    direction: Literal["forward", "reply", "both"] = "both"
    port: query.OptionalText = ""
    """The port of this host's switch by which the packet comes in."""
    destination: query.OptionalText = ""
    destination_mac: query.OptionalMac = ""
    source: query.OptionalIp = ""
    source_mac: query.OptionalMac = ""
    protocol: path.Protocol = "icmp"
    destination_port: _Port | None = None
    source_port: _Port | None = None
    file: query.OptionalText = ""
    packet: Annotated[int, pydantic.Field(ge=1, le=100_000)] = 1
    megaflow: query.OptionalText = ""
    state: Literal["likely", "all"] | record.State = "likely"

    @pydantic.model_validator(mode="after")
    def _is_one_question(self) -> "Wanted":
        ways = [name for name in ("file", "megaflow", "destination", "run") if getattr(self, name)]
        if not ways:
            raise ValueError("name what to trace: run, port with destination, file, or megaflow")
        if len(set(ways) - {"run"}) > 1 or ("run" in ways and ways[0] in ("megaflow", "destination")):
            raise ValueError(f"{ways[0]} and {ways[1]} are different packets; give one of them")
        if "destination" in ways:
            self._check_typed()
        return self

    def _check_typed(self) -> None:
        if not self.port:
            raise ValueError("a destination needs port as well: the port of this host by which the packet comes in")
        if self.protocol != "icmp" and self.destination_port is None:
            raise ValueError(f"the protocol {self.protocol} needs destination-port, such as 9443")
        if self.protocol == "icmp" and (self.destination_port or self.source_port):
            raise ValueError("ICMP has no ports; leave them out, or give protocol=tcp or protocol=udp")


class Asked(path.Model):
    """One trace to be made."""

    direction: Direction
    state: record.State = "untracked"
    ct_state: str = ""
    """The same as it stands in the flow."""
    bridge: str
    """Or the datapath, of a megaflow."""
    flow: str
    ct_next: tuple[str, ...] = ()
    place: theory.Place | None = None
    """Where it comes in and should leave; None where the latter is not known."""
    megaflow: datapath.Megaflow | None = None

    @property
    def command(self) -> str:
        """The trace as a command to paste."""
        return trace.command(self.bridge, self.flow, self.ct_next)


class Subject(path.Model):
    """What is traced, in words and as flows."""

    text: str
    asked: tuple[Asked, ...]
    names: Mapping[str, str] = {}
    """The device of each port number of the datapath, without tunnels."""
    bonds: Mapping[int, str] = {}
    """The name of each bond by its number."""
    bridges: tuple[str, ...] = ()
    version: str = ""
    """Open vSwitch's."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Here:
    """This host's switch."""

    def __init__(self, switch: database.Switch, ports: Mapping[str, str], bonds: Sequence[bond.Bond] = ()) -> None:
        self.switch = switch
        self.ports = dict(ports)
        self.bonds = bond.names(bonds)

    @classmethod
    def read(cls) -> "Here":
        """Ask the switch.

        Raises:
            PathfinderError: It does not answer.
        """
        switch = database.read()
        try:
            return cls(switch, datapath.read_ports(), bond.read(switch))
        except process.ProcessError as error:
            raise errors.PathfinderError(
                "ovs-vswitchd does not answer on this host, so no packet can be traced (is openvswitch-switch "
                f"running?): {' '.join(error.stderr.split())[:200]}"
            ) from error

    def subject(
        self, text: str, asked: Sequence[Asked], warnings: Sequence[str] = (), notes: Sequence[str] = ()
    ) -> Subject:
        """Put together what is to be traced here."""
        tunnels = {one.name for one in self.switch.interfaces if "remote_ip" in one.options}
        return Subject(
            text=text,
            asked=tuple(asked),
            names={number: name for name, number in self.ports.items() if name not in tunnels},
            bonds=self.bonds,
            bridges=self.switch.bridges,
            version=self.switch.version,
            warnings=tuple(warnings),
            notes=tuple(notes),
        )

    def entry(self, text: str) -> database.Interface:
        """Return the port that is meant by a device's name, a Neutron port's id or a number on br-int.

        Raises:
            PathfinderError: This host's switch has none such, or could not open it.
        """
        ours = [one for one in self.switch.interfaces if one.type != "patch"]
        found = next(
            (
                one
                for one in ours
                if text in (one.name, one.external_ids.get("iface-id"), _tap(one.name))
                or (one.bridge == "br-int" and text == str(one.ofport))
            ),
            None,
        )
        if found is None and (patch := self.switch.port_of(text)) is not None and trunk.find(self.switch, patch):
            raise errors.PathfinderError(
                f"{text} is a port of a trunk and has no device of its own; give the run of a planned path to it"
            )
        if found is None:
            known = ", ".join(one.name for one in ours if "iface-id" in one.external_ids) or "no port of Neutron's"
            raise errors.PathfinderError(
                f"this host's switch has no port {text!r}; it has {known}: name one of them by its device, its Neutron "
                "id or its number on br-int, or run this on the unit that has it"
            )
        if found.ofport is None or found.ofport < 1:
            why = f" ({found.error})" if found.error else ""
            raise errors.PathfinderError(
                f"{found.name} has no OpenFlow port{why}, so nothing can come in by it; look at `ovs-vsctl show`"
            )
        return found

    def place(self, entry: database.Interface, destination_mac: str) -> theory.Place:
        """Return where a packet from a local port comes in; and should leave, if its destination is here too."""
        leave = self.owner(destination_mac)
        is_near = leave is not None and leave.tag == entry.tag and leave.bridge == entry.bridge
        return theory.Place(
            bridge=entry.bridge,
            ofport=entry.ofport or 0,
            expected_port=self.ports.get(leave.name, "") if leave is not None and is_near else "",
            internal=entry.type == "internal",
        )

    def owner(self, mac: str) -> database.Interface | None:
        """Return the port whose guest has a MAC address."""
        known = [(one, one.external_ids.get("attached-mac", "").lower()) for one in self.switch.interfaces]
        return next((one for one, attached in known if attached == mac.lower() != ""), None)


def _tap(name: str) -> str:
    """Return the tap behind a device on the switch, which the iptables_hybrid firewall parts with a bridge."""
    return f"tap{name[3:]}" if name.startswith("qvo") else name


def of_run(wanted: Wanted, plan: path.Plan, unit: str) -> Subject:
    """Trace the packet of a run in each direction, on one of its units."""
    here = local.Local(plan, unit)
    directions = directions_of(wanted)
    asked = [
        one
        for direction in directions
        if direction in here.places
        for one in tracings(wanted, direction, here.places[direction], synthetic.headers(plan, direction))
    ]
    notes = [_no_place(here, direction) for direction in directions if direction not in here.places]
    if not asked:
        raise errors.PathfinderError(f"nothing of run {plan.run} can be traced on {unit}: {' '.join(notes)}")
    ends = f"{plan.source.label} to {plan.destination.label}"
    return Here(here.switch, here.ports, here.bonds).subject(
        f"run {plan.run}: {plan.protocol}{_numbered(plan.port)} from {ends}", asked, notes=notes
    )


def directions_of(wanted: Wanted) -> tuple[path.Direction, ...]:
    """Return the directions that are wanted."""
    return ("forward", "reply") if wanted.direction == "both" else (wanted.direction,)


def _numbered(port: int | None) -> str:
    return f" {port}" if port else ""


def _no_place(here: local.Local, direction: path.Direction) -> str:
    """Say why one direction cannot be traced."""
    absent = [one.name for one in here.devices.values() if not one.on_switch]
    if absent:
        return f"The {direction} packet cannot be traced: {absent[0]} is not on this host's switch."
    if here.far is not None and not here.plan.network.is_tunnelled:
        bridge = here.bridge or f"any bridge for {here.plan.network.physical_network}"
        return f"The {direction} packet cannot be traced: {bridge} has no open port to the physical network."
    if here.far is not None and not here.far.tunnel_address:
        return f"The {direction} packet cannot be traced: the tunnel end of {here.far.label} is not known."
    if here.far is not None and here.tunnel is None:
        where = f"{here.plan.network.type} tunnel to {here.far.tunnel_address}"
        return f"The {direction} packet cannot be traced: this host has no {where}."
    return f"The {direction} packet cannot be traced: its port or its tunnel is not open in the datapath."


def tracings(
    wanted: Wanted,
    direction: path.Direction,
    place: theory.Place,
    packet: synthetic.Headers,
    *,
    is_checked: bool = True,
) -> list[Asked]:
    """Trace one packet under each conntrack state that is wanted; `is_checked` says whether its way out is known."""
    return [
        Asked(
            direction=direction,
            state=state,
            ct_state=synthetic.tracked(direction, state),
            bridge=place.bridge,
            flow=f"{entry(place, direction, state)},{synthetic.write(packet)}",
            ct_next=synthetic.resumed(direction, state),
            place=place if is_checked else None,
        )
        for state in states(wanted, place, direction)
    ]


def entry(place: theory.Place, direction: path.Direction, state: record.State) -> str:
    """Write how a packet comes in."""
    return synthetic.entry(place.ofport, place.tunnel_key, synthetic.tracked(direction, state), place.vlan)


def states(wanted: Wanted, place: theory.Place, direction: path.Direction) -> tuple[record.State, ...]:
    """Return the conntrack states under which to trace."""
    if wanted.state == "likely":
        return theory.states(place, direction)
    return _STATES if wanted.state == "all" else (wanted.state,)


def of_megaflow(wanted: Wanted) -> Subject:
    """Trace what a flow of the datapath's cache is for: whether the tables still say what it does.

    Raises:
        PathfinderError: There is no such flow, or the filter is none.
    """
    here = Here.read()
    named = _UFID.fullmatch(wanted.megaflow.lower())
    try:
        flows, notes = _of_name(named["ufid"]) if named else _of_filter(wanted.megaflow)
    except process.ProcessError as error:
        raise errors.PathfinderError(
            f"the datapath does not tell its flows for {wanted.megaflow!r} ({' '.join(error.stderr.split())[:200]}); "
            "give a ufid of `ovs-appctl dpctl/dump-flows -m`, or a filter such as icmp6,ipv6_dst=fc00::5"
        ) from error
    asked = [
        Asked(direction="given", bridge=f"ovs-{here.switch.datapath_type}", flow=one.readable, megaflow=one)
        for one in flows
    ]
    return here.subject(f"{len(asked)} of the datapath's flows, by {wanted.megaflow!r}", asked, notes=notes)


def _of_name(ufid: str) -> tuple[list[datapath.Megaflow], list[str]]:
    found = datapath.get(ufid)
    if found is None:
        raise errors.PathfinderError(
            f"the datapath has no flow {ufid} (any more): one that no packet has used for ten seconds is removed; send "
            "packets, and look with `ovs-appctl dpctl/dump-flows -m`"
        )
    return [found], []


def _of_filter(match: str) -> tuple[list[datapath.Megaflow], list[str]]:
    found = datapath.dump(match)
    if not found.flows:
        raise errors.PathfinderError(
            f"the datapath has no flow that {match!r} could use: send packets, since one that no packet has used for "
            "ten seconds is removed"
        )
    notes = list[str]()
    if found.unknown:
        notes.append(f"{len(found.unknown)} datapath flows were not understood: {found.unknown[0][:300]}")
    if len(found.flows) > _MOST_MEGAFLOWS:
        notes.append(f"Only {_MOST_MEGAFLOWS} of {len(found.flows)} datapath flows are traced: narrow the filter.")
    busiest = sorted(found.flows, key=lambda one: one.packets, reverse=True)
    return busiest[:_MOST_MEGAFLOWS], notes
