"""A snapshot's file gives back what was written, and says of a bad one what is wrong with it."""

import os
import pathlib
import re
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovs_pathfinder import errors
from ovs_pathfinder.vswitch import snapshot, state
from tests.unit.vswitch import dumped, private

FLOWS = [
    f" cookie=0x1, duration=1.0s, table={one}, n_packets=0, n_bytes=0, priority={one} actions=drop" for one in range(9)
]
SWITCH = dumped.switch(
    unit="ovs-pathfinder/0",
    label="before-upgrade",
    taken="2026-03-14T12:00:00+00:00",
    versions=state.Versions(vswitchd="2.15.0", kernel="5.4.0"),
    other_config={"max-idle": "10000"},
    bridges=(
        state.Bridge(name="br-int", fail_mode="secure", groups=("group_id=1,type=all,bucket=actions=output:1",)),
        state.Bridge(name="br-tun", protocols=("OpenFlow10", "OpenFlow13"), meters=("meter=1 kbps bands= rate=5",)),
    ),
)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    """A snapshot of two bridges."""
    place = tmp_path / "one.flows"
    with place.open("wb") as stream:
        snapshot.write(dumped.Listed(SWITCH, {"br-int": FLOWS, "br-tun": FLOWS[:2]}, chunk=4), stream.write)
    return place


def flows_of(source: snapshot.Source) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for about, chunks in source.flows():
        found[about.bridge] = b"".join(chunks).decode().splitlines()
    return found


def test_what_was_written_is_read(file: pathlib.Path) -> None:
    found = snapshot.Snapshot(file)

    assert found.switch == SWITCH
    assert flows_of(found) == {"br-int": FLOWS, "br-tun": FLOWS[:2]}
    assert [about.openflow for about, chunks in found.flows() if list(chunks) or True] == ["OpenFlow14"] * 2


def test_flows_are_found_by_their_number(file: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_CHUNK", 200)

    found = snapshot.Snapshot(file).lines({"br-int": {0, 3, 8}, "br-tun": {1}, "br-none": {5}})

    expected = {("br-int", 0): FLOWS[0], ("br-int", 3): FLOWS[3], ("br-int", 8): FLOWS[8], ("br-tun", 1): FLOWS[1]}
    assert {place: line.decode() for place, line in found.items()} == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=st.integers(1, 900))
def test_it_reads_the_same_in_pieces_of_any_size(file: pathlib.Path, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "_CHUNK", size)

        found = snapshot.Snapshot(file)

        assert found.switch == SWITCH
        assert flows_of(found) == {"br-int": FLOWS, "br-tun": FLOWS[:2]}


def test_a_terminals_ends_of_lines_do_no_harm(file: pathlib.Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

    found = snapshot.Snapshot(file)

    assert found.switch == SWITCH
    assert flows_of(found) == {"br-int": FLOWS, "br-tun": FLOWS[:2]}


def test_what_a_newer_version_adds_is_passed_over(file: pathlib.Path) -> None:
    text = file.read_text().replace("\n# flows {", '\n# novelty {"a": 1}\n# flows {', 1)
    file.write_text(text.replace('"fail_mode":', '"novelty":1,"fail_mode":'))

    assert snapshot.Snapshot(file).switch == SWITCH


def test_a_bridge_that_could_not_be_read_to_its_end_is_told(tmp_path: pathlib.Path) -> None:
    place, why = tmp_path / "one.flows", "ovs-vswitchd does not answer for br-tun"
    source = dumped.Listed(SWITCH, {"br-int": FLOWS, "br-tun": FLOWS[:1]}, errors={"br-tun": why})

    with place.open("wb") as stream:
        written = snapshot.write(source, stream.write)

    found = [about for about, chunks in snapshot.Snapshot(place).flows() if list(chunks)]
    assert written.errors == {"br-tun": why}
    assert written.flows == {"br-int": 9, "br-tun": 1}
    assert [about.error for about in found] == ["", why]


Spoil = Callable[[str], str]
BAD: dict[str, tuple[Spoil, str]] = {
    "empty": (lambda text: "", "cannot be read: it is empty, or is not kept on a disk"),
    "foreign": (lambda text: "root:secret:19000:0\n" + text, "is no snapshot of ovs-pathfinder"),
    "no number": (lambda text: text.replace("snapshot 1", "snapshot one", 1), "is no snapshot of ovs-pathfinder"),
    "newer": (lambda text: text.replace("snapshot 1", "snapshot 2", 1), "is a snapshot of version 2, and this charm"),
    "cut off": (lambda text: text[: len(text) // 2], "is cut off: its last line is missing"),
    "cut at a line": (lambda text: text.rpartition("# end")[0], "is cut off: its last line is missing"),
    "no JSON": (lambda text: text.replace("# state {", "# state {,", 1), "a line that describes the switch is no JSON"),
    "no state": (lambda text: re.sub("# state .*\n", "", text), "does not say of which switch it is"),
    "no object": (lambda text: re.sub("# port .*", "# port [1]", text), "is not as it should be"),
    "no port": (lambda text: re.sub("# port .*", '# port {"name": []}', text), "should be (ports.0.bridge)"),
    "a flow less": (lambda text: text.replace(FLOWS[4] + "\n", "", 1), "does not hold as many flows of br-int as"),
    "no end of a bridge": (lambda text: re.sub("\n# flows-end.*", "", text), "does not hold as many flows of br-int"),
}  # fmt: skip


@pytest.mark.parametrize("how", BAD)
def test_a_bad_file_is_refused_in_one_sentence_that_quotes_nothing_of_it(file: pathlib.Path, how: str) -> None:
    spoil, expected = BAD[how]
    file.write_text(spoil(file.read_text()))

    with pytest.raises(errors.PathfinderError) as refusal:
        flows_of(snapshot.Snapshot(file))

    assert expected in str(refusal.value)
    assert str(file) in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refusals: list[str] = []
    for place in (tmp_path, tmp_path / "pipe", pathlib.Path("/dev/zero"), tmp_path / "none"):
        with pytest.raises(errors.PathfinderError) as refusal:
            snapshot.Snapshot(place)
        refusals.append(str(refusal.value))

    assert all("is no regular file, so it is no snapshot" in one for one in refusals[:3])
    assert refusals[3] == f"the snapshot {tmp_path / 'none'} cannot be read: No such file or directory"


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_it_fail_otherwise(tmp_path: pathlib.Path, data: bytes) -> None:
    place = tmp_path / "any"
    place.write_bytes(b"# ovs-pathfinder snapshot 1\n" + data + b"\n# end {}\n")
    try:
        flows_of(snapshot.Snapshot(place))
    except errors.PathfinderError:
        return


def test_ovs_ofctl_compares_what_is_cut_out_of_it(tmp_path: pathlib.Path) -> None:
    if reason := private.missing():
        pytest.skip(reason)
    plain = [line for line in dumped.lines() if "icmp6" not in line]  # of which it refuses what it prints
    files: list[pathlib.Path] = []
    for name, flows in (("first", plain), ("second", plain[1:])):
        files.append(tmp_path / name)
        with files[-1].open("wb") as stream:
            snapshot.write(dumped.Listed(SWITCH, {"br-int": flows, "br-tun": []}), stream.write)
        script = re.search("sed -n '(.*)' FILE", files[-1].read_text())
        assert script is not None
        cut = subprocess.run(["sed", "-n", script[1], files[-1]], capture_output=True, check=True, timeout=10)
        files[-1].write_bytes(cut.stdout)

    command = ["ovs-ofctl", "-O", "OpenFlow14", "diff-flows", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)

    assert (done.returncode, done.stdout.count("\n"), done.stdout[0]) == (2, 1, "-")
