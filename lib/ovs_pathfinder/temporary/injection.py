"""An operator's own flows: read, with port names resolved, and held against the traffic that they are for."""

import re

from .. import errors, path, words
from ..vswitch import database
from . import flows, rule

_RESERVED = {"local", "in_port", "normal", "all", "any", "none", "controller", "flood", "table"}
"""OpenFlow's own ports (ovs-ofctl(8)), which are no names of devices."""


def prepare(
    text: str, bridge: str, switch: database.Switch, plan: path.Plan | None, *, allow_broad: bool
) -> flows.Flows:
    """Read flows for a bridge.

    Args:
        text: The flows, parted by blanks.
        bridge: The bridge.
        switch: The local switch, for names of ports.
        plan: The path whose traffic they are for, if one was named.
        allow_broad: Whether they may match other traffic too.

    Raises:
        PathfinderError: The bridge or a port does not exist, a flow is none, or it matches too much.
    """
    if bridge not in switch.bridges:
        raise errors.PathfinderError(
            f"there is no bridge {bridge[:40]!r} on this host; name one of {', '.join(switch.bridges) or 'none'}"
        )
    rules = tuple(_resolved(one, bridge, switch) for one in rule.parse(text))
    broad = [] if allow_broad else [one for one in rules if plan is None or not is_narrow(plan, one)]
    if broad and plan is None:
        raise errors.PathfinderError(
            f"the flow '{broad[0]}' may match any traffic: name the run whose traffic it is for (run=RUN), or say "
            "allow-broad=true"
        )
    if broad and plan is not None:
        raise errors.PathfinderError(
            f"the flow '{broad[0]}' matches more than the traffic of run {plan.run}: let it match, for one, "
            f"{_wanted(plan)[0]}; or say allow-broad=true"
        )
    return flows.Flows(bridge=bridge, cookie=flows.new_cookie(), rules=rules)


def _resolved(rule: rule.Rule, bridge: str, switch: database.Switch) -> rule.Rule:
    """Put the number of the port where its name is: the flow can be deleted when the port is gone, too."""
    name = rule.fields.get("in_port", "")
    if not name or re.fullmatch(r"[0-9]+|0x[0-9a-fA-F]+", name) or name.lower() in _RESERVED:
        return rule
    found = switch.interface(name)
    if found is None or found.bridge != bridge or (found.ofport or 0) < 1:
        raise errors.PathfinderError(
            f"there is no port {name[:40]!r} on {bridge}; see {words.pasted('ovs-vsctl', 'list-ports', bridge)}"
        )
    fields = [f"in_port={found.ofport}" if field == f"in_port={name}" else field for field in rule.match.split(",")]
    return rule.model_copy(update={"match": ",".join(fields)})


def is_narrow(plan: path.Plan, rule: rule.Rule) -> bool:
    """Whether a flow matches nothing but the plan's probe, its answers, or the two ends' questions for each other."""
    return any(_covers(rule, wanted) for wanted in _wanted(plan))


def _wanted(plan: path.Plan) -> list[str]:
    """Return the least that a narrow flow must match, for each kind of packet and direction."""
    ends = (plan.source.address, plan.destination.address)
    is_v6 = plan.ip_version == 6
    kind = {"icmp": "icmp6" if is_v6 else "icmp"}.get(plan.protocol, plan.protocol + ("6" if is_v6 else ""))
    family = "ipv6" if is_v6 else "nw"
    found: list[str] = []
    for first, second, port in ((*ends, "dst"), (*ends[::-1], "src")):
        service = f",{plan.protocol}_{port}={plan.port}" if plan.protocol != "icmp" else ""
        found.append(f"{kind},{family}_src={first},{family}_dst={second}{service}")
        found += [] if is_v6 else [f"arp,arp_spa={first},arp_tpa={second}"]
    macs = (plan.source.port.mac, plan.destination.port.mac)
    if is_v6:
        found += [f"icmp6,icmpv6_type=135,dl_src={mac},nd_target={end}" for mac in macs for end in ends]
        found += [f"icmp6,icmpv6_type=136,dl_src={mac},nd_target={end}" for mac in macs for end in ends]
    return found


_OTHER_NAMES = {
    "tp_src": "{0}_src",
    "tp_dst": "{0}_dst",
    "ip_src": "nw_src",
    "ip_dst": "nw_dst",
    "eth_src": "dl_src",
    "eth_dst": "dl_dst",
    "icmp_type": "{1}_type",
    "icmp_code": "{1}_code",
}
_NARROWING = re.compile(
    r"in_port|dl_(src|dst|vlan|vlan_pcp)|nw_(tos|ecn|ttl)|icmp(v6)?_(type|code)|(tcp|udp)_(src|dst)|tcp_flags|"
    r"tun_id|metadata|pkt_mark|ct_(state|zone|mark)|reg[0-9]+"
)
"""Fields that a flow may have beyond the wanted ones. Of two names for one field ovs-ofctl takes the last one, and so
of two protocols (`icmp,nw_src=…,tcp` is TCP): no other name of a wanted field is among them."""


def _covers(rule: rule.Rule, wanted: str) -> bool:
    """Whether a flow matches each of the wanted fields, exactly, and nothing that takes one of them back."""
    least = {name: value for name, _, value in (field.partition("=") for field in wanted.split(","))}
    transport = next((name for name in ("tcp", "udp") if name in least or f"{name}6" in least), "")
    icmp = "icmpv6" if "icmp6" in least else "icmp"
    fields = {_OTHER_NAMES.get(name, name).format(transport, icmp): value for name, value in rule.fields.items()}
    more = fields.keys() - least.keys()
    # Ports, types and codes share their places in a match: of another protocol's, they take back the wanted ones.
    others = tuple(f"{name}_" for name in ("tcp", "udp", "icmp", "icmpv6") if name != (transport or icmp))
    if len(fields) < len(rule.fields) or not all(_NARROWING.fullmatch(name) for name in more):
        return False
    if any(name.startswith(others) for name in more):
        return False
    return all(name in fields and path.same_address(fields[name].lower(), value) for name, value in least.items())
