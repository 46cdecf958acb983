"""What a trace says, in words: where it ends, what that means to Neutron, and the lines that prove it."""

import itertools

from .. import path
from ..evidence import record
from ..vswitch import cookie
from . import case as case_


def describe(case: case_.Case, trace: record.Trace | None, bridge: str) -> str:
    """Say in a few words what a trace says of one bridge: the theory column of the report."""
    if trace is None or not trace.steps:
        return ""
    if trace.reaches:
        return "forwards" if trace.outcome == "forwarded" or bridge == "br-int" else "floods"
    met = {step.bridge for step in trace.steps}
    last = end(case, trace)
    if bridge not in met:
        return "not reached" if trace.stops else ""
    if last.bridge != bridge:
        return "forwards"
    if not trace.stops:
        return "not followed"
    word = {"dropped": "drops", "failed": "fails", "misdirected": "errs"}[trace.outcome]
    return f"{word}, table {last.table}"


def end(case: case_.Case, trace: record.Trace) -> record.Step:
    """Return the step that decided, in Neutron's own bridges: the one before the firewall's common drop table."""
    neutrons = [step for step in trace.steps if step.bridge in case.bridges]
    steps = [step for step in neutrons if not (step.bridge == "br-int" and step.table == 93)]
    return (steps or neutrons or list(trace.steps))[-1]


def side(segment: case_.Segment, step: record.Step) -> path.Role:
    """Return the end that a table of the firewall guards: 81 and 82 the receiver's, the others the sender's."""
    if step.table in (81, 82) and segment.receiver is not None:
        return segment.receiver
    return segment.sender or segment.role


def cause(
    case: case_.Case, segment: case_.Segment, trace: record.Trace, step: record.Step, what: str = ""
) -> tuple[str, case_.Place, str]:
    """Say what it means that a packet ends at this flow: code, place, and the reason in words.

    Args:
        case: The case.
        segment: The stretch that the packet is on.
        trace: Its trace.
        step: The flow.
        what: What the packet is to the rules, such as `udp port 5555`; what the plan sends by default.
    """
    what = what or case.plan.protocol + (f" port {case.plan.port}" if case.plan.port else "")
    evidence = case.evidence(segment.role)
    owner = evidence.agent_cookies.get(step.bridge) if evidence else None
    is_others = owner is not None and step.priority is not None and step.cookie != owner
    if is_others and cookie.owner(step.cookie) != "perhaps-agent":
        return (
            "foreign-flow",
            case.place(step.bridge),
            f"the flow's cookie is {step.cookie}, and the agent's is {owner}",
        )
    if step.bridge == "br-int":
        return _cause_in_br_int(case, segment, step, what)
    if step.bridge in case.trunk_bridges:
        return _cause_in_trunk(step)
    if case.place(step.bridge) == "br-phys":
        return "flows-missing", "br-phys", _cause_in_br_phys(case, segment, step)
    if "routing failed" in trace.reason or "neighbor cache miss" in trace.reason:
        return "underlay-unroutable", "underlay", trace.reason
    if step.bridge == "br-tun":
        return _cause_in_br_tun(case, step)
    return "underlay-unroutable", "underlay", trace.reason or f"bridge {step.bridge} leads nowhere"


def _cause_in_br_int(
    case: case_.Case, segment: case_.Segment, step: record.Step, what: str
) -> tuple[str, case_.Place, str]:
    guarded = case.plan.endpoint(side(segment, step))
    groups = " and ".join(group.name or group.id for group in guarded.port.security_groups) or "no security group"
    if step.priority is None:
        evidence = case.evidence(segment.role)
        is_empty = evidence is not None and step.bridge in evidence.empty_bridges
        why = f"{step.bridge} has no flows at all" if is_empty else "no flow matches there"
        return "flows-missing", "br-int", why
    if step.table == 0 and segment.sender is None and not case.plan.network.is_tunnelled:
        return "segment-missing", "br-int", f"no flow takes packets of {case.plan.network} to a local VLAN"
    if step.table == 0 and step.priority > 0 and ("dl_vlan=4095" in step.match or step.match.startswith("in_port=")):
        return "port-not-wired", "br-int", "the port is on the dead VLAN, or the agent drops all that it sends"
    if step.table in (24, 25):
        return "source-address-wrong", "br-int", "anti-spoofing does not know the sender's MAC or IP address"
    if step.table == 71 and step.priority > 0:
        return "source-address-wrong", "br-int", "anti-spoofing does not know the sender's MAC or IP address"
    if step.table in (72, 82) and "+inv" in step.match:
        return "conntrack-invalid", "br-int", "conntrack calls the packet invalid"
    if step.table in (72, 82) and "ct_mark=0x1" in step.match.replace("ct_mark=1", "ct_mark=0x1"):
        return "conntrack-stale", "br-int", "conntrack remembers the connection as one that was cut off"
    if step.table in (72, 82) and step.priority > 0:
        way = "egress" if step.table == 72 else "ingress"
        ruling = _ruling(case, segment, step, what)
        if ruling is not None and ruling.passes:
            why = f"Neutron's rules let {what} pass {ruling.why} when the path was planned, and no flow here does"
            return "flows-missing", "br-int", why
        said = f": Neutron's own rules drop it, {ruling.why}" if ruling is not None and ruling.passes is False else ""
        where = "out" if way == "egress" else "in"
        return f"{way}-rule-missing", "br-int", f"no {way} rule of {groups} lets {what} {where}{said}"
    if step.table == 60 and step.match == "":
        return "port-not-wired", "br-int", "the port has no flows of its own"
    return "flows-missing", "br-int", "the flows of the port are not there"


def _cause_in_trunk(step: record.Step) -> tuple[str, case_.Place, str]:
    if step.priority:
        return "foreign-flow", "br-int", "Neutron's agent has no flows on a trunk's bridge but the one that switches"
    if step.priority is None:
        return "flows-missing", "br-int", "the trunk's bridge has no flow at all, and Neutron's agent leaves it NORMAL"
    return "port-not-wired", "br-int", "the trunk's bridge passes them to none of its ports that leads on"


def remedy(case: case_.Case, segment: case_.Segment, step: record.Step) -> tuple[str, ...]:
    """Return the command that adds the rule which is missing, where Neutron's rules were looked at."""
    is_filter = step.bridge == "br-int" and step.table in (72, 82) and segment.direction == "forward"
    ruling = case.plan.ruling(side(segment, step), "egress" if step.table == 72 else "ingress") if is_filter else None
    return (ruling.missing,) if ruling is not None and ruling.missing else ()


def _ruling(case: case_.Case, segment: case_.Segment, step: record.Step, what: str) -> path.Ruling | None:
    """Return what Neutron's rules say of the probe's packet where flows drop it; of other packets they say nothing."""
    is_probe = what == case.plan.protocol + (f" port {case.plan.port}" if case.plan.port else "")
    if segment.direction != "forward" or not is_probe:
        return None
    return case.plan.ruling(side(segment, step), "egress" if step.table == 72 else "ingress")


def _cause_in_br_tun(case: case_.Case, step: record.Step) -> tuple[str, case_.Place, str]:
    key = f"{case.plan.network.segmentation_id or 0:#x}"
    if step.priority is None:
        return "flows-missing", "br-tun", "no flow matches there"
    if step.table == 0:
        return "flows-missing", "br-tun", "the agent has no flow for the port that they come in through"
    if step.table in (3, 4, 6):
        return "segment-missing", "br-tun", f"the host does not know tunnel key {key}"
    if step.table in (20, 21, 22):
        return "forwarding-entry-wrong", "br-tun", "no entry leads to the other host"
    return "flows-missing", "br-tun", "no flow leads on"


def _cause_in_br_phys(case: case_.Case, segment: case_.Segment, step: record.Step) -> str:
    network = case.plan.network
    if step.priority is None:
        return "no flow matches there"
    if segment.sender is not None:
        return f"no flow takes packets of the local VLAN to {network}"
    return f"no flow takes packets of {network} to br-int"


def quote(case: case_.Case, trace: record.Trace | None, around: record.Step | None = None) -> tuple[str, ...]:
    """Quote a trace: its command, its way, and the steps before and after `around`, or the last ones."""
    if trace is None:
        return ()
    steps = [step for step in trace.steps if step.bridge in case.bridges]
    visits = ((name, len(list(same))) for name, same in itertools.groupby(f"{one.bridge} {one.table}" for one in steps))
    tables_ = " → ".join(f"{name} ({count} times)" if count > 1 else name for name, count in visits)
    outcome = f"{trace.outcome.replace('-', ' ')}{f' ({trace.reason})' if trace.reason else ''}"
    at = steps.index(around) + 1 if around in steps else len(steps)
    last = dict.fromkeys(f"{step}{moved(step)}" for step in steps[max(0, at - 3) : at])
    return (trace.command, f"{outcome}: {tables_}", *last)


def moved(step: record.Step) -> str:
    """Say what a flow counted during the probe."""
    return "" if step.moved is None else f": +{step.moved} packets during the probe"
