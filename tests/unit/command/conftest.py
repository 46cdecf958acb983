"""A model of the stand-in's, with a charm that does what it is told."""

from tests.unit.standin.conftest import _deployed, lab  # pyright: ignore[reportPrivateUsage]

__all__ = ["_deployed", "lab"]
