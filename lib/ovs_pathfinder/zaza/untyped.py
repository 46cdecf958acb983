"""zaza itself, which has no types: the one place where it is imported."""

from typing import Any, cast

import zaza  # pyright: ignore[reportMissingTypeStubs]
import zaza.charm_lifecycle.utils  # pyright: ignore[reportMissingTypeStubs]
import zaza.global_options  # pyright: ignore[reportMissingTypeStubs]
import zaza.model  # pyright: ignore[reportMissingTypeStubs]

ZAZA = cast("Any", zaza)
MODEL = cast("Any", zaza.model)
OPTIONS = cast("Any", zaza.global_options)
CONFIGURATION = cast("Any", zaza.charm_lifecycle.utils)


def branches(tree: Any) -> dict[str, Any]:
    """Return what is below a place of libjuju's status; nothing, where Juju left it out."""
    return cast("dict[str, Any]", tree or {})
