"""The charm's own description: what charmcraft packs as metadata, actions and config."""

import dataclasses
import os
import pathlib
from typing import Any, cast

import yaml

from . import errors

METADATA_KEYS = (
    "name",
    "display-name",
    "summary",
    "description",
    "subordinate",
    "peers",
    "requires",
    "provides",
    "extra-bindings",
    "resources",
    "assumes",
    "storage",
    "containers",
    "links",
    "title",
)
NOT_PACKED = {".git", ".unit-state.db", ".ruff_cache", ".pytest_cache", "__pycache__"}


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """An endpoint of the charm."""

    name: str
    role: str
    """`peers`, `requires` or `provides`."""
    interface: str
    scope: str


@dataclasses.dataclass(frozen=True)
class Charm:
    """The charm as Juju sees it."""

    path: pathlib.Path
    metadata: dict[str, Any]
    actions: dict[str, Any]
    config: dict[str, Any]

    @property
    def name(self) -> str:
        """The charm's name."""
        return str(self.metadata.get("name", self.path.name))

    @property
    def subordinate(self) -> bool:
        """Whether its units live on another application's machines."""
        return bool(self.metadata.get("subordinate", False))

    @property
    def endpoints(self) -> dict[str, Endpoint]:
        """All endpoints by name, the peers first."""
        found: dict[str, Endpoint] = {}
        for role in ("peers", "requires", "provides"):
            declared: dict[str, dict[str, Any]] = self.metadata.get(role) or {}
            for name, entry in declared.items():
                found[name] = Endpoint(name, role, str(entry.get("interface", "")), str(entry.get("scope", "global")))
        return found

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """The configuration options by name."""
        return self.config.get("options") or {}

    def container_endpoint(self, principal: str) -> Endpoint | None:
        """Return the endpoint that joins a principal application: its namesake, else the first."""
        found = [endpoint for endpoint in self.endpoints.values() if endpoint.scope == "container"]
        found.sort(key=lambda endpoint: (principal != endpoint.name, principal not in endpoint.name))
        return found[0] if found else None


def _load(path: pathlib.Path) -> dict[str, Any] | None:
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        content = yaml.load(path.read_text(), Loader=loader)  # noqa: S506 - one of the two safe loaders
    except FileNotFoundError:
        return None
    except (OSError, yaml.YAMLError) as error:
        raise errors.ModelError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise errors.ModelError(f"{path} does not hold a mapping")
    return cast("dict[str, Any]", content)


def read(path: pathlib.Path) -> Charm:
    """Read a charm's project or an unpacked charm.

    Raises:
        errors.ModelError: Where there is no charm at `path`.

    """
    project = _load(path / "charmcraft.yaml") or {}
    metadata = _load(path / "metadata.yaml")
    if metadata is None:
        metadata = {key: project[key] for key in METADATA_KEYS if key in project}
    if not metadata:
        raise errors.ModelError(f"there is no charm at {path}: neither metadata.yaml nor charmcraft.yaml")
    actions = _load(path / "actions.yaml") or project.get("actions") or {}
    config = _load(path / "config.yaml") or project.get("config") or {}
    return Charm(path, metadata, actions, config)


def unpack(charm: Charm, target: pathlib.Path) -> None:
    """Give a unit a charm directory of its own: links to its entries, and what packing writes.

    ops keeps its state beside the charm, so units cannot share one directory.
    """
    target.mkdir(parents=True, exist_ok=True)
    for entry in charm.path.iterdir():
        link = target / entry.name
        if entry.name in NOT_PACKED or entry.name.endswith(".egg-info") or link.is_symlink():
            continue
        link.symlink_to(entry)
    for name, content in (
        ("metadata.yaml", charm.metadata),
        ("actions.yaml", charm.actions),
        ("config.yaml", charm.config),
    ):
        if not (charm.path / name).exists():
            _write(target / name, yaml.safe_dump(content, sort_keys=False))


def _write(path: pathlib.Path, text: str) -> None:
    """Replace a file in one step: a hook on another unit's behalf may be reading."""
    if path.exists() and not path.is_symlink() and path.read_text() == text:
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
