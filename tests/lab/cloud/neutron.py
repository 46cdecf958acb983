"""Neutron v2.0: networks, subnets, ports, security groups and their rules, address groups, agents."""

import urllib.parse
from typing import Any

from tests.lab.cloud import description, message

_RESOURCES = {
    "networks": "network",
    "subnets": "subnet",
    "ports": "port",
    "security-groups": "security_group",
    "security-group-rules": "security_group_rule",
    "address-groups": "address_group",
    "agents": "agent",
}
"""The part of the address, and the key of one object in an answer."""

_ATTRIBUTES = {
    "networks": "id name status admin_state_up shared project_id tenant_id mtu port_security_enabled "
    "router:external provider:network_type provider:physical_network provider:segmentation_id",
    "subnets": "id name network_id ip_version cidr gateway_ip enable_dhcp project_id tenant_id",
    "ports": "id name network_id status mac_address admin_state_up device_id device_owner project_id "
    "tenant_id binding:host_id binding:vif_type binding:vnic_type fixed_ips security_groups",
    "security-groups": "id name description project_id tenant_id stateful",
    "security-group-rules": "id security_group_id direction ethertype protocol port_range_min port_range_max "
    "remote_group_id remote_ip_prefix remote_address_group_id project_id tenant_id",
    "address-groups": "id name description project_id tenant_id shared",
    "agents": "id agent_type binary host alive admin_state_up topic availability_zone",
}
"""What each list can be filtered by; Neutron refuses all else (its filter-validation extension)."""

_CONTROLS = {"fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"}


def answer(request: message.Request, cloud: description.Description) -> message.Answer:
    """Answer a request with a valid token, or one for the versions."""
    if request.path == "":
        version = {
            "id": "v2.0",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": f"{request.url}/v2.0/"}],
        }
        return message.Answer(200, {"versions": [version]})
    if request.path == "/v2.0":
        links = [
            {
                "name": singular,
                "collection": plural,
                "links": [{"rel": "self", "href": f"{request.url}/v2.0/{plural}"}],
            }
            for plural, singular in _RESOURCES.items()
        ]
        return message.Answer(200, {"resources": links})
    prefix, _, rest = request.path.removeprefix("/").partition("/")
    resource, _, identifier = rest.partition("/")
    resource, identifier = resource.removesuffix(".json"), identifier.removesuffix(".json")
    if prefix != "v2.0" or resource not in _RESOURCES:
        return _error(404, "HTTPNotFound", "The resource could not be found.")
    if not identifier:
        return _list(request, cloud, resource)
    found = [entry for entry in cloud.objects(resource.replace("-", "_")) if entry["id"] == identifier]
    if not found:
        singular = _RESOURCES[resource]
        kind = "".join(word.title() for word in singular.split("_"))
        return _error(404, f"{kind}NotFound", f"{kind} {identifier} could not be found.")
    if request.method == "PUT" and resource == "ports":
        return _update(request, cloud, found[0])
    return message.Answer(200, {_RESOURCES[resource]: _select(found[0], request.query.get("fields", []))})


def _error(status: int, kind: str, sentence: str) -> message.Answer:
    return message.Answer(status, {"NeutronError": {"type": kind, "message": sentence, "detail": ""}})


def _select(entry: description.Object, fields: list[str]) -> description.Object:
    return {key: value for key, value in entry.items() if key in fields} if fields else entry


def _list(request: message.Request, cloud: description.Description, resource: str) -> message.Answer:
    filters = {key: values for key, values in request.query.items() if key not in _CONTROLS}
    refused = sorted(set(filters) - set(_ATTRIBUTES[resource].split()))
    if refused:
        return _error(400, "HTTPBadRequest", f"{refused} is invalid attribute for filtering")
    key = resource.replace("-", "_")
    found = [
        entry
        for entry in cloud.objects(key)
        if all(_holds(entry, attribute, wanted) for attribute, wanted in filters.items())
    ]
    body: dict[str, Any] = {}
    if request.limit:
        falling = request.first("sort_dir") == "desc"
        found = sorted(found, key=lambda entry: entry["id"], reverse=falling)
        marker = request.first("marker")
        if marker is not None:
            found = [entry for entry in found if (entry["id"] < marker if falling else entry["id"] > marker)]
        found = found[: request.limit]
        if len(found) == request.limit:
            query = {**request.query, "marker": [found[-1]["id"]]}
            address = f"{request.url}{request.path}?{urllib.parse.urlencode(query, doseq=True)}"
            body[f"{key}_links"] = [{"rel": "next", "href": address}]
    body[key] = [_select(entry, request.query.get("fields", [])) for entry in found]
    return message.Answer(200, body)


def _holds(entry: description.Object, attribute: str, wanted: list[str]) -> bool:
    """Tell whether an object passes one filter, of which any value will do."""
    if attribute != "fixed_ips":
        return message.matches(entry.get(attribute), wanted)
    filters: dict[str, list[str]] = {}
    for want in wanted:
        key, _, value = want.partition("=")
        filters.setdefault(key, []).append(value)
    return any(_fits(fixed, filters) for fixed in entry.get("fixed_ips", []))


def _fits(fixed: description.Object, filters: dict[str, list[str]]) -> bool:
    """Tell whether one fixed IP passes; addresses are compared as text, as Neutron's database does."""
    parts = filters.get("ip_address_substr", [])
    exact = {key: values for key, values in filters.items() if key != "ip_address_substr"}
    return all(fixed.get(key) in values for key, values in exact.items()) and (
        not parts or any(part in fixed["ip_address"] for part in parts)
    )


def _update(request: message.Request, cloud: description.Description, port: description.Object) -> message.Answer:
    current = f"revision_number={port.get('revision_number', 0)}"
    asked = request.headers.get("If-Match", current)
    if asked != current:
        wanted, is_ = (text.partition("=")[2] for text in (asked, current))
        sentence = f"Constrained to {wanted}, but current revision is {is_}"
        return _error(412, "RevisionNumberConstraintFailed", sentence)
    changes: description.Object = request.json["port"]
    refusal = _refusal(cloud, port, changes)
    return refusal or message.Answer(200, {"port": cloud.update("ports", port["id"], changes)})


def _refusal(
    cloud: description.Description, port: description.Object, changes: description.Object
) -> message.Answer | None:
    """Return what ML2 has against a change, in its order: port security first, then whether the groups exist."""
    after = port | changes
    groups, pairs = changes.get("security_groups"), changes.get("allowed_address_pairs")
    if not after.get("port_security_enabled", True):
        if after.get("allowed_address_pairs"):
            sentence = "Port Security must be enabled in order to have allowed address pairs on a port."
            return _error(409, "AddressPairAndPortSecurityRequired", sentence)
        if groups:
            sentence = "Port security must be enabled and port must have an IP address in order to use security groups."
            return _error(400, "PortSecurityAndIPRequiredForSecurityGroups", sentence)
        if after.get("security_groups"):
            sentence = (
                "Port has security group associated. Cannot disable port security or IP address until "
                "security group is removed."
            )
            return _error(409, "PortSecurityPortHasSecurityGroup", sentence)
    known = {group["id"] for group in cloud.objects("security_groups")}
    missing = [group for group in groups or () if group not in known]
    if missing and sorted(groups or ()) != sorted(port.get("security_groups", [])):
        return _error(404, "SecurityGroupNotFound", f"Security group {', '.join(missing)} does not exist")
    keys = [(pair["mac_address"], pair["ip_address"]) for pair in pairs or ()]
    for mac, address in keys:
        if keys.count((mac, address)) > 1:
            sentence = f"Request contains duplicate address pair: mac_address {mac} ip_address {address}."
            return _error(400, "DuplicateAddressPairInRequest", sentence)
    return None
