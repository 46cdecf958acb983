"""An operator's own flows, and the cleaning up after whatever was left: the real charm on two real switches."""

import concurrent.futures
import contextlib
import json
import pathlib
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import jubilant
import pytest

from ovs_pathfinder.temporary import flows, journal, rule
from tests.lab import deployed, node, processes, topology

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("injections"), pytest.mark.usefixtures("nothing_is_left")]

LEADER, OTHER = deployed.LEADER, deployed.OTHER
QUICK = {"count": 3, "interval": 0.1}

# --- an operator's own flows ---


def test_injected_flows_live_as_long_as_stated(cloud: deployed.Cloud, run: str):
    host = cloud.host()
    there: list[str] = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        acting = pool.submit(cloud.run, LEADER, "inject-flows", {**deployed.INJECTION, "run": run, "duration": 3})
        processes.wait_until(lambda: there.extend(deployed.ours(host)) or there, "the flow", limit=30)
        found = acting.result()
    processes.wait_until(lambda: not deployed.open_entries(host), "the end of the flow", limit=15)

    (line,) = there
    assert re.search(r"hard_timeout=[123],", line)
    assert f"in_port={host.ofport('o-hm0')}" in line
    assert deployed.ours(host) == []
    assert (deployed.closed(host).by, deployed.closed(host).until) == ("guard", found["until"])
    assert re.fullmatch(r"1 flow with cookie 0x6f7066\w{10} on br-int until 20.* UTC", found["summary"])
    assert found["next"] == f"juju run {LEADER} clean-up"
    assert "actions=NORMAL" in found["flows"]


def test_clean_up_ends_injected_flows_early(cloud: deployed.Cloud, run: str):
    cloud.run(LEADER, "inject-flows", {**deployed.INJECTION, "run": run, "duration": 60})
    made = deployed.ours(cloud.host())

    foreseen = cloud.run(LEADER, "clean-up", {"dry-run": True})
    still = deployed.ours(cloud.host())
    found = cloud.run(LEADER, "clean-up")

    assert len(made) == 1
    assert still == made
    assert foreseen["summary"] == "1 temporary change in the journal; nothing was undone."
    assert "inject-flows" in foreseen["found"]
    assert found["summary"] == "1 temporary change undone, 0 left."
    assert "1 flow deleted" in found["undone"] or "deleted from br-int" in found["undone"]
    assert deployed.ours(cloud.host()) == []


def occupied(host: node.Host) -> dict[str, str]:
    """Return a flow of the agent's, as table, priority and match."""
    dump = host.ofctl("--no-stats", "--no-names", "dump-flows", "br-int", "table=60").splitlines()
    line = next(line for line in dump if "priority=100,in_port=" in line)
    match = re.search(r"table=(?P<table>\d+), priority=(?P<priority>\d+),(?P<match>\S+) actions=", line)
    assert match is not None, line
    return match.groupdict()


NARROW = f"icmp6,ipv6_src={topology.SOURCE.address6},ipv6_dst={topology.GUEST.address6}"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"bridge": "br-ex"}, ["no bridge 'br-ex'", "br-int"]),
        ({"flows": "LEVEL,{match},actions=NORMAL", "allow-broad": True}, ["is in use", "{match}"]),
        ({"flows": f"LEVEL,{NARROW},actions=NORMAL"}, ["priority {priority} of table 60", "is in use"]),
        ({"flows": "priority=4096,icmp6,actions=NORMAL"}, ["matches more than the traffic of run", "allow-broad=true"]),
        ({"run": ""}, ["name the run"]),
        ({"run": "20200101t000000-000000"}, ["'20200101t000000-000000' is not known here"]),
        ({"duration": 301}, ["301 s", "max-change-duration allows 300 s"]),
        ({"flows": f"priority=4096,{NARROW},actions=NORMAL; touch {deployed.PWNED}"}, ["hold", "';'"]),
        ({"flows": f"priority=4096,{NARROW}\n,actions=NORMAL"}, ["flows", "control character"]),
        ({"bridge": deployed.METACHARACTERS}, ["no bridge"]),
        ({"flows": f"priority=4096,in_port=o-hm7,{NARROW},actions=NORMAL"}, ["no port 'o-hm7' on br-int"]),
        ({"flows": f"cookie=0x1,priority=4096,{NARROW},actions=NORMAL"}, ["cookie"]),
        ({"flows": f"priority=4096,{NARROW},actions=learn(table=3)"}, ["learns other flows"]),
        ({"flows": f"priority=4096,{NARROW}"}, ["has no actions"]),
        ({"flows": f"priority=4096,{NARROW},actions=paint"}, ["paint"]),
    ],
    ids=lambda value: "" if isinstance(value, list) else None,
)  # fmt: skip
def test_injection_is_refused_in_one_sentence(
    cloud: deployed.Cloud, run: str, params: dict[str, Any], words: list[str]
):
    there = occupied(cloud.host())
    level = "table={table},priority={priority}".format(**there)
    filled = {
        key: value.replace("LEVEL", level).replace("{match}", there["match"]) if isinstance(value, str) else value
        for key, value in {**deployed.INJECTION, "run": run, **params}.items()
    }
    before = deployed.tables(cloud.lab)

    message = cloud.refuse(LEADER, "inject-flows", filled)

    assert all(word.format(**there) in message for word in words), message
    assert deployed.tables(cloud.lab) == before
    assert not deployed.PWNED.exists()


@pytest.mark.parametrize(
    "params", [{"duration": 0}, {"duration": 3601}, {"flows": ""}, {"bridge": ""}, {"colour": "red"}]
)
def test_parameters_out_of_bounds_are_not_even_tried(cloud: deployed.Cloud, run: str, params: dict[str, Any]):
    with pytest.raises((jubilant.TaskError, ValueError, jubilant.CLIError), match=r"validation|additional|colour"):
        cloud.run(LEADER, "inject-flows", {**deployed.INJECTION, "run": run, **params})


# --- a journal that cannot be written or read ---


def test_without_a_place_for_the_journal_nothing_is_changed_and_all_else_works(
    cloud: deployed.Cloud, run: str, tmp_path: pathlib.Path
):
    place = tmp_path / "state"
    place.write_text("a file")
    odd = cloud.variant("filed", env={LEADER: {"OVS_PATHFINDER_STATE": str(place)}})

    with deployed.broken(cloud):
        tried = odd.refuse(LEADER, "try-flows", {"run": run, **QUICK})
    injected = odd.refuse(LEADER, "inject-flows", {**deployed.INJECTION, "run": run})
    probed = odd.run(LEADER, "probe-path", {"run": run, "wait": 0.1, **QUICK})

    assert f"{place} cannot be used" in tried
    assert f"{place} cannot be used" in injected
    assert probed["summary"].startswith("3 of 3")
    assert odd.run(LEADER, "clean-up")["summary"] == "Nothing is left behind on this unit."
    assert odd.status()[0] == "active"


@pytest.fixture
def full_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system without room."""
    place = tmp_path / "full"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], check=True)
    with contextlib.suppress(OSError), (place / "filling").open("wb", buffering=0) as filling:
        while True:
            filling.write(bytes(4096))
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk_lets_nothing_be_changed(cloud: deployed.Cloud, run: str, full_disk: pathlib.Path):
    full = cloud.variant("full", env={LEADER: {"OVS_PATHFINDER_STATE": str(full_disk / "state")}})

    message = full.refuse(LEADER, "inject-flows", {**deployed.INJECTION, "run": run})

    assert "No space left on device" in message
    assert "nothing is changed on this host" in message


def test_damaged_entry_is_named_until_somebody_has_looked_into_it(cloud: deployed.Cloud, run: str):
    host = cloud.host()
    folder = host.directory / "state" / "open"
    folder.mkdir(parents=True, exist_ok=True)
    damaged = folder / "0123456789ab.json"
    damaged.write_text("{")

    cleaned = cloud.refuse(LEADER, "clean-up")
    injected = cloud.refuse(LEADER, "inject-flows", {**deployed.INJECTION, "run": run})
    blocked = cloud.status()
    damaged.unlink()
    cloud.run(LEADER, "clean-up")

    assert str(damaged) in cleaned
    assert str(damaged) in injected
    assert blocked[0] == "blocked"
    assert "run clean-up" in blocked[1]
    assert cloud.status()[0] == "active"


def test_what_cannot_be_undone_is_named_and_blocks_until_it_is(cloud: deployed.Cloud, run: str, tmp_path: pathlib.Path):
    deaf = cloud.variant("deaf", env={LEADER: {"OVS_RUNDIR": str(tmp_path)}})
    cloud.run(LEADER, "inject-flows", {**deployed.INJECTION, "run": run, "duration": 60})

    message = deaf.refuse(LEADER, "clean-up")
    blocked = deaf.status()
    again = cloud.run(LEADER, "clean-up")

    assert "not everything could be undone" in message
    assert "1 flow with cookie 0x6f7066" in message
    assert "on br-int" in message
    assert blocked[0] == "blocked"
    assert re.search(r"1 temporary change\b.* run clean-up", blocked[1])
    assert again["summary"] == "1 temporary change undone, 0 left."
    assert cloud.status()[0] == "active"


# --- hooks ---


def leave_behind(host: node.Host) -> journal.Journal:
    """Leave a change behind, as a killed action and a killed guard do."""
    book = journal.Journal(host.env["OVS_PATHFINDER_STATE"])
    kind = flows.Flows(
        bridge="br-int", cookie=flows.new_cookie(), rules=rule.parse("priority=4096,in_port=77,actions=drop")
    )
    book.write(journal.new(kind, seconds=60, action="try-flows", run="20200101t000000-000000"))
    host.ofctl("add-flow", "br-int", f"cookie={kind.cookie},{kind.rules[0]}")
    return book


@pytest.mark.parametrize("hook", ["start", "upgrade-charm", "update-status", "stop", "remove"])
def test_hook_undoes_what_was_left_behind(cloud: deployed.Cloud, hook: str):
    book = leave_behind(cloud.host())

    done = cloud.call("fire", hook, LEADER)

    assert done.returncode == 0, done.stderr
    assert deployed.ours(cloud.host()) == []
    assert book.is_empty()
    assert book.directory.exists() == (hook != "remove")


def test_hook_leaves_flows_that_may_still_live(cloud: deployed.Cloud, run: str):
    cloud.run(LEADER, "inject-flows", {**deployed.INJECTION, "run": run, "duration": 60})
    cloud.call("fire", "update-status", LEADER)
    still = deployed.ours(cloud.host())
    cloud.call("fire", "stop", LEADER)

    assert len(still) == 1
    assert deployed.ours(cloud.host()) == []


def test_unit_cannot_go_while_something_is_left(cloud: deployed.Cloud, tmp_path: pathlib.Path):
    deaf = cloud.variant("leaving", env={LEADER: {"OVS_RUNDIR": str(tmp_path)}})
    leave_behind(cloud.host())
    begun = len(cloud.log())

    failed = [deaf.call("fire", hook, LEADER).returncode for hook in ("stop", "remove")]
    said = cloud.log()[begun:]
    cloud.call("fire", "stop", LEADER)

    assert all(failed)
    assert "the unit cannot go while a temporary change is left" in said
    assert "Traceback" not in said
    assert deployed.ours(cloud.host()) == []


def test_old_juju_is_told_its_own_commands(cloud: deployed.Cloud, run: str):
    old = cloud.variant("old", None, **{"juju-version": "2.9.51"})
    words = ["run-action", "--wait", "--format", "json", LEADER, "inject-flows", f"run={run}", "duration=60"]
    done = old.call(*words, *(f"{key}={value}" for key, value in deployed.INJECTION.items()))
    (injected,) = json.loads(done.stdout).values()
    (cleaned,) = json.loads(old.call("run-action", "--wait", "--format", "json", LEADER, "clean-up").stdout).values()

    assert injected["results"]["next"] == f"juju run-action --wait {LEADER} clean-up"
    assert cleaned["results"]["summary"] == "1 temporary change undone, 0 left."
