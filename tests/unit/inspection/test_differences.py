"""Whether anything changed that matters is answered in one sentence, and what changed is named, however much it is."""

import pathlib
import re
from collections.abc import Iterator, Sequence

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.inspection import differences, snapshots, storage
from ovs_pathfinder.report import view
from ovs_pathfinder.vswitch import snapshot
from tests.unit import recorded
from tests.unit.inspection import switched
from tests.unit.vswitch import dumped, private

ARP = "table=81,priority=100,arp,reg5=0x2"


@pytest.fixture(scope="module")
def _running() -> Iterator[None]:
    if reason := private.missing():
        pytest.skip(reason)
    with switched.running():
        yield


@pytest.fixture
def folder(_running: None, tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with one snapshot of a switch that has the agent's flows and none else."""
    switched.install()
    snapshots.run(snapshots.Query(label="before"), switched.context_of(tmp_path))
    return tmp_path


def compare(folder: pathlib.Path, before: str = "", after: str = "now") -> differences.Answer:
    return differences.run(differences.Query(before=before, after=after), switched.context_of(folder))


def keep(folder: pathlib.Path, label: str, source: snapshot.Source) -> str:
    """Put a snapshot of another switch into the folder; return its path."""
    with storage.Storage(folder / snapshots.FOLDER).writing("elsewhere/3", label) as fresh:
        snapshot.write(source, fresh.write)
    return str(fresh.file)


def flows(name: str) -> list[str]:
    return [line for line in recorded.text(name).splitlines() if line.startswith(" ")]


def test_nothing_has_changed_since_a_moment_ago(folder: pathlib.Path) -> None:
    found = compare(folder)

    assert found.same
    assert found.summary == f"The rules are the same: {len(dumped.lines()) + 1} flows on 2 bridges."
    assert (found.flows, found.settings, found.aside, found.notes) == ((), (), (), ())
    assert (found.before.name, found.after.name) == (found.before.name, "now")
    assert found.before.name.endswith("+before.flows")


def test_each_change_is_a_line_that_names_table_port_and_address(folder: pathlib.Path) -> None:
    switched.delete(ARP)
    switched.add(f"cookie={dumped.COOKIE:#x},{ARP.replace('0x2', '0x3')},actions=drop")
    switched.add("cookie=0x5,table=0,priority=96,icmp6,in_port=3,actions=NORMAL")

    found = compare(folder, "before")

    count = len(dumped.lines()) + 1
    told = f"3 flows differ (1 gone, 1 new, 1 changed), of {count} before and {count} after on 2 bridges."
    assert found.summary == told
    assert (found.before.flows, found.after.flows) == (count, count)
    assert not found.same
    assert [str(one) for one in found.flows] == [
        "new: br-int table 0 (local switching), priority 96, cookie 0x5, unlike most flows there: "
        "icmp6,in_port=tap00000003-bb → NORMAL [tap00000003-bb (00000003-aaaa, fa:16:3e:00:00:03)]",
        "gone: br-int table 81 (base ingress), priority 100: arp,reg5=tap00000002-aa → output:tap00000002-aa "
        "[tap00000002-aa (00000002-aaaa, fa:16:3e:00:00:02)]",
        "changed: br-int table 81 (base ingress), priority 100: arp,reg5=tap00000003-bb → output:tap00000003-bb "
        "became drop [tap00000003-bb (00000003-aaaa, fa:16:3e:00:00:03)]",
    ]
    assert [(one.hit_before, one.hit_after) for one in found.flows] == [(None, 0), (0, None), (0, 0)]


def test_an_agent_that_started_anew_has_changed_nothing(folder: pathlib.Path) -> None:
    switch = snapshot.Snapshot(next(folder.glob("snapshots/*"))).switch
    fresh = dumped.renumbered(dumped.lines(), vlans={1: 2, 2: 1}, ids={14: 800, 10014: 14000})
    fresh = [line.replace(f"{dumped.COOKIE:#x}", "0x1234") for line in fresh]
    ports = dumped.switch(vlans={1: 2, 2: 1}).ports
    others = [one for one in switch.ports if not one.iface_id]
    plugged = (one.model_copy(update={"mtu": 1500, "type": "dummy"}) for one in ports)
    later = switch.model_copy(update={"ports": (*others, *plugged)})
    tunnel = [" cookie=0x77, duration=1s, table=10, n_packets=0, n_bytes=0, priority=1 actions=drop"]
    keep(folder, "after", dumped.Listed(later, {"br-tun": tunnel, "br-int": fresh}))

    found = compare(folder, "before", "after")

    assert found.same
    counts = {one.what: one.count for one in found.aside if one.what != "order"}
    assert counts == {"cookies": len(fresh) + 1, "networks": 2, "conjunctions": 2}
    assert "networks with another local VLAN: gre/753 1 to 2, gre/1001 2 to 1" in [one.text for one in found.aside]


def test_after_an_upgrade_only_the_version_changed(folder: pathlib.Path) -> None:
    switch = snapshot.Snapshot(next(folder.glob("snapshots/*"))).switch
    older = switch.model_copy(update={"versions": switch.versions.model_copy(update={"vswitchd": "2.15.0"})})
    tunnel = [" cookie=0xe85a, duration=1s, table=10, n_packets=0, n_bytes=0, priority=1 actions=drop"]
    old = dumped.Listed(older, {"br-int": dumped.lines(), "br-tun": tunnel})

    found = compare(folder, keep(folder, "older", old))

    version = switch.versions.vswitchd
    whole = f"The rules are the same: {len(dumped.lines()) + 1} flows on 2 bridges"
    assert found.summary == f"{whole}; only the version changed, ovs-vswitchd 2.15.0 to {version}."
    assert found.same


@pytest.mark.parametrize("version", ["2.17", "3.3", "3.5", "4.0"])
def test_dumps_of_two_versions_of_open_vswitch_are_the_same_rules(tmp_path: pathlib.Path, version: str) -> None:
    def described(one: str) -> dumped.Listed:
        bridges = {bridge: flows(f"versions/{one}.{bridge}.flows.txt") for bridge in ("br-int", "br-tun")}
        switch = dumped.switch(bridges=tuple(snapshot.state.Bridge(name=name) for name in bridges))
        versions = snapshot.state.Versions(vswitchd=one)
        openflow = "OpenFlow14" if one < "3" else "OpenFlow15"
        return dumped.Listed(switch.model_copy(update={"versions": versions}), bridges, openflow)

    first, second = (keep(tmp_path, one, described(one)) for one in ("2.13", version))

    found = compare(tmp_path, first, second)

    assert found.same
    assert found.summary.endswith(f"; only the version changed, ovs-vswitchd 2.13 to {version}.")
    assert {one.what for one in found.aside} == {"cookies", "counters", "learned", "spelling"}
    assert any("were read with OpenFlow14 before and OpenFlow15 after" in note for note in found.notes) == (
        version > "3"
    )


@pytest.mark.parametrize(("first", "second"), [("-of13", ""), ("", "-of13")])
def test_dumps_with_two_versions_of_openflow_are_the_same_rules(
    tmp_path: pathlib.Path, first: str, second: str
) -> None:
    paths: list[str] = []
    for end in (first, second):
        name = "healthy-gre-l2pop/compute.{}.flows" + end + ".txt"
        bridges = {bridge: flows(name.format(bridge)) for bridge in ("br-int", "br-tun")}
        switch = dumped.switch(bridges=tuple(snapshot.state.Bridge(name=one) for one in bridges))
        paths.append(keep(tmp_path, "x", dumped.Listed(switch, bridges, "OpenFlow13" if end else "OpenFlow10")))

    found = compare(tmp_path, *paths)

    assert found.same
    assert found.flows == ()


def test_ten_thousand_differences_fit_and_all_are_in_a_file(folder: pathlib.Path) -> None:
    line = " cookie=0x5, duration=1s, table=7, n_packets=0, n_bytes=0, priority={},ip,nw_src=10.0.0.1 actions=output:2"
    many = [*dumped.lines(), *(line.format(one) for one in range(10_000))]
    path = keep(folder, "many", dumped.Listed(dumped.switch(), {"br-int": many}))

    found = compare(folder, "before", path)

    assert found.new == 10_000
    assert len(found.flows) == differences.SHOWN
    told = pathlib.Path(found.file).read_text().splitlines()
    assert len([one for one in told if one.startswith("new: br-int table 7")]) == 10_000
    assert pathlib.Path(found.file).stat().st_mode & 0o777 == 0o600
    assert found.fetch.endswith(f"sudo cat {found.file} > {pathlib.Path(found.file).name}")
    results = view.view(found)
    assert all(len(value.encode()) <= 120_000 for value in results.values())
    assert "All 10000 differences of flows, a line each, are in" in " ".join(results["report"].split())
    assert [file.name for file in storage.Storage(folder / "snapshots").files(storage.DIFFERENCES)] == [
        pathlib.Path(found.file).name
    ]


def test_settings_ports_and_groups_are_told_beside_flows(folder: pathlib.Path) -> None:
    private.configure("set Bridge br-tun mcast_snooping_enable=true -- set Port tap00000002-aa tag=4095")
    private.call("ovs-ofctl", "-O", "OpenFlow14", "add-group", "br-int", "group_id=7,type=all,bucket=output:2")

    found = compare(folder)

    private.call("ovs-ofctl", "-O", "OpenFlow14", "del-groups", "br-int")
    private.configure("set Bridge br-tun mcast_snooping_enable=false -- set Port tap00000002-aa tag=1")
    assert [str(one).partition(",bucket")[0] for one in found.settings] == [
        "group br-int 7: none before, type=all",
        "bridge br-tun mcast_snooping: false before, true after",
        "port tap00000002-aa (00000002-aaaa, fa:16:3e:00:00:02) on br-int tag: "
        "gre/753 before, 4095, the dead VLAN after",
    ]
    assert found.summary.startswith("The flows are the same: ")
    assert "different settings: 1 group setting, 1 bridge setting, 1 port setting" in found.summary


def test_a_snapshot_of_another_host_is_told(folder: pathlib.Path) -> None:
    path = keep(folder, "other", dumped.Listed(dumped.switch(host="another"), {"br-int": dumped.lines()}))

    assert "The two are of different hosts: octavia-host and another." in compare(folder, "before", path).notes


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("now", "now", "before=now has nothing later to be compared with; name a snapshot, or leave it out"),
        ("none", "now", "there is no snapshot 'none' on this unit; there are .*before.flows"),
        ("", "none", "there is no snapshot 'none' on this unit; there are .*before.flows"),
        ("/etc/passwd", "now", "/etc/passwd is no snapshot of ovs-pathfinder: it does not begin as one; name one that"),
        ("/dev/zero", "now", "/dev/zero is no regular file, so it is no snapshot; name a file"),
        ("/proc/self", "now", "/proc/self is no regular file, so it is no snapshot; name a file"),
        ("/proc/self/mem", "now", "the snapshot /proc/self/mem cannot be read: it is empty, or is not kept on a disk"),
        ("/proc/kmsg", "now", "the snapshot /proc/kmsg cannot be read: it is empty, or is not kept on a disk"),
        ("/" + "\U00010348" * 70, "now", "the snapshot .* cannot be read: File name too long"),
        ("/nonexistent/x", "now", "the snapshot /nonexistent/x cannot be read: No such file or directory"),
        ("../../etc/passwd", "now", "'../../etc/passwd' is no absolute path; give one, or the name of a snapshot"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(
    folder: pathlib.Path, before: str, after: str, expected: str
) -> None:
    with pytest.raises(errors.PathfinderError) as refusal:
        compare(folder, before, after)

    assert re.match(expected, str(refusal.value)), str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "root:" not in str(refusal.value)


def widths(page: str) -> Sequence[str]:
    """Return the lines that are wider than a terminal, though they could be wrapped."""
    return [line for line in page.splitlines() if len(line) > 80 and len(line.split()) > 2]


def test_the_page_is_as_wide_as_a_terminal_and_says_all_of_it(folder: pathlib.Path) -> None:
    switched.delete(ARP)
    switched.add(
        "cookie=0x5,table=71,priority=96,icmp6,in_port=3,ipv6_src=fd00::1,dl_src=fa:16:3e:00:00:03,actions=drop"
    )
    private.configure("set Bridge br-tun other_config:mac-table-size=5")

    page = view.view(compare(folder))["report"]

    private.configure("remove Bridge br-tun other_config mac-table-size")
    assert widths(page) == []
    words = " ".join(page.split())
    assert (
        "gone: br-int table 81 (base ingress), priority 100 arp, reg5=tap00000002-aa → output:tap00000002-aa" in words
    )
    assert "tap00000002-aa (00000002-aaaa, fa:16:3e:00:00:02)" in words
    assert "bridge br-tun other_config:mac-table-size: none before, 5 after" in words
    assert page.startswith("Differences: yes\n")
