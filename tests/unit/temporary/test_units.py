"""Two units of the charm on one host: each takes away what is its own, and the last one all the rest."""

import collections
import pathlib
from typing import Any

import pytest
from ops import testing

import charm
from ovs_pathfinder.inspection import savefiles, storage
from ovs_pathfinder.temporary import change, flows, journal, rule
from tests.lab.standin import charm as unpacked

OCTAVIA, NOVA = "ovs-pathfinder/2", "ovs-pathfinder/12"
CHARM = unpacked.read(pathlib.Path(__file__).resolve().parents[3])
UNDONE = change.Outcome(state="undone", text="1 flow deleted.")


class Host:
    """A host with a folder of the charm for each unit, and with the hooks and actions of each through `ops.main`."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.state = folder / "state"
        self._folder = folder
        self._contexts: dict[str, testing.Context[Any]] = {}
        self.installed = (self.install(OCTAVIA), self.install(NOVA))

    def install(self, unit: str) -> pathlib.Path:
        root = self._folder / unit.replace("/", "-")
        root.mkdir()
        self._contexts[unit] = testing.Context(
            charm.PathfinderCharm,
            meta=CHARM.metadata,
            actions=CHARM.actions,
            config=CHARM.config,
            unit_id=int(unit.split("/")[1]),
            charm_root=root,
        )
        self.hook(unit, "install")
        return root

    def hook(self, unit: str, name: str) -> str:
        """Run a hook and return the name of the status that it leaves."""
        context = self._contexts[unit]
        return context.run(getattr(context.on, name)(), testing.State()).unit_status.name

    def clean_up(self, unit: str, **given: Any) -> dict[str, Any]:
        context = self._contexts[unit]
        context.run(context.on.action("clean-up", params=given), testing.State())
        return dict(context.action_results or {})

    def book(self, unit: str = "") -> journal.Journal:
        return journal.Journal(unit=unit)

    def inject(self, unit: str, *, seconds: float = 600, **more: Any) -> journal.Entry:
        rules = rule.parse("table=0,priority=96,icmp6,in_port=3,actions=NORMAL")
        kind = flows.Flows(bridge="br-none", cookie=flows.new_cookie(), rules=rules)
        entry = journal.new(kind, seconds=seconds, action="inject-flows", unit=unit, stays=True)
        entry = entry.model_copy(update=more)
        self.book().write(entry)
        return entry

    def keep(self, unit: str) -> list[pathlib.Path]:
        """Have a unit keep one file of each kind."""
        shelf = storage.Storage(self.state / "snapshots")
        with shelf.writing(unit, "before") as labelled, shelf.writing(unit, kind=storage.DIFFERENCES) as differences:
            labelled.write(b"x")
            differences.write(b"x")
        capture = savefiles.create(self.state / "captures", unit, "eth1", 1000)
        return [labelled.file, differences.file, capture]


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch) -> collections.Counter[str]:
    """Count the undos of each cookie, without a switch."""
    seen: collections.Counter[str] = collections.Counter()

    def undo(self: flows.Flows, _: object) -> change.Outcome:
        seen[self.cookie] += 1
        return UNDONE

    monkeypatch.setattr(flows.Flows, "undo", undo)
    return seen


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, undone: collections.Counter[str]) -> Host:
    monkeypatch.setenv("OVS_PATHFINDER_STATE", str(tmp_path / "state"))
    return Host(tmp_path)


def cookie(entry: journal.Entry) -> str:
    assert isinstance(entry.change, flows.Flows)
    return entry.change.cookie


def test_a_unit_that_goes_takes_its_own_and_the_last_one_the_rest(host: Host, undone: collections.Counter[str]) -> None:
    own, other, old = host.inject(NOVA), host.inject(OCTAVIA), host.inject("")
    files, kept = host.keep(NOVA), host.keep(OCTAVIA)
    earlier = host.state / "captures" / "20261122t185804-eth1-5a9eb1.pcap"
    earlier.touch()

    host.hook(NOVA, "stop")
    host.hook(NOVA, "remove")

    assert dict(undone) == {cookie(own): 1}
    assert {one.id for one in host.book().entries()} == {other.id, old.id}
    assert not any(file.exists() for file in files)
    assert all(file.exists() for file in (*kept, earlier))

    host.hook(OCTAVIA, "stop")
    host.hook(OCTAVIA, "remove")

    assert set(undone) == {cookie(own), cookie(other), cookie(old)}
    assert not host.state.exists()


def test_a_unit_that_went_without_its_last_hook_holds_up_nothing(host: Host, undone: collections.Counter[str]) -> None:
    entry = host.inject(OCTAVIA)
    host.keep(OCTAVIA)
    gone = host.installed[0]
    gone.rename(gone.with_name("gone"))

    host.hook(NOVA, "remove")

    assert set(undone) == {cookie(entry)}
    assert not host.state.exists()


def test_a_unit_that_goes_does_not_wait_for_what_another_cannot_undo(host: Host) -> None:
    host.inject(OCTAVIA, conflict="Others have changed it.")
    (host.state / "open" / "0123456789ab.json").write_text("{")

    host.hook(NOVA, "remove")

    assert host.book(OCTAVIA).others() == frozenset()
    assert len(list((host.state / "open").iterdir())) == 2


@pytest.mark.parametrize("dry_run", [False, True])
def test_clean_up_names_what_another_unit_may_still_have(
    host: Host, undone: collections.Counter[str], dry_run: bool
) -> None:
    own, old, other = host.inject(NOVA), host.inject(""), host.inject(OCTAVIA)
    over = host.inject(OCTAVIA, began=None, deadline=0.0)

    results = host.clean_up(NOVA, **{"dry-run": dry_run})

    assert other.id in results["others"]
    assert f"made by {OCTAVIA}: run clean-up there" in results["others"]
    assert "left" not in results
    assert set(undone) == (set() if dry_run else {cookie(own), cookie(old), cookie(over)})
    assert all(one.id in results["found" if dry_run else "undone"] for one in (own, old, over))


def test_only_the_unit_of_a_conflict_closes_it_and_is_blocked(host: Host) -> None:
    entry = host.inject(OCTAVIA, conflict="Others have changed it.")

    assert entry.id in host.clean_up(NOVA)["others"]
    assert [one.id for one in host.book().entries()] == [entry.id]
    assert (host.hook(NOVA, "update_status"), host.hook(OCTAVIA, "update_status")) == ("active", "blocked")
    assert entry.id in host.clean_up(OCTAVIA)["conflicts"]


@pytest.mark.parametrize("hook", ["start", "update_status", "upgrade_charm"])
def test_a_sweep_of_a_hook_ends_no_flows_that_may_live(host: Host, undone: collections.Counter[str], hook: str) -> None:
    host.inject(OCTAVIA)
    host.hook(NOVA, hook)
    assert not undone


def test_a_unit_is_not_taken_for_one_whose_name_begins_alike(host: Host) -> None:
    host.install("ovs-pathfinder/1")
    kept = host.keep(NOVA)
    host.hook("ovs-pathfinder/1", "remove")
    assert all(file.exists() for file in kept)
