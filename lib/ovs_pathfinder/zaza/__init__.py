"""For suites of tests with zaza: bring the charm in, test paths with it, and explain why something was not reached.

In `tests.yaml`:

    configure:
      - ovs_pathfinder.zaza.deploy
    tests:
      - ovs_pathfinder.zaza.PathTest

And in a test of another suite:

    with ovs_pathfinder.zaza.explained(address):
        check_ssh(address)

`tests_options` are in `options.Options`. What runs, runs through `zaza.model`.
"""

from .deployment import check, deploy
from .failures import explain, explained
from .paths import PathTest

__all__ = ["PathTest", "check", "deploy", "explain", "explained"]
