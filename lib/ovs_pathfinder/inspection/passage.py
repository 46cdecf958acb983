"""What becomes of a packet and its answer at two ports, by Neutron's rules and by the flows of this host."""

import ipaddress
from typing import Literal

from .. import cloud, errors, path
from ..cloud import neutron, search, security
from ..cloud import passage as passage_
from ..evidence import filtered


class Check(path.Model):
    """What becomes of the packet, or of its answer, at one port."""

    what: Literal["request", "reply"]
    port: str
    port_id: str
    host: str = ""
    verdict: security.Verdict
    flows: filtered.Filtered | None = None
    """What the flows do; None where the port is not on this host, and of an answer."""

    @property
    def way(self) -> str:
        """Say where the packet goes, in a word."""
        return "out" if self.verdict.way == "egress" else "in"

    @property
    def differs(self) -> bool:
        """Whether the flows do something else than the rules say; not where one of both cannot be told."""
        if self.flows is None or None in (self.flows.passes, self.verdict.passes):
            return False
        return self.flows.passes != self.verdict.passes

    @property
    def compared(self) -> str:
        """Hold the flows against the rules, in a sentence without its full stop; empty where there is nothing."""
        if self.flows is None:
            return ""
        if self.flows.passes is None:
            return f"what the flows of this host do cannot be told: {self.flows.where}"
        if self.differs:
            said = "do not let" if self.flows.passes else "let"
            return f"Neutron's rules {said} it {self.way}; {self.lag}"
        agree = (
            "agree" if self.verdict.passes is not None else f"{'let' if self.flows.passes else 'do not let'} it pass"
        )
        return f"the flows of this host {agree} ({self.flows.where})"

    @property
    def lag(self) -> str:
        """Say what the flows do that the rules do not; empty where they agree."""
        if not self.differs or self.flows is None:
            return ""
        done = f"let it {self.way}" if self.flows.passes else "do not"
        return f"the flows of this host {done} ({self.flows.where}): the agent has not followed"


def checks(case: passage_.Case) -> list[Check]:
    """Say what becomes of the packet at both ports and, if it passes, of its answer."""
    requests = case.requests()
    found = [_check("request", port, verdict) for port, verdict in requests]
    if any(verdict.passes is not True for _, verdict in requests):
        return found
    return found + [_check("reply", port, case.reply(port, request)) for port, request in reversed(requests)]


def _check(what: Literal["request", "reply"], port: path.Port, verdict: security.Verdict) -> Check:
    return Check(what=what, port=port.name or port.id, port_id=port.id, host=port.host, verdict=verdict)


def planned(openstack: cloud.Cloud, plan: path.Plan) -> tuple[passage_.End, passage_.End]:
    """Return the ends of a planned path, with their ports as they are now.

    Raises:
        PathfinderError: Neutron does not know one of them any more.
    """
    found = {one.id: one for one in neutron.ports(openstack, id=[plan.source.port.id, plan.destination.port.id])}
    for end in (plan.source, plan.destination):
        if end.port.id not in found:
            raise errors.PathfinderError(
                f"Neutron does not know port {end.port.id} of {end.label} any more, which run {plan.run} is of; plan "
                "the path again with plan-path"
            )
    first, second = (
        passage_.End(address=end.address, port=found[end.port.id].as_path(()))
        for end in (plan.source, plan.destination)
    )
    return first, second


def named(openstack: cloud.Cloud, port: str, address: str, remote: str) -> tuple[passage_.End, passage_.End, list[str]]:
    """Find a port by its id, name or address, and the port that has the other end's address.

    Returns:
        The port's end, the other one, and sentences on what is odd.

    Raises:
        PathfinderError: There is no such port, there are several, or it has no address to go with the other end's.
    """
    found = search.source(openstack, port)
    if len(found.ports) > 1:
        matches = [f"port {one.id} ({', '.join(one.addresses) or 'no address'})" for one in found.ports]
        raise errors.PathfinderError(
            f"{port} is ambiguous: {search.listed(matches, found.truncated)}; name one by its id"
        )
    own = next(iter(found.ports))
    end = passage_.End(address=address or _own_address(own, found, remote), port=own.as_path(()))
    other, notes = _other(openstack, remote, own)
    return end, other, notes


def _own_address(own: neutron.Port, found: search.Found, remote: str) -> str:
    fitting = [one for one in (*found.addresses, *own.addresses) if (":" in one) == (":" in remote)]
    is_link_local = ipaddress.ip_address(remote).is_link_local
    if is_link_local and ":" in remote:
        fitting.insert(0, security.link_local(own.mac_address))
    if not fitting:
        raise errors.PathfinderError(
            f"port {own.id} has no IPv{6 if ':' in remote else 4} address to go with {remote} (it has "
            f"{', '.join(own.addresses) or 'none'}); give another remote, or the port's address"
        )
    return fitting[0]


def _other(openstack: cloud.Cloud, remote: str, own: neutron.Port) -> tuple[passage_.End, list[str]]:
    """Find the port with the other end's address, on the port's network before all others."""
    if ipaddress.ip_address(remote).is_link_local:
        return passage_.End(address=remote), [f"{remote} is a link-local address: whose it is was not looked up."]
    found = neutron.ports(openstack, fixed_ips=[f"ip_address={remote}"])
    near = [one for one in found if one.network_id == own.network_id]
    if near:
        return passage_.End(address=remote, port=near[0].as_path(())), []
    if len(found) == 1:
        note = f"{remote} is on another network, {found[0].network_id}: its packets take a router."
        return passage_.End(address=remote, port=found[0].as_path(())), [note]
    if found:
        return passage_.End(address=remote), [
            f"{len(found)} ports on other networks have the address {remote}: none was taken."
        ]
    return passage_.End(address=remote), [
        f"Neutron knows no port with the address {remote}: only port {own.id} was looked at."
    ]
