"""What one host brings to the path before any packet is sent: its ends, devices, tunnel and routes."""

import ipaddress

from .. import errors, path
from ..vswitch import bond, daemon, database, datapath, trunk, tunnel
from . import host, packet, record, sight, theory


class Local:
    """What this host brings to the path, before any packet is sent."""

    def __init__(self, plan: path.Plan, unit: str) -> None:
        self.plan = plan
        self.unit = unit
        self.roles = roles_of(plan, unit)
        self.switch = database.read()
        self.problems: list[str] = []
        self._errors: dict[path.Role, int] = {}
        if "br-int" not in self.switch.bridges:
            found = ", ".join(self.switch.bridges) or "none"
            raise errors.PathfinderError(
                f"this host's Open vSwitch has no bridge br-int (it has {found}); is it of an ML2/OVS cloud, "
                "and does neutron-openvswitch-agent run?"
            )
        self.devices: dict[path.Role, record.Device] = {role: self._device(role) for role in self.roles}
        self.far: path.Endpoint | None = None
        if len(self.roles) == 1:
            self.far = plan.endpoint("destination" if self.roles[0] == "source" else "source")
        tunnelled = self.far if plan.network.is_tunnelled else None
        self.route = host.route(tunnelled.tunnel_address, self.tunnel_address) if tunnelled else None
        self.vswitchd = daemon.trouble()
        """Why ovs-vswitchd does not answer; empty where it does. One that does not is asked for nothing else."""
        self.ports = {} if self.vswitchd else datapath.read_ports()
        self.bonds = () if self.vswitchd else bond.read(self.switch)
        self.places = {} if self.vswitchd else theory.places(plan, self.roles, self.switch, self.ports, self.bonds)

    @property
    def bridge(self) -> str:
        """The bridge that leads from br-int to the other host; empty where no mapping names one."""
        return "br-tun" if self.plan.network.is_tunnelled else self.plan.endpoint(self.roles[0]).physical_bridge

    @property
    def tunnel(self) -> database.Interface | None:
        """The tunnel port towards the other host."""
        if self.far is None or not self.plan.network.is_tunnelled:
            return None
        return self.switch.tunnel_to(self.plan.network.type, self.far.tunnel_address)

    @property
    def tunnel_error(self) -> str:
        """Why the switch does not take that port; empty where it does."""
        tunnel = self.tunnel
        return tunnel.error.strip() if tunnel is not None and (tunnel.ofport or -1) < 1 else ""

    @property
    def tunnel_address(self) -> str:
        """This host's tunnel end: as its tunnel port says, else as the cloud says."""
        named = self.tunnel.options.get("local_ip", "") if self.tunnel else ""
        return named if tunnel.is_address(named) else self.plan.endpoint(self.roles[0]).tunnel_address

    @property
    def tunnel_ports(self) -> dict[str, int]:
        """The UDP port of each kind of tunnel, where the tunnel port towards the other host names another."""
        named = self.tunnel.options.get("dst_port", "") if self.tunnel else ""
        given = {self.plan.network.type: int(named)} if named.isdigit() else {}
        return {**packet.TUNNEL_PORTS, **given}

    @property
    def tunnel_remote(self) -> str:
        """Where the tunnel port leads that is named for the other host (`get_tunnel_name` of Neutron's agent)."""
        if self.far is None or not self.far.tunnel_address or not self.plan.network.is_tunnelled:
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
        way = trunk.of_port(self.switch, port)
        if way is not None:
            name = way.device or port.tap
            interface = interface if way.patch else None
        # With the iptables_hybrid firewall the switch has qvoXXXXXXXX-XX and the guest hangs on the tap behind it.
        link = host.link(f"tap{name[3:]}" if name.startswith("qvo") else name)
        self._errors[role] = link.tx_errors if link else 0
        hidden = sight.of_device(self.switch.interface(name), link)
        return record.Device(
            name=link.name if link else name,
            present=link is not None,
            on_switch=interface is not None,
            ofport=interface.ofport if interface else None,
            tag=interface.tag if interface else None,
            error=interface.error if interface else "",
            out_of_sight=hidden,
            mtu=link.mtu if link else 0,
            mac=link.mac if link else "",
            addresses=link.addresses if link else (),
            up=link.up if link else False,
            carrier=link.carrier if link else False,
            trunk=self._trunk(port, way),
        )

    def counted_devices(self) -> dict[path.Role, record.Device]:
        """Return the devices with what the kernel has counted since they were looked at."""
        return {role: self._counted(role, one) for role, one in self.devices.items()}

    def _counted(self, role: path.Role, one: record.Device) -> record.Device:
        link = host.link(one.name) if one.present else None
        rise = link.tx_errors - self._errors[role] if link else 0
        return one.model_copy(update={"unsent": max(0, rise)})

    def _trunk(self, port: path.Port, way: trunk.Way | None) -> record.Trunk | None:
        if way is None:
            return None
        wrong = trunk.fault(self.switch, port, way)
        return record.Trunk(
            bridge=way.bridge,
            patch=way.patch,
            peer=way.peer,
            vlan=port.trunk.vlan if port.trunk else None,
            fault=wrong[0] if wrong else "",
            problem=wrong[1] if wrong else "",
        )

    def entry(self, role: path.Role) -> str:
        """Return the device by which an end's packets come into the switch, as that calls it; empty without one."""
        found = theory.end(self.switch, self.plan.endpoint(role).port)
        return found.name if found else ""

    def examine(self, direction: path.Direction) -> record.Trace:
        """Trace the plan's packet in one direction."""
        return theory.examine(self.plan, direction, self.places[direction])

    @property
    def hidden_underlay(self) -> str:
        """Why what leaves this host, or comes to it, is out of sight; empty where it is not."""
        if self.far is None or not self.plan.network.is_tunnelled:
            return sight.of_uplinks(self.switch, self.bridge)
        below = self.switch.interface(self.route.device) if self.route is not None else None
        return sight.of_uplinks(self.switch, below.bridge) if below is not None else ""

    def underlay_devices(self) -> tuple[str, ...]:
        """Return the devices on which the packets between the hosts can be seen."""
        if self.far is not None and not self.plan.network.is_tunnelled:
            return self.switch.system_devices(self.bridge)
        return () if self.route is None else devices_below(self.switch, self.route.device)


def devices_below(switch: database.Switch, device: str) -> tuple[str, ...]:
    """Return the devices on which packets that a route sends by `device` can be seen.

    With the datapath in userspace those of a tunnel never pass the bridge's own device, only the ports below it.
    """
    bridge = switch.interface(device)
    if bridge is None or bridge.type != "internal" or switch.datapath_type != "netdev":
        return (device,)
    return switch.system_devices(bridge.bridge) or (device,)


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
