"""The keystone-credentials relation → how to sign in to the cloud."""

import ops

from ovs_pathfinder import cloud, errors

RELATION = "keystone-credentials"
_REQUIRED = ("credentials_host", "credentials_username", "credentials_password", "credentials_project")


def read(charm: ops.CharmBase) -> cloud.Credentials:
    """Return the credentials; of Keystone's units only the leader has written them, so all are looked at.

    Raises:
        PathfinderError: There is no relation, or nothing usable in it yet.
    """
    relations = charm.model.relations[RELATION]
    if not relations:
        raise errors.PathfinderError(
            "there are no OpenStack credentials: relate ovs-pathfinder to keystone "
            "(juju integrate ovs-pathfinder:keystone-credentials keystone)"
        )
    for relation in relations:
        for unit in relation.units:
            data = relation.data[unit]
            if all(data.get(key) for key in _REQUIRED):
                return _credentials(data)
    raise errors.PathfinderError(
        "keystone has not sent the OpenStack credentials yet; wait until `juju status` is settled, then plan again"
    )


def _credentials(data: ops.RelationDataContent) -> cloud.Credentials:
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
