import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.temporary import journal, mirror
from tests.unit.vswitch import private

RUN = "20260101t120000-0a1b2c"
TUNNEL = "gre-ac1400d1"


@pytest.fixture(scope="module")
def switch() -> Iterator[None]:
    if reason := private.missing():
        pytest.skip(reason)
    with private.running():
        private.configure(
            f"""
            add-br br-int -- set Bridge br-int datapath_type=dummy
            -- add-port br-int o-hm0 -- set Interface o-hm0 type=dummy
            -- add-br br-tun -- set Bridge br-tun datapath_type=dummy
            -- add-port br-tun {TUNNEL} -- set Interface {TUNNEL} type=dummy
            """
        )
        yield


@pytest.fixture
def made(switch: None) -> Iterator[mirror.Mirror]:
    """A mirror whose rows are there; a dummy datapath has no devices."""
    one = mirror.new("br-tun", TUNNEL, RUN)
    with pytest.raises(errors.PathfinderError, match=f"ovs-vswitchd made no device {one.device}"):
        one.make(60)
    yield one
    one.undo()


def columns(table: str, record: str) -> dict[str, Any]:
    """Return a row, with the cells of OVSDB's wire format."""
    document = json.loads(private.call("ovs-vsctl", "--format=json", "list", table, record))
    return dict(zip(document["headings"], document["data"][0], strict=True))


def rows() -> dict[str, list[str]]:
    """Return the names of all rows that a mirror could leave or take."""
    tables = ("Mirror", "Port", "Interface")
    listed = {table: private.call("ovs-vsctl", "--bare", "--columns=name", "list", table) for table in tables}
    return {table: sorted(text.split()) for table, text in listed.items()}


def test_each_mirror_has_a_device_and_a_mark_of_its_own() -> None:
    first, second = mirror.new("br-tun", TUNNEL, RUN), mirror.new("br-tun", TUNNEL, RUN)

    assert first.device != second.device
    assert first.mark != second.mark
    assert len(first.device) <= 15


@pytest.mark.parametrize(
    "port", ["", "-- del-br br-int", "--id=@x", "a,b", "a b", "a=b", "@port", "gre\n", "../x", "x" * 64, "[]", '"x"']
)
def test_what_ovs_vsctl_could_take_for_something_else_is_no_name(port: str) -> None:
    with pytest.raises(errors.PathfinderError, match=r"port .* cannot be that of a mirror"):
        mirror.new("br-tun", port, RUN)
    with pytest.raises(errors.PathfinderError, match=r"bridge .* cannot be that of a mirror"):
        mirror.new(port, TUNNEL, RUN)


@pytest.mark.parametrize("device", ["o-hm0", "eth0", "opf123", "opf0123456g", "opf012345678", "opf01234567\n"])
def test_only_a_device_of_our_own_is_taken_from_a_journal(device: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="device"):
        mirror.Mirror(bridge="br-tun", port=TUNNEL, device=device, mark="0123456789abcdef")


def test_a_journal_keeps_what_the_undo_needs() -> None:
    one = mirror.new("br-tun", TUNNEL, RUN)

    entry = journal.new(one, seconds=60, action="capture", run=RUN)

    assert journal.Entry.model_validate_json(entry.model_dump_json()).change == one


def test_it_says_what_is_mirrored_where_to() -> None:
    one = mirror.new("br-tun", TUNNEL, RUN)

    assert one.describe() == f"a mirror of {TUNNEL} on br-tun to the device {one.device}"


def test_a_port_of_the_bridge_can_be_mirrored(switch: None) -> None:
    before = rows()

    mirror.new("br-tun", TUNNEL, RUN).check()

    assert rows() == before


@pytest.mark.parametrize(
    ("bridge", "port", "refusal"),
    [
        ("br-ex", TUNNEL, "there is no bridge br-ex on this host; it has br-int, br-tun"),
        ("br-tun", "o-hm0", "br-tun has no port o-hm0; it is on br-int"),
        ("br-tun", "gre-0a000001", f"br-tun has no port gre-0a000001; it has br-tun, {TUNNEL}"),
    ],
)
def test_what_is_not_there_is_not_mirrored(switch: None, bridge: str, port: str, refusal: str) -> None:
    with pytest.raises(errors.PathfinderError, match=refusal):
        mirror.new(bridge, port, RUN).check()


def test_a_port_that_has_gone_meanwhile_leaves_nothing_half_made(switch: None) -> None:
    before = rows()

    with pytest.raises(errors.PathfinderError, match=r"gre-0a000001 on br-tun cannot be mirrored: .*no row"):
        mirror.new("br-tun", "gre-0a000001", RUN).make(60)

    assert rows() == before


def test_a_device_of_that_name_is_in_the_way(made: mirror.Mirror) -> None:
    other = mirror.new("br-tun", TUNNEL, RUN).model_copy(update={"device": made.device})

    with pytest.raises(errors.PathfinderError, match=f"there is a device {made.device} already"):
        other.check()
    with pytest.raises(errors.PathfinderError, match=f"cannot be mirrored: .*{made.device} already exists"):
        other.make(60)
    assert other.undo().state == "gone"
    assert set(made.present()) == {"Mirror", "Port", "Interface"}


def test_a_mirror_of_somebody_else_on_the_same_port_is_not_in_the_way(made: mirror.Mirror) -> None:
    mirror.new("br-tun", TUNNEL, RUN).check()


def test_the_33rd_mirror_of_a_bridge_is_refused(switch: None) -> None:
    private.configure("add-br br-full -- set Bridge br-full datapath_type=dummy")
    for number in range(31):
        private.configure(f"-- --id=@m create Mirror name=m{number} -- add Bridge br-full mirrors @m")
    one = mirror.new("br-full", "br-full", RUN)
    one.check()
    private.configure("-- --id=@m create Mirror name=m31 -- add Bridge br-full mirrors @m")

    with pytest.raises(errors.PathfinderError, match="br-full has 32 mirrors, and Open vSwitch takes no more"):
        one.check()

    private.configure("del-br br-full")


def test_all_rows_tell_whose_they_are(made: mirror.Mirror) -> None:
    pairs = {
        "ovs-pathfinder": made.mark,
        "ovs-pathfinder-bridge": "br-tun",
        "ovs-pathfinder-port": TUNNEL,
        "ovs-pathfinder-run": RUN,
    }

    for table in ("Mirror", "Port", "Interface"):
        assert dict(columns(table, made.device)["external_ids"][1]) == pairs


def test_the_mirror_takes_both_directions_of_that_port(made: mirror.Mirror) -> None:
    found = columns("Mirror", made.device)

    tunnel = columns("Port", TUNNEL)["_uuid"]
    assert (found["select_src_port"], found["select_dst_port"]) == (tunnel, tunnel)
    assert (found["select_all"], found["snaplen"]) == (False, 1280)
    assert found["output_port"] == columns("Port", made.device)["_uuid"]


def test_undo_removes_all_rows_and_nothing_else(switch: None) -> None:
    before = rows()
    one = mirror.new("br-tun", TUNNEL)
    with pytest.raises(errors.PathfinderError, match="made no device"):
        one.make(60)
    assert rows() != before

    outcome = one.undo()

    assert outcome.state == "undone"
    assert outcome.text == f"The mirror of {TUNNEL} on br-tun is removed, and its device {one.device} with it."
    assert rows() == before


def test_undo_of_what_was_never_made_says_so(switch: None) -> None:
    before = rows()
    one = mirror.new("br-tun", TUNNEL, RUN)

    assert one.undo().model_dump() == {"state": "gone", "text": f"Nothing was left of {one.describe()}."}
    assert rows() == before


@pytest.mark.parametrize(
    "lost",
    ["del-port br-tun {0}", "clear Bridge br-tun mirrors", "clear Mirror {0} output_port select_src_port"],
)
def test_undo_removes_what_others_have_left_of_it(made: mirror.Mirror, lost: str) -> None:
    private.configure(lost.format(made.device))
    assert made.present()

    assert made.undo().state == "undone"

    assert not made.present()


def test_a_port_that_others_made_under_its_name_is_left_alone(made: mirror.Mirror) -> None:
    private.configure(f"del-port {made.device} -- add-port br-tun {made.device}")
    private.configure(f"set Interface {made.device} type=dummy")
    assert set(made.present()) == {"Mirror"}
    before = rows()

    assert made.undo().state == "undone"
    assert made.undo().state == "gone"

    assert rows() == before | {"Mirror": []}
    private.configure(f"del-port {made.device}")


def test_a_row_that_stays_is_an_error(made: mirror.Mirror) -> None:
    port = columns("Port", made.device)["external_ids"][1]
    private.configure(f"clear Port {made.device} external_ids")

    with pytest.raises(errors.PathfinderError, match="is still in Open vSwitch's database, as Interface"):
        made.undo()

    private.configure(f"set Port {made.device} " + " ".join(f"external_ids:{key}={value}" for key, value in port))


def test_a_bridge_that_has_gone_took_the_mirror_along(switch: None) -> None:
    private.configure("add-br br-old -- set Bridge br-old datapath_type=dummy")
    one = mirror.new("br-old", "br-old", RUN)
    with pytest.raises(errors.PathfinderError, match="made no device"):
        one.make(60)
    private.configure("del-br br-old")

    assert one.undo().state == "gone"


def test_orphans_are_the_mirrors_that_no_journal_knows(made: mirror.Mirror) -> None:
    private.configure("-- --id=@m create Mirror name=m_other external_ids:owner=me -- add Bridge br-tun mirrors @m")
    other = mirror.new("br-int", "o-hm0")
    with pytest.raises(errors.PathfinderError, match="made no device"):
        other.make(60)

    found = mirror.orphans([made.mark])

    assert found == [other]
    assert {one.mark for one in mirror.orphans([])} == {made.mark, other.mark}
    assert [one.undo().state for one in found] == ["undone"]
    assert mirror.orphans([made.mark]) == []
    assert "m_other" in rows()["Mirror"]
    private.configure("clear Bridge br-tun mirrors")


@pytest.mark.parametrize("lost", ["del-port br-tun {0}", "clear Bridge br-tun mirrors"])
def test_what_is_left_of_an_orphan_is_enough_to_undo_it(made: mirror.Mirror, lost: str) -> None:
    private.configure(lost.format(made.device))

    (found,) = mirror.orphans([])

    assert found == made
    assert found.undo().state == "undone"
    assert mirror.orphans([]) == []


@pytest.mark.parametrize(
    "ids",
    [
        "ovs-pathfinder=yes",
        "ovs-pathfinder=0123456789abcdef",
        "ovs-pathfinder=0123456789abcdef external_ids:ovs-pathfinder-bridge=br-int",
    ],
)
def test_rows_that_are_not_unmistakably_ours_are_no_orphans(switch: None, ids: str) -> None:
    private.configure(f"set Port o-hm0 external_ids:{ids}")

    assert mirror.orphans([]) == []

    private.configure("clear Port o-hm0 external_ids")


def test_without_ovsdb_server_nothing_is_said_to_be_undone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    one = mirror.new("br-tun", TUNNEL, RUN)

    for use in (one.check, one.undo, one.present, lambda: mirror.orphans([])):
        with pytest.raises(errors.PathfinderError, match="ovsdb-server does not answer on this host"):
            use()
