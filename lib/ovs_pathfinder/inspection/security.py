"""Do the security groups let a packet pass, by which rule, or which is missing? (`explain-security`)."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import pydantic

from .. import errors, process
from ..cloud import groups, hosts, rules
from ..cloud import passage as passage_
from ..evidence import filtered
from ..vswitch import database, datapath
from . import answer, passage, query
from . import context as context_

_Port = Annotated[int, pydantic.Field(ge=1, le=65535)]
_Octet = Annotated[int, pydantic.Field(ge=0, le=255)]


def _protocol(value: str) -> str:
    if value.isascii() and value.isdecimal():
        if int(value) > 255:
            raise ValueError("the numbers of IP protocols end at 255; give one up to that, or a name such as tcp")
    elif value.lower() not in rules.NUMBERS:
        raise ValueError(f"it is no protocol that Neutron knows; give a number, or one of {', '.join(rules.NUMBERS)}")
    return value.lower()


class Query(query.Query):
    """Of explain-security."""

    run: query.OptionalRun = ""
    port: query.OptionalText = ""
    """Of Neutron, by id, name or address."""
    direction: Literal["ingress", "egress"] = "ingress"
    remote: query.OptionalIp = ""
    address: query.OptionalIp = ""
    """The port's own, where it has several."""
    protocol: Annotated[query.OptionalText, pydantic.AfterValidator(_protocol)] = "icmp"
    destination_port: _Port | None = None
    source_port: _Port | None = None
    icmp_type: _Octet | None = None
    icmp_code: _Octet | None = None
    source_mac: query.OptionalMac = ""

    @pydantic.model_validator(mode="after")
    def _is_one_question(self) -> "Query":
        if bool(self.run) == bool(self.port):
            raise ValueError("give either run, or port with the address of the other end as remote")
        if self.port and not self.remote:
            raise ValueError("port needs remote as well: the address of the other end")
        if self.port and rules.number(self.protocol, 4) in rules.WITH_PORTS and self.destination_port is None:
            raise ValueError(f"the protocol {self.protocol} needs destination-port, such as 9443")
        return self

    @property
    def packet(self) -> passage_.Wanted:
        """What was named of the packet."""
        return passage_.Wanted(
            protocol=self.protocol,
            destination_port=self.destination_port,
            source_port=self.source_port,
            icmp_type=self.icmp_type,
            icmp_code=self.icmp_code,
            source_mac=self.source_mac,
        )


class Answer(answer.Answer):
    """Of explain-security."""

    action: ClassVar[str] = "explain-security"
    subject: str
    """The packet, in words."""
    passes: bool | None
    """Whether Neutron's rules let it and its answer pass; None where that cannot be told."""
    checks: tuple[passage.Check, ...] = ()


def run(query: Query, context: context_.Context) -> Answer:
    """Say whether a packet and its answer pass both ports, by which rule, and whether the flows here agree.

    Raises:
        PathfinderError: OpenStack cannot be asked, or what was named is not there.
    """
    plan = context.plan(query.run) if query.run else None
    with context.connect() as openstack:
        context.log("asking Neutron for the ports and their security groups")
        notes = list[str]()
        if plan is not None:
            sender, receiver = passage.planned(openstack, plan)
            wanted = passage_.Wanted(protocol=plan.protocol, destination_port=plan.port, source_port=query.source_port)
        else:
            own, other, notes = passage.named(openstack, query.port, query.address, query.remote)
            sender, receiver = (other, own) if query.direction == "ingress" else (own, other)
            wanted = query.packet
        packet = passage_.packet(wanted, sender, receiver)
        ends = [end.port for end in (sender, receiver) if end.port is not None]
        known = groups.read(openstack, [one.id for port in ends for one in port.security_groups])
        case = passage_.Case(sender, receiver, packet, known)
        notes += case.ask_remotes(openstack)
    checks, more = _with_flows(case, context)
    found = [one.verdict.passes for one in checks]
    subject = f"{packet.what} from {packet.source} to {packet.destination}"
    return Answer(
        summary=summary(subject, checks),
        subject=subject,
        passes=False if False in found else None if None in found else True,
        checks=tuple(checks),
        notes=(*notes, *_on_groups(known), *more),
    )


def _on_groups(known: Sequence[groups.Group]) -> list[str]:
    stateless = [one.name or one.id for one in known if not one.stateful]
    if not stateless:
        return []
    return [
        f"Security group {stateless[0]} is stateless, so answers need a rule of their own; the openvswitch firewall "
        "tracks their connections all the same, and lets them pass."
    ]


def _with_flows(case: passage_.Case, context: context_.Context) -> tuple[list[passage.Check], list[str]]:
    """Hold what the rules say of the request against the flows, at the ports that this host has."""
    checks = passage.checks(case)
    try:
        switch, ports = database.read(), datapath.read_ports()
    except (errors.PathfinderError, process.ProcessError) as error:
        return checks, [f"The flows of this host could not be compared: {error}."]
    notes = list[str]()
    for at, check in enumerate(checks):
        if check.what == "reply":
            continue
        interface = switch.port_of(check.port_id)
        if interface is None:
            notes += _elsewhere(check, context)
            continue
        context.log(f"asking this host's flows at {interface.name}")
        if check.verdict.way == "egress":
            mac = case.receiver.port.mac if case.receiver.port is not None else ""
            flows = filtered.egress(interface, case.packet, mac)
        else:
            mac = case.receiver.port.mac if case.receiver.port is not None else ""
            flows = filtered.ingress(interface, case.packet, mac, switch, ports)
        checks[at] = check.model_copy(update={"flows": flows})
    return checks, notes


def _elsewhere(check: passage.Check, context: context_.Context) -> list[str]:
    """Say where the flows of a port could be compared."""
    if not check.host:
        return [f"The flows of port {check.port} were not compared: Neutron does not tell its host."]
    unit, _ = hosts.located(check.host, context.units())
    where = f"run this on {unit.name}" if unit else "no unit of ovs-pathfinder is there"
    return [f"The flows of port {check.port} were not compared, as it is on {check.host}: {where}."]


def summary(subject: str, checks: Sequence[passage.Check]) -> str:
    """Say in one sentence whether the packet passes; where the flows do otherwise, that comes too."""
    stopped = next((one for one in checks if one.verdict.passes is False), None)
    unknown = next((one for one in checks if one.verdict.passes is None), None)
    if stopped is not None:
        who = "The answer to " if stopped.what == "reply" else ""
        where = f"{'out of' if stopped.way == 'out' else 'into'} {stopped.port}"
        said = f"{who}{subject} is dropped on the way {where}, {stopped.verdict.why}"
    elif unknown is not None:
        said = f"Whether {subject} passes cannot be told, {unknown.verdict.why}"
    else:
        ways = [f"{one.way} {one.verdict.why}" for one in checks if one.what == "request"]
        back = [one.verdict.why for one in checks if one.what == "reply"]
        said = f"{subject} passes: {', '.join(ways)}" + (f"; its answer {_back(back)}" if back else "")
    odd = [one.lag for one in checks if one.differs]
    return f"{said}{''.join(f'; but {one}' for one in odd)}."


def _back(ways: Sequence[str]) -> str:
    """Say how the answer passes; both ports mostly do it in the same way."""
    return " and ".join(dict.fromkeys(ways))
