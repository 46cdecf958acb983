"""How to sign in to the cloud: as the application's options say, else as the keystone-credentials relation does."""

from typing import TYPE_CHECKING

import ops

from ovs_pathfinder import errors

if TYPE_CHECKING:
    from ovs_pathfinder import cloud

RELATION = "keystone-credentials"
_REQUIRED = ("credentials_host", "credentials_username", "credentials_password", "credentials_project")
_OPTIONS = ("os-auth-url", "os-username", "os-password", "os-project-name")
"""The options that are needed all, where one of them is set."""


def read(charm: ops.CharmBase) -> "cloud.Credentials":
    """Return the credentials; of Keystone's units only the leader has written them, so all are looked at.

    Raises:
        PathfinderError: There are neither options nor a relation, or what they say is not enough yet.
    """
    if any(_option(charm, name) for name in _OPTIONS):
        return _configured(charm)
    relations = charm.model.relations[RELATION]
    if not relations:
        raise errors.PathfinderError(
            "there are no OpenStack credentials: relate ovs-pathfinder to keystone "
            "(juju integrate ovs-pathfinder:keystone-credentials keystone), or, in a cloud without that charm, set "
            f"the options {', '.join(_OPTIONS)}"
        )
    for relation in relations:
        for unit in relation.units:
            data = relation.data[unit]
            if all(data.get(key) for key in _REQUIRED):
                return _related(data)
    raise errors.PathfinderError(
        "keystone has not sent the OpenStack credentials yet; wait until `juju status` is settled, then plan again"
    )


def lack(charm: ops.CharmBase) -> str:
    """Say in a few words what is missing before anything can be planned; empty where nothing is."""
    missing = _missing(charm)
    if len(missing) == len(_OPTIONS):
        return "" if charm.model.relations[RELATION] else "plan-path needs keystone-credentials"
    return f"plan-path needs the option {', '.join(missing)}" if missing else ""


def _option(charm: ops.CharmBase, name: str) -> str:
    return str(charm.config.get(name, "")).strip()


def _missing(charm: ops.CharmBase) -> list[str]:
    return [name for name in _OPTIONS if not _option(charm, name)]


def _configured(charm: ops.CharmBase) -> "cloud.Credentials":
    missing = _missing(charm)
    if missing:
        given = ", ".join(name for name in _OPTIONS if name not in missing)
        raise errors.PathfinderError(
            f"the option {given} is set and {', '.join(missing)} is not; set all of them (juju config), or none and "
            "relate ovs-pathfinder to keystone"
        )
    from ovs_pathfinder import cloud

    return cloud.Credentials(
        auth_url=_option(charm, "os-auth-url"),
        username=_option(charm, "os-username"),
        password=str(charm.config["os-password"]),  # pyright: ignore[reportArgumentType] - pydantic wraps it
        project=_option(charm, "os-project-name"),
        user_domain=_option(charm, "os-user-domain-name") or "Default",
        project_domain=_option(charm, "os-project-domain-name") or "Default",
        region=_option(charm, "os-region-name"),
        ca_cert=_option(charm, "os-cacert"),
    )


def _related(data: ops.RelationDataContent) -> "cloud.Credentials":
    from ovs_pathfinder import cloud

    protocol = data.get("credentials_protocol") or data.get("auth_protocol") or "http"
    host = data["credentials_host"]
    port = data.get("credentials_port") or data.get("auth_port") or "5000"
    return cloud.Credentials(
        auth_url=f"{protocol}://{f'[{host}]' if ':' in host else host}:{port}/v3",
        username=data["credentials_username"],
        password=data["credentials_password"],  # pyright: ignore[reportArgumentType] - pydantic wraps it
        project=data["credentials_project"],
        user_domain=data.get("credentials_user_domain_name") or "default",
        project_domain=data.get("credentials_project_domain_name") or "default",
        region=data.get("region", ""),
        ca_cert=data.get("ca_cert", ""),
    )
