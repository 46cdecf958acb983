"""`python -m ovs_pathfinder.command` is `ovs-pathfinder`."""

from . import cli

cli.run()
