"""The errors that the command line prints, and how it exits after them."""


class JujuError(Exception):
    """Say what Juju would say after `ERROR`."""

    code = 1


class UsageError(JujuError):
    """The command line itself is wrong."""

    code = 2


class ModelError(JujuError):
    """The model file or the charm cannot be used."""
