"""The case that rules look at: the plan, the evidence, and one loss at a time."""

import dataclasses
from typing import Literal

from .. import path
from ..evidence import record
from . import account, codes, verdict

_QUOTE = 1500

Place = Literal["port", "br-int", "br-tun", "br-phys", "underlay"]
"""A hop, without the host that it is on."""


@dataclasses.dataclass(frozen=True)
class Case:
    """All that a rule may ask."""

    plan: path.Plan
    source: record.Evidence
    destination: record.Evidence | None
    account: account.Account

    def evidence(self, role: path.Role) -> record.Evidence | None:
        """Return the evidence of the host that plays a role; the same for both where they share it."""
        return self.source if role == "source" else self.destination

    def trace(self, role: path.Role, direction: path.Direction) -> record.Trace | None:
        """Return what a host's switch would do with what really travelled: the probe, or the question for it."""
        evidence = self.evidence(role)
        if evidence is None:
            return None
        if (seen := evidence.trace(direction, "seen")) is not None:
            return seen
        if self.account.carrier == "neighbour" and direction == "forward":
            return evidence.trace(direction, "neighbour") or evidence.trace(direction)
        return evidence.trace(direction)

    def certainty(self, role: path.Role | None = None) -> verdict.Certainty:
        """Return how certain a finding can be that rests on watching: what both hosts saw must be of one time."""
        if role == "source" or self.account.together == "proven":
            return "proven"
        return "likely"

    @property
    def between(self) -> Place:
        """The place behind br-int, on the way to the other host."""
        return "br-tun" if self.plan.network.is_tunnelled else "br-phys"

    @property
    def bridges(self) -> frozenset[str]:
        """The bridges that are Neutron's on this path."""
        return self.trunk_bridges | self._outward | {"br-int"}

    @property
    def _outward(self) -> frozenset[str]:
        if self.plan.network.is_tunnelled:
            return frozenset({"br-tun"})
        return frozenset({self.plan.source.physical_bridge, self.plan.destination.physical_bridge})

    @property
    def trunk_bridges(self) -> frozenset[str]:
        """The bridges of trunks, between br-int and the devices of guests."""
        known = [one for one in (self.source, self.destination) if one is not None]
        return frozenset(device.trunk.bridge for one in known for device in one.devices.values() if device.trunk)

    def place(self, bridge: str) -> Place:
        """Return the place that a bridge is on the path; others than its own stand for br-int."""
        return self.between if bridge in self._outward else "br-int"

    def unit(self, hop: path.Hop | None) -> str:
        """Return the unit on whose host a hop is."""
        if hop is None or hop == "underlay":
            return ""
        return self.plan.endpoint("source" if hop.startswith("source") else "destination").unit


@dataclasses.dataclass(frozen=True)
class Segment:
    """A stretch of the path between two observation points, in which packets were lost."""

    loss: account.Loss
    kind: Literal["sender", "switch", "underlay", "guest", "receiver", "unseen"]
    role: path.Role
    """The host that the stretch is on; of the underlay, the sending one."""
    sender: path.Role | None = None
    """Of a switch: the end whose port the packets come in through; None where they come from a tunnel."""
    receiver: path.Role | None = None
    """Of a switch: the end whose port they should leave through; None where they should enter a tunnel."""

    @property
    def direction(self) -> path.Direction:
        """The direction that the lost packets travelled in; a guest that is silent fails the forward direction."""
        return "forward" if self.kind == "guest" else self.loss.direction


def segment(case: Case, loss: account.Loss) -> Segment:
    """Name the stretch that a loss is on."""
    before, after = loss.before, loss.after
    if after is None:
        return Segment(loss, "receiver", "source")
    if before is None:
        return Segment(loss, "sender", "source") if after == "source-port" else _across(case, loss)
    if loss.turned:
        return Segment(loss, "guest" if before == "destination-port" else "unseen", "destination")
    if "underlay" in before and "underlay" in after:
        return Segment(loss, "underlay", "source" if loss.direction == "forward" else "destination")
    if before.startswith("source") and after.startswith("source"):
        return through(case, loss, "source")
    if before.startswith("destination") and after.startswith("destination"):
        return through(case, loss, "destination")
    return _across(case, loss)


def through(case: Case, loss: account.Loss, role: path.Role) -> Segment:
    """Return the stretch through one host's switch, with the ends that are plugged into it."""
    near: path.Role = "source" if loss.direction == "forward" else "destination"
    far: path.Role = "destination" if loss.direction == "forward" else "source"
    if case.plan.same_host:
        return Segment(loss, "switch", role, sender=near, receiver=far)
    return Segment(loss, "switch", role, sender=role if role == near else None, receiver=role if role == far else None)


def _across(case: Case, loss: account.Loss) -> Segment:
    """Choose, for a loss between points of two hosts, the first host whose rules or whose switch do not forward it."""
    roles: tuple[path.Role, path.Role] = ("source", "destination")
    if case.plan.same_host:
        return through(case, loss, "source")
    if loss.before is None and loss.after == "source-underlay":
        return through(case, loss, "source")
    order = roles if loss.direction == "forward" else roles[::-1]
    near = "source" if (loss.before or "source").startswith("source") else "destination"
    crossed = order[order.index(near) :]
    for role in crossed:
        trace = case.trace(role, loss.direction)
        if trace is not None and trace.stops:
            return through(case, loss, role)
        counts = case.account.carrier == "probe" and trace is not None and stuck_step(trace, loss.lost) is not None
        if counts or dropping(case, role, loss.direction):
            return through(case, loss, role)
    # A host whose trace was not followed to its end may be where they stop: what lies behind it is not accused.
    for role in crossed:
        trace = case.trace(role, loss.direction)
        if trace is not None and not trace.reaches:
            return through(case, loss, role)
    return Segment(loss, "underlay", near)


def stuck_step(trace: record.Trace, lost: int) -> record.Step | None:
    """Return the first flow of the traced path that counted fewer packets than were lost, after ones that did."""
    passed = False
    for step in trace.steps:
        if step.moved is None:
            continue
        if step.moved >= lost:
            passed = True
        elif passed:
            return step
    return None


def dropping(case: Case, role: path.Role, direction: path.Direction) -> tuple[record.Megaflow, ...]:
    """Return the datapath flows of the probe that drop on a host.

    The probe's connections are new: those that conntrack remembers as cut off are others'.
    """
    evidence = case.evidence(role)
    flows = evidence.megaflows if evidence else ()
    return tuple(one for one in flows if one.direction == direction and one.drops and not one.ct_marked)


def finding(
    case: Case,
    code: str,
    hop: path.Hop | None,
    direction: path.Direction | None,
    certainty: verdict.Certainty,
    summary: str,
    evidence: tuple[str, ...] = (),
    against: tuple[str, ...] = (),
) -> verdict.Finding:
    """Make a finding, with the advice that belongs to its code."""
    return verdict.Finding(
        code=code,
        hop=hop,
        direction=direction,
        unit=case.unit(hop),
        certainty=certainty,
        summary=summary,
        evidence=tuple(text if len(text) <= _QUOTE else text[:_QUOTE] + " …" for text in evidence if text),
        against=tuple(text for text in against if text),
        next=codes.MEANINGS[code].next,
    )


def hop(role: path.Role, place: Place) -> path.Hop:
    """Return the hop of that name on a role's host."""
    names: dict[tuple[path.Role, str], path.Hop] = {
        ("source", "port"): "source-port",
        ("source", "br-int"): "source-br-int",
        ("source", "br-tun"): "source-br-tun",
        ("source", "br-phys"): "source-br-phys",
        ("source", "underlay"): "source-underlay",
        ("destination", "port"): "destination-port",
        ("destination", "br-int"): "destination-br-int",
        ("destination", "br-tun"): "destination-br-tun",
        ("destination", "br-phys"): "destination-br-phys",
        ("destination", "underlay"): "destination-underlay",
    }
    return names[role, place]
