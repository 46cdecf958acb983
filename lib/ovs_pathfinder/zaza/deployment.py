"""Functions for `configure:` in tests.yaml: bring the charm in, or make sure that it is there."""

import asyncio
import logging
import time

from .. import errors
from ..command import juju
from . import client as client_
from . import options as options_
from . import untyped

_SLACK = 60.0
"""Seconds that Juju may take to answer, beyond those that it is waited for."""
_PAUSE = 2.0
"""Seconds between two looks at the model."""


def deploy() -> None:
    """Deploy the charm where it is not, relate it to its principals and to Keystone, and wait until it is ready.

    Raises:
        PathfinderError: A principal is not in the model, or the charm did not get ready in time.
    """
    options = options_.read()
    client_.run(lambda: _deploy(options), options.timeout)
    client_.run(lambda: _wait(options), options.timeout + _SLACK)


def check() -> None:
    """Make sure that the charm is on every unit of its principals, and ready.

    Raises:
        PathfinderError: It is not.
    """
    options = options_.read()
    if lacks := client_.run(lambda: _lacks(options), _SLACK):
        raise errors.PathfinderError(lacks)


async def _deploy(options: options_.Options) -> None:
    with client_.told(f"deploying {options.charm}"):
        await _bring(options)


async def _bring(options: options_.Options) -> None:
    model = await untyped.MODEL.get_model()
    missing = [one for one in options.principals if one not in model.applications]
    if missing:
        raise errors.PathfinderError(
            f"there is no application {missing[0]} in the model; deploy it first, or leave it out of "
            f"tests_options: {options_.NAME}.principals"
        )
    if options.application not in model.applications:
        logging.info("deploying %s as %s", options.charm, options.application)
        more = {"channel": options.channel, "base": options.base or await _base(options.principals[0])}
        given = {key: value for key, value in more.items() if value}
        await model.deploy(options.charm, application_name=options.application, num_units=0, **given)
    for principal in options.principals:
        await _relate(options, "juju-info", principal)
    if options.keystone and options.keystone in model.applications:
        await _relate(options, "keystone-credentials", options.keystone)


async def _relate(options: options_.Options, endpoint: str, remote: str) -> None:
    """Relate two applications where they are not; what the endpoint of the other is called, Juju finds out."""
    known = await untyped.MODEL.async_get_application(options.application)
    if not any(one.matches(f"{options.application}:{endpoint}", remote) for one in known.relations):
        logging.info("relating %s:%s to %s", options.application, endpoint, remote)
        await untyped.MODEL.async_add_relation(options.application, endpoint, remote)


async def _base(principal: str) -> str:
    """Return the base of an application, which its subordinates must have too; empty where Juju does not tell."""
    base = (await client_.model_status()).applications[principal].base
    return f"{base.name}@{base.channel.partition('/')[0]}" if base is not None and base.name else ""


async def _wait(options: options_.Options) -> None:
    """Wait until nothing lacks; what lacks at the end is told."""
    end = time.monotonic() + options.timeout
    while lacks := await _lacks_now(options):
        if time.monotonic() > end:
            raise errors.PathfinderError(f"{lacks}, {options.timeout:g} s after it was deployed")
        await asyncio.sleep(_PAUSE)


async def _lacks_now(options: options_.Options) -> str:
    """Say what lacks; a controller that does not answer for once may answer later."""
    try:
        return await _lacks(options)
    except juju.JujuError as error:
        return str(error)


async def _lacks(options: options_.Options) -> str:
    """Say what lacks until the charm can be used, or nothing."""
    status = await client_.model_status()
    if options.application not in status.applications:
        return f"there is no application {options.application} in the model"
    for principal in options.principals:
        if principal not in status.applications:
            return f"there is no application {principal} in the model"
        for name, host in untyped.branches(status.applications[principal].units).items():
            known = untyped.branches(host.subordinates)
            beside = [(key, one) for key, one in known.items() if key.rpartition("/")[0] == options.application]
            if not beside:
                return f"{name} has no unit of {options.application} beside it"
            ((unit, shown),) = beside
            workload, agent = shown.workload_status, shown.agent_status
            if workload.status != "active" or agent.status not in ("idle", "executing"):
                said = f" ({workload.info})" if workload.info else ""
                return f"{unit} is {workload.status} and {agent.status}{said}"
    return ""
