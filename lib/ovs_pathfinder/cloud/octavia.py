"""Octavia's amphorae, as far as an id needs them."""

from . import answer, connection


class Amphora(answer.Object):
    """An amphora; its fields fill one after another while it boots."""

    id: str
    status: answer.Text = ""
    compute_id: answer.Text = ""
    lb_network_ip: answer.Text = ""
    vrrp_ip: answer.Text = ""


def amphora(cloud: connection.Cloud, identifier: str) -> Amphora | None:
    """Return the amphora of an id; None if there is none."""
    body = cloud.get("load_balancer", f"/octavia/amphorae/{identifier}")
    return None if body is None else answer.one("Octavia", Amphora, body, "amphora")
