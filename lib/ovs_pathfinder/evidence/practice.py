"""Practice and theory together, on one unit: plan → evidence."""

import concurrent.futures
import datetime
import ipaddress
import secrets
import time
from collections.abc import Callable, Sequence

from .. import errors, path, process
from ..vswitch import conntrack, coverage, database, datapath
from . import beacon, capture, host, probe, record, theory, watch

MAX_WINDOW = 180.0
"""Seconds that a listener watches at the most."""
Log = Callable[[str], None]


class _Local:
    """What this host brings to the path, before any packet is sent."""

    def __init__(self, plan: path.Plan, unit: str) -> None:
        self.plan = plan
        self.unit = unit
        self.roles = roles_of(plan, unit)
        self.switch = database.read()
        self.problems: list[str] = []
        self.devices: dict[path.Role, record.Device] = {role: self._device(role) for role in self.roles}
        self.far: path.Endpoint | None = None
        if len(self.roles) == 1:
            self.far = plan.endpoint("destination" if self.roles[0] == "source" else "source")
        self.route = host.route(self.far.tunnel_address) if self.far and self.far.tunnel_address else None
        try:
            self.ports = datapath.read_ports()
        except process.ProcessError as error:
            raise errors.PathfinderError(
                "ovs-vswitchd does not answer on this host, so no packet can be traced or forwarded "
                f"(is openvswitch-switch running?): {' '.join(error.stderr.split())[:200]}"
            ) from error
        self.places = theory.places(plan, self.roles, self.switch, self.ports)

    @property
    def tunnel(self) -> database.Interface | None:
        if self.far is None:
            return None
        return self.switch.tunnel_to(self.plan.network.type, self.far.tunnel_address)

    @property
    def tunnel_remote(self) -> str:
        """Where the tunnel port leads that is named for the other host (`get_tunnel_name` of Neutron's agent)."""
        if self.far is None or not self.far.tunnel_address:
            return ""
        address = ipaddress.ip_address(self.far.tunnel_address)
        if address.version != 4:
            return ""
        named = self.switch.interface(f"{self.plan.network.type}-{int(address):08x}")
        return named.options.get("remote_ip", "") if named else ""

    def _device(self, role: path.Role) -> record.Device:
        port = self.plan.endpoint(role).port
        interface = self.switch.port_of(port.id)
        name = interface.name if interface is not None else port.tap
        # With the iptables_hybrid firewall the switch has qvoXXXXXXXX-XX and the guest hangs on the tap behind it.
        link = host.link(port.tap if name.startswith("qvo") else name)
        return record.Device(
            name=link.name if link else name,
            present=link is not None,
            on_switch=interface is not None,
            ofport=interface.ofport if interface else None,
            tag=interface.tag if interface else None,
            error=interface.error if interface else "",
            mac=link.mac if link else "",
            addresses=link.addresses if link else (),
            up=link.up if link else False,
            carrier=link.carrier if link else False,
        )

    def examine(self, direction: path.Direction) -> record.Trace:
        """Trace the plan's packet in one direction."""
        return theory.examine(self.plan, direction, self.places[direction])

    def underlay_devices(self) -> tuple[str, ...]:
        """Return the devices on which the tunnel's packets can be seen.

        With the datapath in userspace they never pass the bridge's own device, only the ports below it.
        """
        if self.route is None:
            return ()
        bridge = self.switch.interface(self.route.device)
        if bridge is None or bridge.type != "internal" or self.switch.datapath_type != "netdev":
            return (self.route.device,)
        return self.switch.system_devices(bridge.bridge) or (self.route.device,)


def roles_of(plan: path.Plan, unit: str) -> tuple[path.Role, ...]:
    """Return which ends of the path a unit is on.

    Raises:
        PathfinderError: It is on neither.
    """
    roles: tuple[path.Role, ...] = ("source", "destination")
    mine: tuple[path.Role, ...] = tuple(role for role in roles if plan.endpoint(role).unit == unit)
    if not mine:
        units = sorted({plan.endpoint(role).unit for role in roles} - {""})
        raise errors.PathfinderError(
            f"{unit} is not on the path of run {plan.run}, which lies on {' and '.join(units)}; run probe-path there"
        )
    return mine


def gather(
    plan: path.Plan, unit: str, settings: probe.Settings, *, wait: float = 10.0, log: Log = lambda _: None
) -> record.Evidence:
    """Find out, on one unit, all that it can tell about the plan's path.

    Args:
        plan: The path.
        unit: The name of the unit that this runs on.
        settings: What the source sends.
        wait: Seconds that the two units wait for each other before each goes on alone.
        log: Is told of each stage, in words.

    Raises:
        PathfinderError: The unit is not on the path, or its switch cannot be asked.
    """
    begun = time.monotonic()
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    local = _Local(plan, unit)
    nonce = secrets.token_hex(4)
    far = (local.far.tunnel_address, local.far.management_address) if local.far else ()
    watching = watch.Watch(plan, nonce, far)
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        try:
            _watch_all(local, watching)
            traces = list(pool.map(local.examine, local.places))
            traces = _count(traces, "before", local)
            watching.wait_ready()
            drops = _drops(local)
            watched = time.monotonic()
            log(f"watching {', '.join(one.device for one in watching.observations() if one.device)}")
            sent, first = _exchange(local, watching, settings, nonce, wait, log)
        finally:
            watching.stop()
    observations = watching.observations()
    log("reading counters and datapath flows")
    drops = coverage.risen(drops, _drops(local))
    megaflows = _megaflows(local, within=time.monotonic() - watched)
    traces = _count(traces, "after", local) + _second_thoughts(local, observations)
    return record.Evidence(
        run=plan.run,
        unit=unit,
        roles=local.roles,
        started=started,
        seconds=round(time.monotonic() - begun, 3),
        ovs_version=local.switch.version,
        datapath_type=local.switch.datapath_type,
        devices=local.devices,
        tunnel=local.tunnel.name if local.tunnel else None,
        tunnel_remote=local.tunnel_remote,
        underlay_route=local.route.device if local.route else "",
        neighbour_state=_neighbour_state(local),
        probe=sent,
        observations=observations,
        traces=tuple(traces),
        megaflows=megaflows,
        drops=drops,
        conntrack_full=tuple(str(one) for one in conntrack.read() if one.is_full),
        rendezvous=watching.rendezvous(first),
        problems=tuple(local.problems),
    )


def _watch_all(local: _Local, watching: watch.Watch) -> None:
    plan = local.plan
    for role in local.roles:
        point: path.Point = "source-port" if role == "source" else "destination-port"
        device = local.devices[role]
        if device.present:
            watching.add(point, device.name, capture.port_filter(plan))
        else:
            watching.fail(point, f"the device {device.name} does not exist on this host")
    if local.far is None:
        return
    point = "source-underlay" if local.roles[0] == "source" else "destination-underlay"
    remote = local.far.tunnel_address
    if local.route is None:
        watching.fail(point, f"this host has no route to the tunnel end {remote or 'of the other host'}")
    else:
        own = plan.endpoint(local.roles[0]).tunnel_address or local.route.source
        for device in local.underlay_devices():
            watching.add(point, device, capture.tunnel_filter(plan, own, remote))
    _listen_on_management(local, watching)


def _listen_on_management(local: _Local, watching: watch.Watch) -> None:
    """Listen for the other unit on the network that Juju uses too: the underlay may be what is broken."""
    if local.far is None or local.far.management_address in ("", local.far.tunnel_address):
        return
    route = host.route(local.far.management_address)
    if route is not None:
        protocol = "icmp6" if ":" in local.far.management_address else "icmp"
        watching.add(None, route.device, f"{protocol} and src host {local.far.management_address}")


def _exchange(
    local: _Local, watching: watch.Watch, settings: probe.Settings, nonce: str, wait: float, log: Log
) -> tuple[record.Probe | None, str]:
    """Meet the other unit, then send (source) or listen (destination); return the probe and whom it met."""
    plan = local.plan
    if local.far is None:
        return _send(local, watching, settings, nonce, log), ""
    addresses = (local.far.tunnel_address, local.far.management_address) if local.far.unit else ()
    length = settings.count * settings.interval + 2 * probe.ANSWER_WAIT
    signals = beacon.Beacon(plan, nonce, addresses)
    try:
        if "source" in local.roles:
            if local.far.unit:
                log(f"waiting for {local.far.unit} to watch as well")
                watching.wait_for(lambda: bool(watching.heard("watching")), wait)
            first = watching.heard("watching")
            return _send(local, watching, settings, nonce, log), first
        log("listening")
        return None, _listen(watching, wait, length)
    finally:
        signals.done()


def _send(local: _Local, watching: watch.Watch, settings: probe.Settings, nonce: str, log: Log) -> record.Probe:
    plan = local.plan
    device = local.devices["source"]
    if not device.present or plan.source.address not in device.addresses:
        where = f"{device.name} on this host does not exist" if not device.present else f"{device.name} lacks it"
        return record.Probe(
            command="",
            transmitted=0,
            output=f"nothing was sent: {plan.source.address} is not to be had, {where}",
        )
    log(f"sending {settings.count} packets to {plan.destination.address}")
    return probe.send(
        plan, device.name, settings, nonce, lambda: watching.seen("source-port", "reply") >= settings.count
    )


def _listen(watching: watch.Watch, wait: float, length: float) -> str:
    """Watch until the source says that it is done, falls silent, or never comes."""
    watching.wait_for(lambda: bool(watching.heard("watching") or watching.heard("done")), wait)
    first = watching.heard("watching") or watching.heard("done")
    # A source that cannot be heard may send all the same: its packets are then all there is to go by.
    window = min(MAX_WINDOW, wait + length) if first else length
    watching.wait_for(lambda: bool(watching.heard("done")), window)
    return first or watching.heard("watching")


def _count(traces: Sequence[record.Trace], when: str, local: _Local) -> list[record.Trace]:
    try:
        datapath.synchronise()
    except process.ProcessError as error:
        local.problems.append(f"The flow counters may lag behind: {error}.")
    return theory.count(traces, "before" if when == "before" else "after")


def _second_thoughts(local: _Local, observations: Sequence[record.Observation]) -> list[record.Trace]:
    """Trace the packet as it was really seen where that differs, and the question for an unknown neighbour."""
    seen = {one.point: one for one in observations}
    extra: list[record.Trace] = []
    ends: tuple[tuple[path.Role, path.Direction], ...] = (("source", "forward"), ("destination", "reply"))
    for role, direction in ends:
        point: path.Point = "source-port" if role == "source" else "destination-port"
        place = local.places.get(direction)
        if role not in local.roles or place is None or point not in seen:
            continue
        mac = seen[point].forward_mac if direction == "forward" else seen[point].reply_mac
        if mac and mac != local.plan.endpoint(role).port.mac:
            extra.append(theory.examine(local.plan, direction, place, subject="seen", source_mac=mac))
    place = local.places.get("forward")
    unanswered = all(not one.forward for one in observations)
    if place is not None and unanswered:
        extra.append(theory.examine(local.plan, "forward", place, subject="neighbour"))
    return extra


def _drops(local: _Local) -> dict[str, int]:
    try:
        return coverage.read()
    except process.ProcessError as error:
        local.problems.append(f"The switch's own drop counters could not be read: {error}.")
        return {}


def _neighbour_state(local: _Local) -> str:
    device = local.devices.get("source")
    return host.neighbour(local.plan.destination.address, device.name) if device and device.present else ""


def _megaflows(local: _Local, within: float) -> tuple[record.Megaflow, ...]:
    """Return the datapath flows that the probe's packets could use, and that were used in the last `within` seconds."""
    plan = local.plan
    family = "ipv6" if plan.ip_version == 6 else "nw"
    protocol = {"icmp": {4: "icmp", 6: "icmp6"}, "tcp": {4: "tcp", 6: "tcp6"}, "udp": {4: "udp", 6: "udp6"}}
    ends = {
        "forward": (plan.source.address, plan.destination.address),
        "reply": (plan.destination.address, plan.source.address),
    }
    directions: tuple[path.Direction, ...] = ("forward", "reply")
    found: list[record.Megaflow] = []
    for direction in directions:
        first, second = ends[direction]
        match = f"{protocol[plan.protocol][plan.ip_version]},{family}_src={first},{family}_dst={second}"
        try:
            flows = datapath.dump(match)
        except process.ProcessError as error:
            local.problems.append(f"The datapath's flows could not be read: {error}.")
            return ()
        if flows.unknown:
            local.problems.append(f"{len(flows.unknown)} datapath flows were not understood: {flows.unknown[0][:300]}")
        found += [
            record.Megaflow(
                direction=direction,
                packets=flow.packets,
                actions=flow.actions,
                ct_invalid=flow.ct_invalid,
                raw=flow.raw,
            )
            for flow in flows.flows
            if flow.age is not None and flow.age <= within
        ]
    return tuple(found)
