"""Octavia's amphorae and load balancers, and the questions that return them."""

from collections.abc import Mapping

from . import answer, connection


class Amphora(answer.Object):
    """An amphora; its fields fill one after another while it boots."""

    id: str
    status: answer.Text = ""
    compute_id: answer.Text = ""
    lb_network_ip: answer.Text = ""
    vrrp_ip: answer.Text = ""
    ha_ip: answer.Text = ""
    role: answer.Text = ""
    loadbalancer_id: answer.Text = ""
    updated_at: answer.Text = ""
    """UTC, without its zone; empty where it never changed."""


class LoadBalancer(answer.Object):
    """A load balancer, as far as an amphora needs it."""

    id: str
    name: answer.Text = ""


def amphora(cloud: connection.Cloud, identifier: str) -> Amphora | None:
    """Return the amphora of an id; None if there is none."""
    body = cloud.get("load_balancer", f"/octavia/amphorae/{identifier}")
    return None if body is None else answer.one("Octavia", Amphora, body, "amphora")


def amphorae(cloud: connection.Cloud, filters: Mapping[str, str], limit: int) -> tuple[Amphora, ...]:
    """Return at most `limit` amphorae of all projects that pass the filters, which have one value each."""
    fields = list(Amphora.model_fields)
    body = cloud.get("load_balancer", "/octavia/amphorae", _parameters(filters, fields, limit))
    return answer.many("Octavia", Amphora, body or {}, "amphorae")


def load_balancers(cloud: connection.Cloud, filters: Mapping[str, str], limit: int) -> tuple[LoadBalancer, ...]:
    """Return at most `limit` load balancers of all projects that pass the filters."""
    fields = list(LoadBalancer.model_fields)
    body = cloud.get("load_balancer", "/lbaas/loadbalancers", _parameters(filters, fields, limit))
    return answer.many("Octavia", LoadBalancer, body or {}, "loadbalancers")


def _parameters(filters: Mapping[str, str], fields: list[str], limit: int) -> connection.Parameters:
    return {**{key: [value] for key, value in filters.items()}, "fields": fields, "limit": [str(limit)]}
