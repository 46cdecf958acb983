"""Which amphorae are there, where do they live, and which of them can Octavia's worker on this host not reach?"""

import concurrent.futures
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar

import pydantic

from .. import cloud, errors, path
from ..cloud import connection, hosts, nova, octavia, search
from . import answer, context, worker_log
from . import query as query_

_BALANCERS = 1000
_STATUS = re.compile(r"[A-Z][A-Z_]*")
_SUGGESTED = 3
"""Commands that are suggested at the most; one path often stands for all."""
_PREFIX = "amphora-"
"""Of the names that Octavia gives to the servers of amphorae (`octavia/compute/drivers/nova_driver.py`)."""


class Query(query_.Query):
    """Of list-amphorae."""

    status: query_.OptionalText = ""
    loadbalancer: query_.OptionalText = ""
    limit: Annotated[int, pydantic.Field(ge=1, le=1000)] = 100

    @pydantic.field_validator("status")
    @classmethod
    def _is_a_status(cls, value: str) -> str:
        given = value.upper()
        if given and not _STATUS.fullmatch(given):
            raise ValueError(f"{value!r} is no status of an amphora; give one word such as BOOTING, ALLOCATED or ERROR")
        return given


class Amphora(path.Model):
    """An amphora, and where it lives."""

    id: str
    status: str
    role: str = ""
    """`MASTER`, `BACKUP` or `STANDALONE`; empty while Octavia has not decided."""
    loadbalancer_id: str = ""
    loadbalancer: str = ""
    """The load balancer's name."""
    management_address: str = ""
    """On the management network (`lb_network_ip`); empty while it boots."""
    vrrp_addresses: tuple[str, ...] = ()
    """On the network of the VIP: the amphora's own (`vrrp_ip`), then the VIP (`ha_ip`)."""
    server_id: str = ""
    server: str = ""
    """The server's name by Nova; empty where Nova was not asked, or has none."""
    server_status: str = ""
    host: str = ""
    unit: str = ""
    """The unit of ovs-pathfinder on that host."""
    principal: str = ""
    updated: str = ""
    """When Octavia last changed it, UTC."""
    trouble: worker_log.Trouble | None = None
    """What the worker's log on this unit's host says of its management address."""
    reached_since: bool = False
    """Whether it is ALLOCATED, and changed after the latest failed attempt: such attempts belong to its boot."""

    @property
    def unreachable(self) -> bool:
        """Whether the log speaks of failed attempts that no success has followed."""
        return self.trouble is not None and not self.reached_since


class Answer(answer.Answer):
    """All amphorae that were asked for; those that cannot be reached come first."""

    action: ClassVar[str] = "list-amphorae"
    unit: str
    """Whose host's log was read."""
    status: str = ""
    """The filter that was given."""
    loadbalancer: str = ""
    """The filter that was given."""
    amphorae: tuple[Amphora, ...] = ()
    others: tuple[worker_log.Trouble, ...] = ()
    """Addresses that the log names and that no listed amphora has."""
    log: worker_log.Log
    """Without its troubles, which are with the amphorae."""
    next: tuple[str, ...] = ()
    """Commands to run next."""


def run(query: Query, context: context.Context) -> Answer:
    """Ask Octavia, then Nova, and read the worker's log.

    Raises:
        PathfinderError: There are no credentials, Octavia does not answer, or it has no such load balancer.
    """
    with context.connect() as connected, concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        balancer = _balancer(connected, query.loadbalancer) if query.loadbalancer else None
        context.log("asking Octavia for amphorae")
        filters = {"status": query.status, "loadbalancer_id": balancer.id if balancer else ""}
        found = octavia.amphorae(connected, {key: value for key, value in filters.items() if value}, query.limit)
        context.log(f"asking Nova for the servers of {len(found)} amphorae")
        asked = pool.submit(_servers, connected, found)
        names, doubts = _names(connected, found, balancer)
        servers, trouble = asked.result()
    log = worker_log.read()
    rows, puzzles = _rows(found, servers, names, context.units(), log)
    notes = [
        *([f"There may be more amphorae than these {query.limit}: raise limit."] if len(found) >= query.limit else []),
        *doubts,
        *([trouble] if trouble else []),
        *puzzles,
        *_about(log),
    ]
    addresses = {row.management_address for row in rows}
    return Answer(
        summary=_summary(rows, log, query),
        notes=tuple(dict.fromkeys(notes)),
        unit=context.unit,
        status=query.status,
        loadbalancer=query.loadbalancer,
        amphorae=tuple(sorted(rows, key=_order)),
        others=tuple(one for one in log.troubles if one.address not in addresses),
        log=log.model_copy(update={"troubles": ()}),
        next=_next(rows, context),
    )


def _balancer(connected: cloud.Cloud, text: str) -> octavia.LoadBalancer:
    """Return the load balancer of an id or a name."""
    found: list[octavia.LoadBalancer] = []
    if search.is_identifier(text):
        found += octavia.load_balancers(connected, {"id": text.lower()}, 1)
    if not found:
        found += octavia.load_balancers(connected, {"name": text}, search.MOST_NAMED + 1)
    if not found:
        raise errors.PathfinderError(
            f"Octavia knows no load balancer with the id or name {text!r}; check it with `openstack loadbalancer list`"
        )
    if len(found) > 1:
        listed = search.listed([one.id for one in found])
        raise errors.PathfinderError(f"several load balancers have the name {text!r}: {listed}; give one by its id")
    return found[0]


def _names(
    connected: cloud.Cloud, found: Sequence[octavia.Amphora], balancer: octavia.LoadBalancer | None
) -> tuple[Mapping[str, str], list[str]]:
    """Return the names of the amphorae's load balancers by their ids, and what could not be found out."""
    wanted = {one.loadbalancer_id for one in found} - {""}
    if balancer is not None or not wanted:
        return ({balancer.id: balancer.name} if balancer else {}), []
    # Octavia takes one value of a filter alone.
    filters = {"id": next(iter(wanted))} if len(wanted) == 1 else {}
    try:
        known = octavia.load_balancers(connected, filters, _BALANCERS)
    except connection.Unanswered as failure:
        return {}, [f"The load balancers' names are not known: {failure}"]
    names = {one.id: one.name for one in known}
    cut = len(known) >= _BALANCERS and not wanted <= set(names)
    said = [f"Some load balancers' names are not shown: there are more than {_BALANCERS} of them."] if cut else []
    return names, said


def _servers(connected: cloud.Cloud, found: Sequence[octavia.Amphora]) -> tuple[Mapping[str, nova.Server], str]:
    """Return the amphorae's servers by their ids, and why Nova did not tell."""
    names = [f"{_PREFIX}{one.id}" for one in found if one.compute_id]
    try:
        return {server.id: server for server in nova.servers_of_names(connected, names, _PREFIX)}, ""
    except connection.Unanswered as failure:
        return {}, f"The amphorae's servers and hosts are not known: {failure}"


def _rows(
    found: Iterable[octavia.Amphora],
    servers: Mapping[str, nova.Server],
    names: Mapping[str, str],
    units: Sequence[path.Unit],
    log: worker_log.Log,
) -> tuple[list[Amphora], list[str]]:
    troubles = {one.address: one for one in log.troubles}
    rows: list[Amphora] = []
    notes: list[str] = []
    for one in found:
        server = servers.get(one.compute_id)
        host = server.host if server else ""
        unit, puzzle = hosts.located(host, units)
        address = _canonical(one.lb_network_ip)
        trouble = troubles.get(address) if address else None
        rows.append(
            Amphora(
                id=one.id,
                status=one.status,
                role=one.role,
                loadbalancer_id=one.loadbalancer_id,
                loadbalancer=names.get(one.loadbalancer_id, ""),
                management_address=address,
                vrrp_addresses=tuple(_canonical(text) for text in (one.vrrp_ip, one.ha_ip) if text),
                server_id=one.compute_id,
                server=server.name if server else "",
                server_status=server.status if server else "",
                host=host,
                unit=unit.name if unit else "",
                principal=unit.principal if unit else "",
                updated=one.updated_at,
                trouble=trouble,
                reached_since=trouble is not None and one.status == "ALLOCATED" and trouble.latest < _as_logged(one),
            )
        )
        notes += [puzzle] if puzzle else []
        if servers and one.compute_id and server is None and one.status != "DELETED":
            notes.append(f"Nova has no server {one.compute_id} named {_PREFIX}{one.id}: was it deleted or renamed?")
    return rows, notes


def _as_logged(one: octavia.Amphora) -> str:
    """Return the time of an amphora's latest change as the log writes times, so that both compare as text."""
    return one.updated_at.replace("T", " ")


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _order(row: Amphora) -> tuple[bool, bool, str, str]:
    return (not row.unreachable, row.status in ("ALLOCATED", "DELETED"), row.loadbalancer, row.id)


def _summary(rows: Sequence[Amphora], log: worker_log.Log, query: Query) -> str:
    which = " ".join(
        part
        for part in (
            f"with status {query.status}" if query.status else "",
            f"of load balancer {query.loadbalancer}" if query.loadbalancer else "",
        )
        if part
    )
    if not rows:
        return f"Octavia has no amphora{f' {which}' if which else ''}."
    counted: dict[str, int] = {}
    for row in rows:
        counted[row.status or "without status"] = counted.get(row.status or "without status", 0) + 1
    many = ", ".join(f"{number} {status}" for status, number in sorted(counted.items()))
    head = f"{len(rows)} {'amphora' if len(rows) == 1 else 'amphorae'}{f' {which}' if which else ''} ({many})"
    if not log.present:
        return f"{head}; this host has no log of Octavia's worker or health manager."
    if _says_nothing(log):
        return (
            f"{head}; nothing in Octavia's logs on this host was understood, so whether each is reached is not known."
        )
    bad = [row.trouble for row in rows if row.unreachable and row.trouble]
    if not bad:
        return f"{head}; Octavia's logs on this host name none that cannot be reached."
    since = min(one.first for one in bad)
    return f"{head}; Octavia on this host could not reach {len(bad)} of them, the first since {since}."


def _says_nothing(log: worker_log.Log) -> bool:
    """Whether the log says nothing of any amphora, as no line of it was understood or it could not be read."""
    return not log.troubles and (bool(log.problem) or (log.bytes > 0 and not log.understood))


def _about(log: worker_log.Log) -> list[str]:
    """Say what the log cannot tell."""
    said = [f"{log.problem}, so what it says is not known."] if log.problem else []
    if not log.present:
        if not log.problem:
            said.append(f"There is no {log.file} on this host; a unit of Octavia has it.")
        return said
    if not log.whole:
        said.append(
            f"Of Octavia's logs the latest {log.bytes:,} bytes were read, from {log.since or 'an unknown time'} on: "
            "failures may have begun earlier."
        )
    if log.bytes and not log.understood:
        said.append(
            f"No line of {log.file} begins with a time as oslo.log writes it (2022-03-12 09:04:19.832), so none was "
            "understood."
        )
    if log.nameless:
        said.append(f"{log.nameless} lines of the log tell of a failed attempt without naming the address.")
    return said


def _next(rows: Sequence[Amphora], context: context.Context) -> tuple[str, ...]:
    own = next((unit for unit in context.units() if unit.name == context.unit), None)
    source = own.principal if own and own.principal else "octavia/0"
    leader = f"{context.unit.partition('/')[0]}/leader"
    wanted = [row.management_address for row in rows if row.unreachable][:_SUGGESTED]
    return tuple(context.command(leader, "plan-path", f"source={source}", f"destination={one}") for one in wanted)
