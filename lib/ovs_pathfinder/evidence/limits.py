"""What may lose the probe's packets lawfully on this host: meters, policers, queues; and whether it did meanwhile.

Neutron limits what a port may send by a meter (packets) or by a policer of its device (bits), and what it may receive
by a meter or by queues of its device (`qos_driver.py` of the Open vSwitch agent).
"""

import json
import re
from collections.abc import Iterator, Sequence

from .. import path, process
from ..vswitch import meter
from . import local, record

_METER = re.compile(r"^meter:(\d+)$")
_UNCOUNTED = re.compile(r"^(?:set_queue:\d+|sample\(.*)$")
_DROPPED = re.compile(r"\bdropped (\d+)")
_POLICING = (
    "ingress_policing_rate",
    "ingress_policing_burst",
    "ingress_policing_kpkts_rate",
    "ingress_policing_kpkts_burst",
)


def read(here: local.Local, traces: Sequence[record.Trace]) -> tuple[record.Limit, ...]:
    """Return the limits on the traced paths, with what each has dropped until now; of a daemon that hangs, none."""
    if here.vswitchd:
        return ()
    found = [limit for one in traces if one.subject == "plan" for limit in _on_path(one)]
    for role in here.roles:
        found += _of_device(here, role)
    return tuple(dict.fromkeys(found))


def risen(before: Sequence[record.Limit], after: Sequence[record.Limit]) -> tuple[record.Limit, ...]:
    """Return the limits with what each has dropped between two readings; unknown where one of them is."""
    then = {_key(one): one.dropped for one in before}
    found: list[record.Limit] = []
    for one in after:
        earlier = then.get(_key(one))
        is_known = one.dropped is not None and earlier is not None and one.dropped >= earlier
        rise = (one.dropped or 0) - (earlier or 0) if is_known else None
        found.append(one.model_copy(update={"dropped": rise}))
    return tuple(found)


def _key(one: record.Limit) -> tuple[str, str, str]:
    return one.kind, one.name, one.direction


def _on_path(traced: record.Trace) -> Iterator[record.Limit]:
    """Yield the meters that a traced packet meets, and other actions that may lose it and count nothing."""
    for where in traced.steps:
        about = {"direction": traced.direction, "bridge": where.bridge, "step": str(where)}
        for action in where.actions:
            if (metered := _METER.match(action)) is not None:
                found = meter.read(where.bridge, int(metered[1]))
                name = f"meter {metered[1]} of {where.bridge}"
                yield record.Limit.model_validate(
                    {"kind": "meter", "name": name, "setting": found.setting, "dropped": found.exceeded, **about}
                )
            elif _UNCOUNTED.match(action):
                yield record.Limit.model_validate({"kind": "action", "name": f"{action} in {where}", **about})


def _of_device(here: local.Local, role: path.Role) -> Iterator[record.Limit]:
    """Yield the policer and the queues of a port's device: of what it sends, and of what it gets."""
    name = here.entry(role)
    if not name:
        return
    out: path.Direction = "forward" if role == "source" else "reply"
    back: path.Direction = "reply" if role == "source" else "forward"
    interface, port = _rows(name)
    policing = " ".join(f"{key}={interface[key]}" for key in _POLICING if interface.get(key))
    if policing:
        dropped = _dropped("filter", "show", "dev", name, "ingress")
        yield record.Limit(kind="policer", name=f"policing of {name}", direction=out, setting=policing, dropped=dropped)
    if port.get("qos") not in (None, ["set", []]):
        yield record.Limit(
            kind="queue", name=f"queues of {name}", direction=back, dropped=_dropped("qdisc", "show", "dev", name)
        )


def _rows(name: str) -> tuple[dict[str, object], dict[str, object]]:
    """Return a device's rows in the tables Interface and Port, with whatever columns this version has."""
    try:
        command = process.Command(["ovs-vsctl", "--format=json", "--", "list", "Interface"], name)
        text = process.run(command.then(["--", "list", "Port"], name))
        documents = [json.loads(line) for line in text.splitlines()]
        first, second = (dict(zip(one["headings"], one["data"][0], strict=True)) for one in documents)
    except (process.ProcessError, ValueError, KeyError, IndexError):  # a port of a bond has another name
        return {}, {}
    return first, second


def _dropped(*question: str) -> int | None:
    """Ask the kernel what it has dropped by its traffic control (tc(8)); None where it does not say."""
    try:
        counts = _DROPPED.findall(process.run(process.Command(["tc", "-s"], *question)))
    except process.ProcessError:
        return None
    return sum(int(count) for count in counts) if counts else None
