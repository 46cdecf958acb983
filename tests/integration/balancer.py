"""For `configure:` in tests.yaml: a load balancer that stays, so that there is an amphora to trace to."""

import importlib
import time
from typing import Any, cast

import openstack

NAME = "ovs-pathfinder"
SUBNET = "private_subnet"
"""That `zaza.openstack.charm_tests.neutron.setup.basic_overcloud_network` makes."""
LIMIT = 1800.0
"""Seconds until it must be active: Octavia boots an amphora in nested virtualisation."""


def create() -> None:
    """Make the load balancer where it is not, and wait until it is active."""
    session: Any = importlib.import_module("zaza.openstack.utilities.openstack").get_overcloud_keystone_session()
    cloud = cast("Any", openstack).connection.Connection(session=session)
    balancers = cloud.load_balancer
    found = balancers.find_load_balancer(NAME)
    if found is None:
        subnet = cloud.network.find_subnet(SUBNET, ignore_missing=False)
        found = balancers.create_load_balancer(name=NAME, vip_subnet_id=subnet.id)
    end = time.monotonic() + LIMIT
    while (status := balancers.get_load_balancer(found.id).provisioning_status) != "ACTIVE":
        assert status != "ERROR", "Octavia could not make the load balancer"
        assert time.monotonic() < end, f"the load balancer is still {status}"
        time.sleep(10)
