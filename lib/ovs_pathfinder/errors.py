"""The one kind of error that an operator sees."""


class PathfinderError(Exception):
    """Say in one sentence what is wrong, with the value, and what to do about it."""
