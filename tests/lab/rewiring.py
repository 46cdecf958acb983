"""Neutron's agents in a lab, as far as they follow the API: a port that is changed there is wired anew.

    with rewiring.following(lab):
        …

What the stand-in of Neutron has taken is in the description that it serves, whoever serves it. Ports that are made or
deleted there are not followed, and unlike the agents `Lab.apply` replaces all of br-int's flows, those of others too.
"""

import contextlib
import json
import threading
from collections.abc import Generator
from typing import Any

from . import hosts

PERIOD = 0.2
"""Seconds between two looks."""
_WIRED = ("port_security_enabled", "security_groups", "allowed_address_pairs", "admin_state_up")
"""What of a port decides its flows."""


@contextlib.contextmanager
def following(lab: hosts.Lab) -> Generator[None]:
    """Wire br-int anew, within a moment, each time that a port changes in the API; the last time when the body ends."""
    ended = threading.Event()
    failures: list[Exception] = []

    def follow() -> None:
        try:
            while not ended.wait(PERIOD):
                catch_up(lab)
        except Exception as failure:
            failures.append(failure)

    agent = threading.Thread(target=follow, name="agents", daemon=True)
    agent.start()
    try:
        yield
    finally:
        ended.set()
        agent.join()
        catch_up(lab)
    if failures:
        raise failures[0]


def catch_up(lab: hosts.Lab) -> bool:
    """Wire what has changed in the API since the last time; return whether anything had."""
    served = json.loads((lab.directory / "cloud.json").read_text())
    now = {port["id"]: {key: port[key] for key in _WIRED} for port in served["ports"]}
    stale = [port for port in lab.description["ports"] if _differs(port, now.get(port["id"], {}))]
    for port in stale:
        port.update(now[port["id"]])
    if stale:
        lab.apply("br-int")
    return bool(stale)


def _differs(port: dict[str, Any], now: dict[str, Any]) -> bool:
    return any(port[key] != value for key, value in now.items())
