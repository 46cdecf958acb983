"""A captured packet → the traces to be made, as a flow: a packet itself would leave its traces in the switch."""

import pathlib
import re
from collections.abc import Sequence

from .. import errors, path
from ..evidence import frame, local, packet, pcap, record, synthetic, theory
from ..vswitch import database
from . import context as context_
from . import subjects, typed

_RUN = re.compile(r"\d{8}t\d{6}-[0-9a-f]{6}")


def of_capture(wanted: subjects.Wanted, context: context_.Context) -> subjects.Subject:
    """Trace one packet of a capture.

    Raises:
        PathfinderError: The file cannot be read, has no such packet, or it is not known where the packet came in.
    """
    where = context.folder / wanted.file
    data = _read(where, wanted.packet)
    here = subjects.Here.read()
    found = frame.describe(data, _tunnel_ports(here.switch))
    plan = _plan(wanted, context)
    text = f"packet {wanted.packet} of {where.name}, {found.words}"
    if found.source:
        text += f" from {found.source} to {found.destination}"
    if not wanted.port and plan is not None and (direction := _direction(plan, found)) is not None:
        return _of_run(wanted, here, found, direction, local.Local(plan, context.unit), text)
    if not wanted.port and found.tunnel is None:
        raise errors.PathfinderError(_nowhere(wanted, plan, text))
    entry = here.entry(wanted.port) if wanted.port else _tunnel(here, found, text)
    if "remote_ip" in entry.options:
        return _of_tunnel(wanted, here, found, plan, entry, text)
    return _of_port(wanted, here, found, entry, context, text)


def _nowhere(wanted: subjects.Wanted, plan: path.Plan | None, text: str) -> str:
    """Say that nobody knows where a packet came in."""
    if plan is None:
        return f"where {text}, came in is not known; give the port of this host's switch by which it did, or its run"
    ends = f"{plan.source.address} and {plan.destination.address}"
    return f"{text}, is not of run {plan.run}, which is between {ends}; give the port by which it came in"


def _read(where: pathlib.Path, number: int) -> bytes:
    """Return the frame of that number."""
    count = 0
    with pcap.reading(where) as reader:
        for one in reader:
            count += 1
            if count == number:
                return one.data
    if reader.cut:
        raise errors.PathfinderError(f"there is no packet {number}, for {reader.cut.rstrip('.')}; name another")
    if not count:
        raise errors.PathfinderError(f"{where} is a capture without a packet; capture again while packets are sent")
    held = "one packet" if count == 1 else f"{count} packets"
    raise errors.PathfinderError(f"{where} holds {held}, and packet {number} is asked for; name one up to {count}")


def _tunnel_ports(switch: database.Switch) -> dict[str, int]:
    """Return the UDP port of each kind of tunnel, as this host's tunnels have it."""
    given = {
        one.type: int(one.options["dst_port"])
        for one in switch.interfaces
        if one.type in packet.TUNNEL_PORTS and one.options.get("dst_port", "").isdecimal()
    }
    return {**packet.TUNNEL_PORTS, **given}


def _plan(wanted: subjects.Wanted, context: context_.Context) -> path.Plan | None:
    """Return the plan of the run that was named or, if it is still known, that the file is named after."""
    if wanted.run:
        return context.plan(wanted.run)
    named = _RUN.search(pathlib.Path(wanted.file).name)
    if named is None or wanted.port:
        return None
    try:
        return context.plan(named[0])
    except errors.PathfinderError:
        return None


def _of_port(
    wanted: subjects.Wanted,
    here: subjects.Here,
    found: frame.Described,
    entry: database.Interface,
    context: context_.Context,
    text: str,
) -> subjects.Subject:
    """Trace a packet that came in by a port that was named; OpenStack says where it should leave."""
    notes = list[str]()
    place = here.place(entry, found.destination_mac)
    if found.destination and found.protocol is not None and not place.expected_port:
        place, notes = _expected(here, entry, found, place, context)
    if not place.expected_port and not place.expected_remote:
        notes.append("Where the packet should leave is not known, so where it does leave could not be checked.")
    asked = _tracings(wanted, found, place, _way(found), "given")
    return here.subject(text, asked, notes=[*notes, *_doubts(found)])


def _expected(
    here: subjects.Here,
    entry: database.Interface,
    found: frame.Described,
    place: theory.Place,
    context: context_.Context,
) -> tuple[theory.Place, list[str]]:
    plan, trouble = typed.planned(entry, found.destination, context)
    if plan is None:
        return place, [f"OpenStack did not tell where the packet should go: {trouble}."]
    places = theory.places(plan, ["source"], here.switch, here.ports)
    own = plan.destination.port.mac
    notes = [f"The destination's port has the MAC {own}, and the packet is for {found.destination_mac}."]
    return places.get("forward", place), notes if own != found.destination_mac else []


def _of_run(
    wanted: subjects.Wanted,
    here: subjects.Here,
    found: frame.Described,
    direction: path.Direction,
    at: local.Local,
    text: str,
) -> subjects.Subject:
    """Trace a packet of a run, wherever on this host it was captured."""
    if direction not in at.places:
        raise errors.PathfinderError(
            f"{text}, is a {direction} packet of run {at.plan.run}, and where that comes in is not on this host's "
            "switch; look at `ovs-vsctl show`"
        )
    way = _way(found, at.plan if direction == "reply" else None)
    asked = _tracings(wanted, found, at.places[direction], way, direction)
    return here.subject(f"{text}, of run {at.plan.run}", asked)


def _direction(plan: path.Plan, found: frame.Described) -> path.Direction | None:
    """Return the direction of a packet between the run's ends, or of one's question to all; None of any other."""
    first, second = plan.source.address, plan.destination.address
    is_for_all = found.destination_mac[:2] in ("33", "ff", "01")
    if found.source == first and (found.destination == second or is_for_all):
        return "forward"
    if found.source == second and (found.destination == first or is_for_all):
        return "reply"
    return None


def _tunnel(here: subjects.Here, found: frame.Described, text: str) -> database.Interface:
    """Return the tunnel port out of which a packet came that was captured in its tunnel."""
    tunnel = found.tunnel or packet.Tunnel(source="")
    if path.same_address(tunnel.source, here.switch.tunnel_address):
        raise errors.PathfinderError(
            f"{text}, has left this host already, in a tunnel to {found.tunnel_destination}; trace it on the unit of "
            "that host, or give the port by which it came in here"
        )
    entry = here.switch.tunnel_to(found.tunnel_kind, tunnel.source)
    if entry is None or entry.ofport is None or entry.ofport < 1:
        raise errors.PathfinderError(
            f"{text}, came in a {found.tunnel_kind} tunnel from {tunnel.source}, and this host has no tunnel to there; "
            "look at `ovs-vsctl show`"
        )
    return entry


def _of_tunnel(
    wanted: subjects.Wanted,
    here: subjects.Here,
    found: frame.Described,
    plan: path.Plan | None,
    entry: database.Interface,
    text: str,
) -> subjects.Subject:
    """Trace a packet that came out of a tunnel."""
    sender = here.owner(found.source_mac)
    if sender is not None:
        raise errors.PathfinderError(
            f"{text}, comes from {sender.name} of this host, not out of {entry.name}; give port={sender.name}"
        )
    key = found.tunnel.key if found.tunnel else plan.network.segmentation_id if plan else None
    if key is None:
        raise errors.PathfinderError(
            f"{text}, does not tell the key of its tunnel, which {entry.name} needs; give the run that it is of, or "
            "capture on the device that carries the tunnel"
        )
    leave = here.owner(found.destination_mac)
    place = theory.Place(
        bridge=entry.bridge,
        ofport=entry.ofport or 0,
        tunnel_key=key,
        expected_port=here.ports.get(leave.name, "") if leave is not None else "",
    )
    notes = _doubts(found)
    if not place.expected_port:
        notes.append(f"No port of this host has the MAC {found.destination_mac}: where it should leave is not known.")
    direction = _direction(plan, found) if plan is not None else None
    way = _way(found, plan if direction == "reply" else None)
    asked = _tracings(wanted, found, place, way, direction or "given")
    return here.subject(f"{text}, out of {entry.name}", asked, notes=notes)


def _way(found: frame.Described, plan: path.Plan | None = None) -> path.Direction:
    """Return which way of its connection a packet takes: that of who opened it, unless it can only be an answer.

    Args:
        found: The packet.
        plan: That of the run whose destination has sent it; what comes from the tested port is an answer.
    """
    is_from_service = plan is not None and f"{plan.protocol}_src={plan.port}" in found.fields
    return "reply" if found.phase == "answer" or is_from_service else "forward"


def _tracings(
    wanted: subjects.Wanted,
    found: frame.Described,
    place: theory.Place,
    way: path.Direction,
    direction: subjects.Direction,
) -> list[subjects.Asked]:
    """Trace a captured packet under each conntrack state that it may have had."""
    states: Sequence[record.State] = subjects.states(wanted, place, way) if found.can_be_tracked else ["untracked"]
    has_way_out = bool(place.expected_port or place.expected_remote)
    return [
        subjects.Asked(
            direction=direction,
            state=state,
            ct_state=synthetic.tracked(way, state),
            bridge=place.bridge,
            flow=f"{subjects.entry(place, way, state)},{','.join(found.fields)}",
            ct_next=synthetic.resumed(way, "established" if found.phase == "later" else state),
            place=place if has_way_out else None,
        )
        for state in states
    ]


def _doubts(found: frame.Described) -> list[str]:
    if found.phase != "later":
        return []
    return [
        "The packet is from the midst of a TCP connection, and is traced as one of the side that opened it: the "
        "capture of its first packet would tell."
    ]
