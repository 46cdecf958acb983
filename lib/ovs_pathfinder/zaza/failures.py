"""What other suites call when they fail: why was it not reached? The failure itself always stays what it was."""

import contextlib
import logging
import pathlib
import re
import unittest
from collections.abc import Callable, Generator

from ..report import render
from . import client, options, tracing

Address = str | Callable[[], str]
LONGEST = 600.0
"""Seconds that explaining may take at the most."""
_STRANGE = re.compile(r"[^A-Za-z0-9_.-]")


@contextlib.contextmanager
def explained(
    destination: Address, source: str = "", *, protocol: str = "", port: int | None = None
) -> Generator[None]:
    """Explain why something was not reached, where what is done here fails; also a decorator of a test.

    The report is logged, and written with the captured packets into the log directory. The failure is raised again as
    it was, whatever becomes of the explanation. A test that is skipped has not failed.

    Args:
        destination: What was not reached, as `plan-path` takes it; or a function that returns it, asked after the
            failure.
        source: From where; by default from all units of Octavia.
        protocol: `icmp`, `tcp` or `udp`; by default that of `tests_options`.
        port: Of tcp and udp.
    """
    try:
        yield
    except unittest.SkipTest:
        raise
    except Exception:
        explain(destination, source, protocol=protocol, port=port)
        raise


def explain(
    destination: Address, source: str = "", *, protocol: str = "", port: int | None = None
) -> pathlib.Path | None:
    """Trace to a destination that was not reached; log the report, and write it with the captured packets.

    Args:
        destination: As of `explained`, like the others.
        source: From where.
        protocol: What is sent.
        port: Of tcp and udp.

    Returns:
        The report, as HTML; None where there is none. Nothing is ever raised: what went wrong is logged.
    """
    try:
        wanted = destination() if callable(destination) else destination
        given = options.read().model_dump(by_alias=True)
        given |= {"destinations": [wanted]}
        given |= {"sources": [source]} if source else {}
        given |= {"protocol": protocol, "port": port} if protocol else {}
        chosen = options.parse(given)
        name = f"unreached-{_STRANGE.sub('_', wanted)}"
        traced = client.run(lambda: tracing.trace(chosen, name), LONGEST)
        logging.error("why %s was not reached:\n%s", wanted, render.document(traced.found, "text"))
        logging.error("the report is in %s; %d files of captured packets", traced.report, len(traced.captures))
    except Exception as error:
        logging.warning("ovs-pathfinder cannot explain the failure: %s", error or type(error).__name__)
        return None
    return traced.report
