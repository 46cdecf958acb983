import json
import pathlib
from collections.abc import Sequence
from typing import Any

import pydantic
import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.inspection import amphorae, worker_log
from ovs_pathfinder.report import view
from tests.unit import recorded
from tests.unit.cloud import sky
from tests.unit.inspection import asking, test_worker_log

BALANCER = "0f5b2d6e-9a44-4f6b-8f55-3d1f9a0c7a11"


@pytest.fixture(autouse=True)
def log(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Return where the worker's log of this host is; there is none yet."""
    file = tmp_path / "octavia-worker.log"
    monkeypatch.setattr(worker_log, "FILES", (file.with_suffix(".log.1"), file))
    return file


def ask(clouds: sky.Sky, **query: Any) -> amphorae.Answer:
    return amphorae.run(amphorae.Query.model_validate(query), asking.context_of(clouds))


def serve(clouds: sky.Sky, many: Sequence[dict[str, Any]]) -> None:
    """Let the cloud have these amphorae, each with its server, and one load balancer."""
    clouds.content["amphorae"] = list(many)
    clouds.content["servers"] = [
        {"id": one["compute_id"], "name": f"amphora-{one['id']}", "status": "ACTIVE", "tenant_id": "another",
         "OS-EXT-SRV-ATTR:host": sky.COMPUTE_HOST}
        for one in many
    ]  # fmt: skip
    clouds.content["loadbalancers"] = [{"id": BALANCER, "name": "lb1"}]


def amphora(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a recorded amphora, with other ids."""
    one = json.loads(recorded.text("cloud/amphora.json"))
    if number:
        one |= {
            "id": f"a{number:07x}-1cf0-4073-9827-45302a3aac52",
            "lb_network_ip": f"10.0.{number >> 8}.{number & 255}",
        }
        one |= {"compute_id": f"b{number:07x}-7625-424d-b2c1-cbcf586ce948"}
    return one | changes


def test_a_recorded_amphora_is_shown_with_its_server_and_unit(clouds: sky.Sky) -> None:
    serve(clouds, [amphora(vrrp_ip="192.168.0.59", ha_ip="10.42.0.9")])

    (found,) = ask(clouds).amphorae

    assert found.model_dump(exclude={"trouble"}) == {
        "id": sky.AMPHORA,
        "status": "BOOTING",
        "role": "MASTER",
        "loadbalancer_id": BALANCER,
        "loadbalancer": "lb1",
        "management_address": sky.GUEST_ADDRESS,
        "vrrp_addresses": ("192.168.0.59", "10.42.0.9"),
        "server_id": sky.SERVER,
        "server": sky.SERVER_NAME,
        "server_status": "ACTIVE",
        "host": sky.COMPUTE_HOST,
        "unit": "ovs-pathfinder/1",
        "principal": "nova-compute/0",
        "updated": "",
        "reached_since": False,
    }


def test_what_the_log_says_of_an_amphora_is_beside_it_with_the_command_to_run_next(
    clouds: sky.Sky, log: pathlib.Path
) -> None:
    serve(clouds, [amphora(1), amphora()])
    log.write_text(test_worker_log.line("09:04:19") + test_worker_log.line("09:05:19"))

    answer = ask(clouds)

    first, second = answer.amphorae
    assert first.trouble is not None
    assert (first.trouble.count, first.unreachable, second.unreachable) == (2, True, False)
    assert answer.summary == (
        "2 amphorae (2 BOOTING); Octavia on this host could not reach 1 of them, the first since 2022-03-12 09:04:19."
    )
    assert answer.next == (
        f"juju run ovs-pathfinder/leader plan-path source=octavia/2 destination={sky.GUEST_ADDRESS}",
    )


def test_attempts_before_an_amphora_was_allocated_are_its_boot(clouds: sky.Sky, log: pathlib.Path) -> None:
    serve(clouds, [amphora(status="ALLOCATED", updated_at="2022-03-12T09:10:00")])
    log.write_text(test_worker_log.line("09:04:19"))

    answer = ask(clouds)

    assert (answer.amphorae[0].reached_since, answer.amphorae[0].unreachable, answer.next) == (True, False, ())
    assert "name none that cannot be reached" in answer.summary


def test_an_address_of_no_amphora_is_told_apart(clouds: sky.Sky, log: pathlib.Path) -> None:
    serve(clouds, [amphora()])
    log.write_text(test_worker_log.line("09:04:19", "10.99.0.1"))

    assert [one.address for one in ask(clouds).others] == ["10.99.0.1"]


@pytest.mark.parametrize(("limit", "asked"), [(1000, 3), (100, 3), (3, 3)])
def test_five_hundred_amphorae_cost_three_requests(clouds: sky.Sky, limit: int, asked: int) -> None:
    serve(clouds, [amphora(number) for number in range(1, 501)])

    answer = ask(clouds, limit=limit)

    assert len(answer.amphorae) == min(limit, 500)
    assert all(one.host == sky.COMPUTE_HOST and one.loadbalancer == "lb1" for one in answer.amphorae)
    assert len(asking.requests(clouds)) == asked
    assert ("There may be more amphorae" in " ".join(answer.notes)) == (limit < 500)


def test_filters_are_the_servers(clouds: sky.Sky) -> None:
    serve(clouds, [amphora(1, status="ERROR"), amphora(2), amphora(3, loadbalancer_id="other")])

    assert [one.status for one in ask(clouds, status="error").amphorae] == ["ERROR"]
    assert len(ask(clouds, loadbalancer="lb1").amphorae) == 2
    assert len(ask(clouds, loadbalancer=BALANCER, status="BOOTING").amphorae) == 1
    queries = [one["query"] for one in clouds.stand_in.requests if one["path"].endswith("amphorae")]
    assert "status=BOOTING" in queries[0]
    assert f"loadbalancer_id={BALANCER}" in queries[0]


def test_an_unknown_load_balancer_is_refused(clouds: sky.Sky) -> None:
    with pytest.raises(errors.PathfinderError, match="Octavia knows no load balancer with the id or name 'lb9'"):
        ask(clouds, loadbalancer="lb9")


def test_a_name_of_several_load_balancers_is_refused(clouds: sky.Sky) -> None:
    clouds.content["loadbalancers"] = [{"id": "one", "name": "lb"}, {"id": "two", "name": "lb"}]

    with pytest.raises(errors.PathfinderError, match="several load balancers have the name 'lb': one; two"):
        ask(clouds, loadbalancer="lb")


def test_without_octavia_one_sentence_says_so(clouds: sky.Sky) -> None:
    clouds.content["services"] = ["identity", "network", "compute"]

    with pytest.raises(errors.PathfinderError, match="Octavia is not in the catalogue"):
        ask(clouds)


@pytest.mark.parametrize("service", ["compute", "load-balancer"])
def test_where_another_question_fails_the_rest_is_shown(clouds: sky.Sky, service: str) -> None:
    serve(clouds, [amphora()])
    path = "loadbalancers" if service == "load-balancer" else ""
    clouds.content["failures"] = [{"service": service, "path": path, "status": 503}]

    answer = ask(clouds)

    assert [one.id for one in answer.amphorae] == [sky.AMPHORA]
    assert "HTTP 503" in " ".join(answer.notes)


@pytest.mark.parametrize(
    "query", [{"status": "no such"}, {"limit": 0}, {"limit": 1001}, {"other": 1}, {"status": "a\n"}]
)
def test_bad_parameters_are_refused(query: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        amphorae.Query.model_validate(query)


def test_the_page_fits_a_terminal(clouds: sky.Sky, log: pathlib.Path) -> None:
    serve(clouds, [amphora(), amphora(1), amphora(2, compute_id="", lb_network_ip=None, role=None)])
    log.write_text(test_worker_log.line("09:04:19") + test_worker_log.line("09:04:19", "10.99.0.1"))

    page = view.view(ask(clouds))["report"]

    assert "✗ not reached" in page
    assert [line for line in page.splitlines() if len(line) > 80] == []
    assert "\n\n\n" not in page


def test_a_log_that_is_not_understood_is_no_log_without_troubles(clouds: sky.Sky, log: pathlib.Path) -> None:
    serve(clouds, [amphora()])
    log.write_text("12.3.2022 09:04:19 Could not connect to instance\n")

    answer = ask(clouds)

    assert "was understood, so whether each is reached is not known." in answer.summary
    assert any("begins with a time as oslo.log writes it" in one for one in answer.notes)
