"""What the tests need: a Juju client, a model that answers, and the charm in it; without, they are skipped."""

import os
import shutil

import jubilant
import pytest

APPLICATION = os.environ.get("OVS_PATHFINDER_APPLICATION", "ovs-pathfinder")


@pytest.fixture(scope="session")
def juju() -> jubilant.Juju:
    """Return the model."""
    wanted = os.environ.get("JUJU") or "juju"
    binary = shutil.which(wanted)
    if binary is None:
        pytest.skip(f"there is no Juju client {wanted!r}; install it, or set $JUJU")
    found = jubilant.Juju(cli_binary=binary, wait_timeout=300)
    try:
        status = found.status()
    except jubilant.CLIError as error:
        pytest.skip(f"no model answers: {' '.join(error.stderr.split())[:200]}")
    if APPLICATION not in status.apps:
        pytest.skip(f"the model {status.model.name} has no application {APPLICATION}")
    return found


@pytest.fixture(scope="session")
def units(juju: jubilant.Juju) -> dict[str, jubilant.statustypes.UnitStatus]:
    """Return the charm's units by name."""
    found = juju.status().get_units(APPLICATION)
    assert found, "the charm is related to no principal"
    return found
