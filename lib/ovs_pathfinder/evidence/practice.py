"""Practice and theory together, on one unit: plan → evidence."""

import concurrent.futures
import dataclasses
import datetime
import platform
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Literal

from .. import errors, path, process
from ..temporary import journal, mirror
from ..vswitch import conntrack, coverage, daemon, daemon_log, datapath, dump, flow, wiring
from . import (
    beacon,
    capture,
    host,
    large,
    limits,
    local,
    megaflows,
    probe,
    question,
    record,
    sight,
    theory,
    watch,
    without,
)

MAX_WINDOW = 180.0
"""Seconds that a listener watches at the most."""
Log = Callable[[str], None]
Keep = Callable[[tuple[record.Capture, ...]], None]
_IP_HEADER = {4: 20, 6: 40}
_HEARTBEAT = 30.0
"""Seconds within which an amphora's message must have used a datapath flow; it sends one every 10."""
_PASS = 1.0
"""Seconds before the probe within which a packet may still be uncounted when the probe begins."""


def gather(
    plan: path.Plan,
    unit: str,
    settings: probe.Settings,
    *,
    wait: float = 10.0,
    log: Log = lambda _: None,
    keep: Keep | None = None,
) -> record.Evidence:
    """Find out, on one unit, all that it can tell about the plan's path.

    Args:
        plan: The path.
        unit: The name of the unit that this runs on.
        settings: What the source sends.
        wait: Seconds that the two units wait for each other before each goes on alone.
        log: Is told of each stage, in words.
        keep: Is given the packets of all captures; without it, they are forgotten as soon as they are understood.

    Raises:
        PathfinderError: The unit is not on the path, or its switch cannot be asked.
    """
    begun = time.monotonic()
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    here = local.Local(plan, unit)
    nonce = secrets.token_hex(4)
    far = (here.far.tunnel_address, here.far.management_address) if here.far else ()
    watching = watch.Watch(plan, nonce, far, here.tunnel_ports, keeps=keep is not None)
    with concurrent.futures.ThreadPoolExecutor(max_workers=5) as pool:
        try:
            before = _Counting(here, pool, begun - _PASS)
            watch_all(here, watching)
            traces = before.count(list(pool.map(here.examine, here.places)), "before")
            limited = limits.read(here, traces)
            watching.wait_ready()
            drops, logged = _drops(here), daemon_log.Mark()
            watched = time.monotonic()
            log(f"watching {', '.join(one.device for one in watching.observations() if one.device)}")
            exchanged = _exchange(here, watching, settings, nonce, wait, log)
            after = _Counting(here, pool, watching.latest)
        finally:
            watching.stop()
        if keep is not None:
            keep(watching.kept())
        used = () if here.vswitchd else megaflows.gather(here, within=time.monotonic() - watched)
        if past := sight.of_flows(here.switch, used):
            watching.hide_all(past)
        observations = watching.observations()
        extra = _second_thoughts(here, observations)
        cookies = _agent_cookies(here)
        limited = limits.risen(limited, limits.read(here, traces))
        heartbeats = plan.has_heartbeats and not here.vswitchd
        traced = [*after.count(traces, "after"), *extra, *megaflows.reexamined(here, used)]
        log_lines, log_unread = _logged(logged)
        return record.Evidence(
            run=plan.run,
            unit=unit,
            roles=here.roles,
            started=started,
            hostname=host.name(here.switch.hostname),
            kernel=platform.release(),
            ovs_version=_version(here),
            vswitchd=here.vswitchd,
            datapath_type=here.switch.datapath_type,
            agent_version=host.package_version("neutron-openvswitch-agent"),
            devices=here.counted_devices(),
            tunnel=here.tunnel.name if here.tunnel else None,
            tunnel_error=here.tunnel_error,
            tunnel_remote=here.tunnel_remote,
            agent_cookies=cookies,
            empty_bridges=_empty_bridges(traced),
            underlay_route=here.route.device if here.route else "",
            neighbour_state=_neighbour_state(here),
            probe=exchanged.probe,
            unresolved=exchanged.unresolved,
            large=exchanged.beside.large,
            large_echoes=exchanged.beside.echoes,
            link_local=exchanged.link_local,
            observations=observations,
            megaflows=used,
            heartbeats=megaflows.heartbeats(here, within=_HEARTBEAT) if heartbeats else (),
            drops=coverage.risen(drops, _drops(here)),
            limits=limited,
            conntrack_full=_full_conntrack(here),
            patches=() if plan.same_host else tuple(wiring.broken_patches(here.switch, ("br-int", here.bridge))),
            mirrors=_mirrors(here),
            log=log_lines,
            log_unread=log_unread,
            rendezvous=watching.rendezvous(exchanged.first),
            traces=tuple(without.examine(here, cookies, one) for one in traced),
            seconds=round(time.monotonic() - begun, 3),
            problems=(*here.problems, *_untraced(traced), *_injected()),
        )


@dataclasses.dataclass(frozen=True)
class _Exchanged:
    """What was sent, and whom this unit met before."""

    probe: record.Probe | None = None
    unresolved: int = 0
    beside: large.Sent = dataclasses.field(default_factory=large.Sent)
    link_local: str = ""
    first: str = ""


class _Counting:
    """OpenFlow counters as they stand: the datapath's are brought over in the background, meanwhile."""

    def __init__(self, here: local.Local, pool: concurrent.futures.Executor, since: float) -> None:
        self._here = here
        self._synchronised = None if here.vswitchd else pool.submit(datapath.synchronise, since)

    def count(self, traces: Sequence[record.Trace], when: Literal["before", "after"]) -> list[record.Trace]:
        """Fill in what the flows on the traced paths have counted."""
        if self._synchronised is None:
            return list(traces)
        try:
            self._synchronised.result()
        except process.ProcessError as error:
            self._here.problems.append(f"The flow counters may lag behind: {error}.")
        return theory.count(traces, when)


def watch_all(here: local.Local, watching: watch.Watch) -> None:
    """Begin to watch every point of this host, and for the other unit's signals."""
    plan = here.plan
    for role in here.roles:
        point: path.Point = "source-port" if role == "source" else "destination-port"
        device = here.devices[role]
        vlan = device.trunk.vlan if device.trunk else None
        if device.out_of_sight:
            watching.hide(point, device.out_of_sight)
        elif device.present:
            expression = capture.port_filter(plan) if vlan is None else capture.trunk_filter(plan, vlan)
            watching.add(point, device.name, expression)
        else:
            watching.fail(point, f"the device {device.name} does not exist on this host")
    if here.far is None:
        return
    point = "source-underlay" if here.roles[0] == "source" else "destination-underlay"
    remote = here.far.tunnel_address
    if here.hidden_underlay:
        watching.hide(point, here.hidden_underlay)
    elif not plan.network.is_tunnelled:
        for device in here.underlay_devices():
            watching.add(point, device, capture.physical_filter(plan))
        if not here.underlay_devices():
            bridge = here.bridge or f"none for {plan.network.physical_network}"
            watching.fail(point, f"the physical network's bridge ({bridge}) has no device that can be watched")
    elif here.route is None:
        why = f"this host has no route to the tunnel end {remote}" if remote else "the other tunnel end is not known"
        watching.fail(point, why)
    else:
        own = here.tunnel_address or here.route.source
        for device in here.underlay_devices():
            watching.add(point, device, capture.tunnel_filter(plan, own, remote, here.tunnel_ports))
    _listen_beside(here, watching)


def _listen_beside(here: local.Local, watching: watch.Watch) -> None:
    """Listen for the other unit where no observation point hears it: the underlay may be broken, or out of sight."""
    if here.far is None:
        return
    far, is_tunnelled = here.far, here.plan.network.is_tunnelled
    heard = {far.tunnel_address} if is_tunnelled and not here.hidden_underlay else set[str]()
    wanted = {far.management_address, *((far.tunnel_address,) if is_tunnelled else ())}
    for address in sorted(wanted - heard - {""}):
        if (route := host.route(address)) is not None:
            watching.add(None, route.device, capture.signal_filter(here.plan, address))


def _exchange(
    here: local.Local, watching: watch.Watch, settings: probe.Settings, nonce: str, wait: float, log: Log
) -> "_Exchanged":
    """Meet the other unit, then send (source) or listen (destination)."""
    plan = here.plan
    if here.far is None:
        return _send(here, watching, settings, nonce, log)
    addresses = (here.far.tunnel_address, here.far.management_address) if here.far.unit else ()
    length = settings.longest + 0.8
    signals = beacon.Beacon(plan, nonce, addresses)
    try:
        if "source" in here.roles:
            if here.far.unit:
                log(f"waiting for {here.far.unit} to watch as well")
                watching.wait_for(lambda: bool(watching.heard("watching")), wait)
            first = watching.heard("watching")
            return dataclasses.replace(_send(here, watching, settings, nonce, log), first=first)
        log("listening")
        return _Exchanged(first=_listen(watching, wait, length))
    finally:
        signals.done()


def _send(here: local.Local, watching: watch.Watch, settings: probe.Settings, nonce: str, log: Log) -> "_Exchanged":
    """Send the probe's packets, and beside them a few large ones; without any answer, ask for the neighbour anew."""
    plan = here.plan
    device = here.devices["source"]
    if not device.present or plan.source.address not in device.addresses:
        lacks = f"has not the address {plan.source.address}" if device.present else "does not exist on this host"
        why = device.out_of_sight or f"{device.name} {lacks}"
        return _Exchanged(probe=record.Probe(command="", transmitted=0, output=f"nothing was sent: {why}"))
    length = settings.size + 8 + _IP_HEADER[plan.ip_version]
    if plan.protocol == "icmp" and 0 < plan.network.mtu < length:
        here.problems.append(
            f"The probe's packets of {length} bytes are larger than the network's MTU of {plan.network.mtu} bytes and "
            "travel in fragments: a point that saw a first fragment may have missed the others."
        )
    log(f"sending {settings.count} packets to {plan.destination.address}")
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as pool:
        beside = pool.submit(large.send, plan, device.name, nonce)
        sent = probe.send(
            plan, device.name, settings, nonce, lambda: watching.seen("source-port", "reply") >= settings.count
        )
    unresolved = _unresolved(here, watching)
    link_local = ""
    if not sent.answered:
        question.ask(plan, device.name)
        link_local = question.link_local(plan, device.name)
    return _Exchanged(probe=sent, unresolved=unresolved, beside=beside.result(), link_local=link_local)


def _unresolved(here: local.Local, watching: watch.Watch) -> int:
    """Return how often the host has asked for the destination's MAC address, where it has still not got it."""
    seen = next((one for one in watching.observations() if one.point == "source-port"), None)
    if seen is None or seen.neighbours.advertised or _neighbour_state(here) not in ("INCOMPLETE", "FAILED"):
        return 0
    return seen.neighbours.solicited


def _listen(watching: watch.Watch, wait: float, length: float) -> str:
    """Watch until the source says that it is done, falls silent, or never comes."""
    watching.wait_for(lambda: bool(watching.heard("watching") or watching.heard("done")), wait)
    first = watching.heard("watching") or watching.heard("done")
    # A source that cannot be heard may send all the same: its packets are then all there is to go by.
    window = min(MAX_WINDOW, wait + length) if first else length
    watching.wait_for(lambda: bool(watching.heard("done")), window)
    return first or watching.heard("watching")


def _second_thoughts(here: local.Local, observations: Sequence[record.Observation]) -> list[record.Trace]:
    """Trace the packet as conntrack and the captures have seen it, and the question for an unknown neighbour."""
    seen = {one.point: one for one in observations}
    extra: list[record.Trace] = []
    ends: tuple[tuple[path.Role, path.Direction], ...] = (("source", "forward"), ("destination", "reply"))
    for role, direction in ends:
        point: path.Point = "source-port" if role == "source" else "destination-port"
        place = here.places.get(direction)
        if role not in here.roles or place is None or point not in seen:
            continue
        tracked = theory.states(place, direction)[1:]
        extra += [theory.examine(here.plan, direction, place, state=state) for state in tracked]
        mac = seen[point].forward_mac if direction == "forward" else seen[point].reply_mac
        if mac and mac != here.plan.endpoint(role).port.mac:
            extra.append(theory.examine(here.plan, direction, place, subject="seen", source_mac=mac))
    place = here.places.get("forward")
    unanswered = all(not one.forward for one in observations)
    if place is not None and unanswered:
        extra.append(theory.examine(here.plan, "forward", place, subject="neighbour"))
    place = here.places.get("reply")
    if place is not None and here.plan.has_heartbeats:
        # The guest sends them from the MAC address that its answers have: the agent goes by that of its device.
        answers = seen.get("destination-port")
        mac = answers.reply_mac if answers is not None else ""
        extra.append(theory.examine(here.plan, "reply", place, subject="heartbeat", source_mac=mac))
    return extra


def _version(here: local.Local) -> str:
    if here.vswitchd:
        return here.switch.version
    try:
        return daemon.version() or here.switch.version
    except process.ProcessError:
        return here.switch.version


def _untraced(traces: Sequence[record.Trace]) -> list[str]:
    """Say why packets were not traced, once for each reason."""
    reasons = dict.fromkeys(one.reason for one in traces if one.untraced)
    return [f"{reason[:1].upper()}{reason[1:]}." for reason in reasons]


def _mirrors(here: local.Local) -> tuple[str, ...]:
    try:
        return tuple(wiring.foreign_mirrors(mirror.KEY))
    except errors.PathfinderError as error:
        here.problems.append(f"Whether packets are mirrored is not known: {error}.")
        return ()


def _drops(here: local.Local) -> dict[str, int]:
    if here.vswitchd:
        return {}
    try:
        return coverage.read()
    except process.ProcessError as error:
        here.problems.append(f"The switch's own drop counters could not be read: {error}.")
        return {}


def _empty_bridges(traced: Sequence[record.Trace]) -> tuple[str, ...]:
    """Return the bridges in which a packet met no flow, as there is none."""
    missed = {step.bridge: None for one in traced for step in one.steps if step.priority is None}
    return tuple(bridge for bridge in missed if dump.count(bridge) == 0)


def _full_conntrack(here: local.Local) -> tuple[str, ...]:
    if here.vswitchd:
        return ()
    try:
        return tuple(str(one) for one in conntrack.read() if one.is_full)
    except errors.PathfinderError as error:
        here.problems.append(f"Whether conntrack has room is not known: {error}.")
        return ()


def _logged(mark: daemon_log.Mark) -> tuple[tuple[str, ...], str]:
    """Return what ovs-vswitchd has logged since a moment, and why that is not known; empty where it is."""
    try:
        return mark.since(), ""
    except errors.PathfinderError as error:
        return (), str(error)


def _agent_cookies(here: local.Local) -> dict[str, str]:
    if here.vswitchd:
        return {}
    try:
        return flow.agent_cookies()
    except process.ProcessError as error:
        here.problems.append(f"Whose flows are on the bridges could not be told: {error}.")
        return {}


def _injected() -> list[str]:
    """Name the flows that operators have added for a time, as they may be what the packets passed by."""
    try:
        living = [entry for entry in journal.Journal().entries() if entry.stays]
    except errors.PathfinderError as error:
        return [f"Whether a temporary change is on this host cannot be told: {error}."]
    return [f"While the packets were sent, a temporary change was on this host: {entry}." for entry in living]


def _neighbour_state(here: local.Local) -> str:
    device = here.devices.get("source")
    return host.neighbour(here.plan.destination.address, device.name) if device and device.present else ""
