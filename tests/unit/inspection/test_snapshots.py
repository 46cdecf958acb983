"""A snapshot is kept whole or not at all, names what is in it, and makes room for newer ones."""

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator

import pydantic
import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.inspection import differences, flows, snapshots, storage
from ovs_pathfinder.report import view
from ovs_pathfinder.vswitch import ofctl, snapshot
from tests.unit.inspection import switched
from tests.unit.vswitch import dumped, private


@pytest.fixture(scope="module")
def switch() -> Iterator[pathlib.Path]:
    """A switch for all tests of this module."""
    if reason := private.missing():
        pytest.skip(reason)
    with switched.running() as place:
        yield place


def take(folder: pathlib.Path, label: str = "") -> snapshots.Answer:
    return snapshots.run(snapshots.Query(label=label), switched.context_of(folder))


def test_the_answer_says_where_it_is_and_what_is_in_it(switch: pathlib.Path, tmp_path: pathlib.Path) -> None:
    stages: list[str] = []
    found = snapshots.run(snapshots.Query(label="before-upgrade"), switched.context_of(tmp_path, stages))

    file = pathlib.Path(found.path)
    flows = len(dumped.lines())
    assert re.fullmatch(r"\d{8}t\d{6}z-ovs-pathfinder-0\+before-upgrade\.flows", found.name)
    assert file.parent == tmp_path / "snapshots"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert found.bytes == file.stat().st_size
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert [(one.name, one.openflow, one.flows, one.ports) for one in found.bridges] == [
        ("br-int", "OpenFlow15", flows, 4),
        ("br-tun", "OpenFlow14", 1, 1),
    ]
    assert sum(one.flows for one in found.tables if one.bridge == "br-int") == flows
    assert [one.name for one in found.tables if one.table == 71] == ["base egress: anti-spoofing"]
    assert found.fetch == f"juju ssh --pty=false ovs-pathfinder/0 sudo cat {file} > {found.name}"
    assert found.compare == f"juju run ovs-pathfinder/0 diff-flows before={found.name}"
    assert found.summary.startswith(f"{flows + 1} flows on 2 bridges of Open vSwitch 3.")
    assert stages[1:] == ["reading the flows of br-int", "reading the flows of br-tun"]


def test_the_file_holds_the_switch_as_it_is(switch: pathlib.Path, tmp_path: pathlib.Path) -> None:
    private.call("ovs-ofctl", "-O", "OpenFlow14", "add-group", "br-int", "group_id=1,type=all,bucket=output:2")
    private.call("ovs-ofctl", "-O", "OpenFlow14", "add-meter", "br-int", "meter=1,kbps,bands=type=drop,rate=1000")

    kept = snapshot.Snapshot(pathlib.Path(take(tmp_path, "x").path))

    private.call("ovs-ofctl", "-O", "OpenFlow14", "del-groups", "br-int")
    private.call("ovs-ofctl", "-O", "OpenFlow14", "del-meters", "br-int")
    integration, tunnel = kept.switch.bridges
    assert (kept.switch.unit, kept.switch.label, kept.switch.host) == ("ovs-pathfinder/0", "x", "octavia-host")
    assert kept.switch.versions.vswitchd == kept.switch.versions.ovsdb != ""
    assert kept.switch.versions.kernel == os.uname().release
    assert integration.fail_mode == "secure"
    assert [one.partition(",bucket")[0] for one in integration.groups] == ["group_id=1,type=all"]
    assert integration.meters == ("meter=1 kbps bands= type=drop rate=1000",)
    assert tunnel.protocols == ("OpenFlow10", "OpenFlow13", "OpenFlow14")
    assert {one.name: (one.ofport, one.tag, one.network) for one in kept.switch.ports_of("br-int") if one.tag} == {
        name: (number, vlan, f"gre/{dumped.NETWORKS[vlan]}") for number, (name, vlan) in dumped.PORTS.items()
    }
    lines = {about.bridge: b"".join(chunks).decode().splitlines() for about, chunks in kept.flows()}
    assert {re.sub(".*priority", "", line) for line in lines["br-int"]} == {
        re.sub(".*priority", "", line) for line in dumped.lines()
    }


def test_two_in_one_second_are_two_files_and_nothing_is_overwritten(
    switch: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_TIME", "20260314t120000z")

    names = [take(tmp_path).name for _ in range(3)]

    stem = "20260314t120000z-ovs-pathfinder-0"
    assert names == [f"{stem}.flows", f"{stem}.2.flows", f"{stem}.3.flows"]
    assert [file.name for file in storage.Storage(tmp_path / "snapshots").files()] == names[::-1]


def test_the_oldest_make_room_and_are_named(
    switch: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "snapshots"
    folder.mkdir()
    for day in range(1, 13):
        (folder / f"202601{day:02d}t120000z-ovs-pathfinder-0.flows").write_text("old")
    (folder / "notes.txt").write_text("an operator's own")

    found = take(tmp_path)

    assert found.removed == tuple(f"202601{day:02d}t120000z-ovs-pathfinder-0.flows" for day in (1, 2, 3))
    assert len(storage.Storage(folder).files()) == storage.KEPT
    assert (folder / "notes.txt").exists()
    assert "20260101t120000z-ovs-pathfinder-0.flows was removed" in " ".join(view.view(found)["report"].split())


def test_all_together_are_no_larger_than_is_allowed_and_the_newest_stays(tmp_path: pathlib.Path) -> None:
    shelf = storage.Storage(tmp_path, most=1000)
    for day, end in ((1, ".flows"), (2, ".differences.txt"), (3, ".flows"), (4, ".flows")):
        (tmp_path / f"202601{day:02d}t120000z-u{end}").write_bytes(b"x" * 400)

    assert shelf.make_room() == ["20260101t120000z-u.flows"]
    assert len(shelf.files()) == 2
    assert shelf.files(storage.DIFFERENCES) == []
    (tmp_path / "20260105t120000z-u.flows").write_bytes(b"x" * 2000)
    assert storage.Storage(tmp_path, most=1000).make_room() == ["20260103t120000z-u.flows", "20260104t120000z-u.flows"]
    assert len(shelf.files()) == 1


@pytest.mark.parametrize("label", ["a b", "../up", "a/b", "-x", "a" * 41, "a\nb", "a+b", "é"])
def test_a_label_that_is_no_part_of_a_name_is_refused(label: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        snapshots.Query(label=label)


@contextlib.contextmanager
def tiny(folder: pathlib.Path, kilobytes: int) -> Generator[None]:
    """Mount a file system with hardly any room."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True, timeout=10).returncode:
        pytest.skip("needs to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=10)


@pytest.mark.parametrize("kilobytes", [8, 24])
def test_a_full_disk_is_named_and_nothing_half_is_left(
    switch: pathlib.Path, tmp_path: pathlib.Path, kilobytes: int
) -> None:
    with tiny(tmp_path / "disk", kilobytes):
        folder = tmp_path / "disk" / "snapshots"

        with pytest.raises(errors.PathfinderError) as refusal:
            take(tmp_path / "disk")

        assert f"nothing can be kept in {folder} (No space left on device)" in str(refusal.value)
        assert list(folder.iterdir()) == []


def test_a_file_larger_than_all_may_be_is_not_kept(
    switch: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = storage.Storage(tmp_path, most=100)

    with pytest.raises(errors.PathfinderError, match="larger than 100 bytes"), shelf.writing("u/0") as fresh:
        fresh.write(b"x" * 101)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used_is_named(switch: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "snapshots").write_text("in the way")

    with pytest.raises(errors.PathfinderError, match=r"nothing can be kept in .*snapshots"):
        take(tmp_path)


def test_what_a_killed_process_left_half_goes_with_the_next_one(switch: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shelf = storage.Storage(tmp_path / "snapshots")
    with shelf.writing("u/0") as fresh:
        fresh.write(b"half")
        (half,) = shelf.folder.iterdir()
        take(tmp_path)
        assert half.exists(), "one that is being written was removed"
    left = shelf.folder / ".new-0123456789abcdef"
    left.write_bytes(b"half of a file")

    take(tmp_path)

    assert not left.exists()
    assert len(list(shelf.folder.iterdir())) == 3


def test_a_bridge_that_cannot_be_read_is_told_and_the_others_are_kept(
    switch: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ofctl, "VERSIONS", "OpenFlow11")  # which br-tun does not speak

    found = take(tmp_path)

    assert any(note.startswith("The flows of br-tun are not all in the snapshot: ") for note in found.notes)
    assert [(one.name, one.flows > 0) for one in found.bridges] == [("br-int", True), ("br-tun", False)]


def test_a_switch_that_does_not_answer_is_named_and_leaves_no_file(tmp_path: pathlib.Path) -> None:
    if reason := private.missing():
        pytest.skip(reason)
    with switched.running() as place:
        private.stop(place, "ovs-vswitchd", signal.SIGKILL)

        with pytest.raises(errors.PathfinderError, match="ovs-vswitchd does not answer on this host"):
            take(tmp_path)

    assert not (tmp_path / "snapshots").exists()


def test_a_database_that_does_not_answer_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))

    with pytest.raises(errors.PathfinderError, match="ovsdb-server does not answer on this host"):
        take(tmp_path)


def test_a_port_that_is_plugged_meanwhile_is_told(
    switch: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = switched.context_of(tmp_path)

    def plug(stage: str) -> None:
        if stage == "reading the flows of br-tun":
            private.configure("add-port br-tun late -- set Interface late type=dummy")

    found = snapshots.run(snapshots.Query(), dataclasses.replace(context, log=plug))

    private.configure("del-port br-tun late")
    assert found.notes == ("Ports were plugged, unplugged or tagged while the snapshot was taken; take another one.",)


def test_the_page_is_as_wide_as_a_terminal(switch: pathlib.Path, tmp_path: pathlib.Path) -> None:
    page = view.view(take(tmp_path, "before-upgrade"))["report"]

    wide = [line for line in page.splitlines() if len(line) > 80]
    assert all(str(tmp_path) in line for line in wide), wide
    assert "base egress: anti-spoofing" in page
    assert "juju ssh --pty=false ovs-pathfinder/0 sudo cat" in page
    assert time.strftime("%Y-%m-%d", time.gmtime()) in page


def test_a_snapshot_is_found_by_name_label_or_path_and_else_it_is_said_which_there_are(tmp_path: pathlib.Path) -> None:
    shelf = storage.Storage(tmp_path)
    with pytest.raises(errors.PathfinderError, match=r"there is no snapshot in .*; take one with snapshot-flows"):
        shelf.find("")
    names = ["20260101t120000z-u-0+a.flows", "20260102t120000z-u-0+a.flows", "20260103t120000z-u-0+b.2.flows"]
    for name in names:
        (tmp_path / name).write_text("")

    assert [shelf.find(one).name for one in ("", "a", "b")] == [names[2], names[1], names[2]]
    assert shelf.find(names[0]).name == shelf.find(names[0].removesuffix(".flows")).name == names[0]
    assert shelf.find("/elsewhere/x.flows") == pathlib.Path("/elsewhere/x.flows")
    for name in ("c", "..", "0"):
        with pytest.raises(errors.PathfinderError) as refusal:
            shelf.find(name)
        assert str(refusal.value) == f"there is no snapshot {name!r} on this unit; there are {', '.join(names[::-1])}"
    with pytest.raises(errors.PathfinderError, match=r"'../x' is no absolute path"):
        shelf.find("../x")


def test_killing_it_leaves_no_file_under_a_name(switch: pathlib.Path, tmp_path: pathlib.Path) -> None:
    program = (
        "import os, pathlib, signal; from ovs_pathfinder.inspection import storage\n"
        f"with storage.Storage(pathlib.Path({str(tmp_path)!r})).writing('u/0') as fresh:\n"
        "    fresh.write(b'x' * 1000000); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": "lib"}, check=False, timeout=20)

    assert done.returncode == -signal.SIGKILL
    assert storage.Storage(tmp_path).files() == []
    assert [file.name[:5] for file in tmp_path.iterdir()] == [".new-"]


def test_flows_that_ovs_ofctl_cannot_decode_are_counted_and_make_a_comparison_unknown(tmp_path: pathlib.Path) -> None:
    if reason := private.missing():
        pytest.skip(reason)
    with switched.running():
        before = take(tmp_path, "before")
        private.call("ovs-ofctl", "-O", "OpenFlow15", "add-flow", "br-int", "table=1,ip,actions=encap(nsh(md_type=1))")
        private.configure("set Bridge br-int protocols=OpenFlow10")  # which has no words for it

        after = take(tmp_path, "after")
        shown = flows.run(flows.Query(hit=False), switched.context_of(tmp_path))
        found = differences.run(differences.Query(before="before", after="after"), switched.context_of(tmp_path))

    read = {one.name: one.flows for one in after.bridges}["br-int"]
    missing = {one.name: one.flows for one in before.bridges}["br-int"] + 1 - read
    assert missing > 0
    said = f"{missing} flow{'s' if missing > 1 else ''} of br-int could not be read: ovs-ofctl printed '***decode error"
    assert any(said in note for note in after.notes)
    assert any(note.startswith(said) for note in shown.notes)
    assert any(said in note for note in found.notes)
    assert (found.same, [one.bridge for one in found.flows if one.bridge == "br-int"]) == (False, [])
    assert "whether the flows of br-int are the same is not known" in found.summary
