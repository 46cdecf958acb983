import datetime

import pydantic
import pytest

from ovs_pathfinder import path
from tests.unit.diagnosis import build


def test_addresses_are_canonical() -> None:
    port = path.Port(id="p", name="", mac="FA-16-3E-0D-9A-CF", addresses=("FC00:0::1",))

    assert (port.mac, port.addresses) == ("fa:16:3e:0d:9a:cf", ("fc00::1",))


@pytest.mark.parametrize("mac", ["fa:16:3e:0d:9a", "fa:16:3e:0d:9a:zz", "", "fa163e0d9acf"])
def test_what_is_no_mac(mac: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="is not a MAC address"):
        path.Port(id="p", name="", mac=mac, addresses=())


def test_a_taps_name_is_cut_as_nova_does() -> None:
    assert build.plan().destination.port.tap == "tap93fff561-bf"


def test_a_plan_comes_back_from_json() -> None:
    plan = build.plan()

    assert path.Plan.model_validate_json(plan.model_dump_json()) == plan


def test_a_plan_of_another_version_is_refused() -> None:
    with pytest.raises(pydantic.ValidationError):
        path.Plan.model_validate({**build.plan().model_dump(), "version": 2})


def test_points_in_order() -> None:
    assert build.plan().points == path.POINTS
    assert build.plan(same_host=True).points == ("source-port", "destination-port")


def test_a_run_is_named_after_its_time_in_utc() -> None:
    east = datetime.timezone(datetime.timedelta(hours=2))
    run = path.new_run(datetime.datetime(2022, 3, 14, 1, 15, tzinfo=east), b"salt")

    assert run.startswith("20220313t231500-")
    assert build.plan(run=run).run == run
    assert path.new_run(datetime.datetime(2022, 3, 14, 1, 15, tzinfo=east), b"pepper") != run


def test_a_token_is_eight_bytes_of_its_run_alone() -> None:
    assert len(bytes.fromhex(build.plan().token)) == 8
    assert build.plan().token == build.plan(protocol="udp", port=1).token
    assert build.plan().token != build.plan(run="20220314t101500-fedcba").token
