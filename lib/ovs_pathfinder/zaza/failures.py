"""What other suites call when they fail: why was it not reached? The failure itself always stays what it was."""

import asyncio
import functools
import inspect
import logging
import pathlib
import types
import unittest
from collections.abc import Callable
from typing import Any, TypeVar, cast

from .. import errors, text
from ..command import keeping
from ..report import render
from . import client, options, tracing

Address = str | Callable[[], str]
Function = TypeVar("Function", bound=Callable[..., Any])
LONGEST = 600.0
"""Seconds that explaining may take at the most."""


class explained:  # noqa: N801 - used as a function is, like contextlib.suppress
    """Explain why something was not reached, where what is done here fails; also a decorator of a test.

    The report is logged, and written with the captured packets into the log directory. The failure is raised again as
    it was, whatever becomes of the explanation. A test that is skipped has not failed.
    """

    def __init__(self, destination: Address, source: str = "", *, protocol: str = "", port: int | None = None) -> None:
        """Say what may not be reached.

        Args:
            destination: As `plan-path` takes it; or a function that returns it, asked after the failure.
            source: From where; by default from all units of Octavia.
            protocol: `icmp`, `tcp` or `udp`; by default that of `tests_options`.
            port: Of tcp and udp.
        """
        self._explain = functools.partial(explain, destination, source, protocol=protocol, port=port)

    def __enter__(self) -> None:
        """Begin what may fail."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        """Explain a failure."""
        if _is_failure(error):
            self._explain()

    def __call__(self, function: Function) -> Function:
        """Return a function whose failures are explained."""
        if not inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            def called(*arguments: Any, **named: Any) -> Any:
                with self:
                    return function(*arguments, **named)

            return cast("Function", called)

        @functools.wraps(function)
        async def awaited(*arguments: Any, **named: Any) -> Any:
            try:
                return await function(*arguments, **named)
            except BaseException as error:
                if _is_failure(error):
                    await asyncio.to_thread(self._explain)
                raise

        return cast("Function", awaited)


def _is_failure(error: BaseException | None) -> bool:
    """Whether a test failed, rather than being skipped or interrupted; what pytest.fail raises is no Exception."""
    return type(error).__name__ == "Failed" or (
        isinstance(error, Exception) and not isinstance(error, unittest.SkipTest)
    )


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
        chosen = _chosen(wanted, source, protocol, port)
        traced = client.run(lambda: tracing.trace(chosen), LONGEST)
        logging.error("why %s was not reached:\n%s", wanted, render.document(traced.found, "text"))
        report = tracing.write(traced.found, _free(chosen.folder, f"unreached-{wanted}"))
        logging.error("the report is %s; %d files of captured packets", report, len(traced.captures))
    except errors.PathfinderError as error:
        logging.warning("ovs-pathfinder cannot explain the failure: %s", text.plain(str(error)))
        return None
    except Exception:
        logging.warning("ovs-pathfinder cannot explain the failure", exc_info=True)
        return None
    return report


def _chosen(wanted: str, source: str, protocol: str, port: int | None) -> options.Options:
    """Return the options of the suite, but for what is known of this failure."""
    given = options.read().model_dump(by_alias=True) | {"destinations": [wanted]}
    if source:
        given["sources"] = [source]
    if protocol:
        given |= {"protocol": protocol, "port": port}
    elif port is not None:
        given["port"] = port
    return options.parse(given)


def _free(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Return a name that no report has yet: something may be unreached twice."""
    wanted = keeping.file_name(name)
    taken = len(list(folder.glob(f"{wanted}*.html")))
    return folder / (f"{wanted}-{taken + 1}" if taken else wanted)
