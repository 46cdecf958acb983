"""OpenStack → Plan: ask the cloud which two ports a path joins, and how they are wired.

    with cloud.connect(credentials) as openstack:
        plan = cloud.make_plan(openstack, source="octavia/2", destination="fc00::1", units=units, …)

A plan costs at most 12 requests, each filtered by the server. Everything that goes wrong is an
`errors.PathfinderError`. Importing this package does not import openstacksdk, which takes more than a second;
`connect` does.
"""

from .connection import Cloud, Credentials, connect
from .planning import make_plan

__all__ = ["Cloud", "Credentials", "connect", "make_plan"]
