"""Whoever is killed, nothing is left: processes that make temporary changes are killed at every step of their way."""

import collections
import concurrent.futures
import contextlib
import functools
import itertools
import os
import pathlib
import random
import resource
import secrets
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import pytest

from ovs_pathfinder.temporary import clock, guard
from tests.lab import hosts, killing, processes

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("kill")]

KINDS: dict[str, type[killing.Kind]] = {
    "flows": killing.Flows,
    "mirror": killing.Mirror,
    "port-security": killing.PortSecurity,
}
BOUNDARIES = {"flows": 90, "mirror": 75, "port-security": 20}
"""How many steps the way of a change has at least; fewer would mean that some are no longer seen."""
RANDOM = {"flows": 48, "mirror": 24, "port-security": 8}
"""How many kills there are at random moments."""
BOTH = {"flows": 20, "mirror": 8, "port-security": 8}
"""How many times the guard is killed too, at least, before a sweep."""
BRIEF = 3.0
"""Seconds that a change may live whose end is waited for; the guard is ready by then on a busy host, too."""
SAID = "kill test"
"""The property of a test that says how often it killed."""

Fork = Callable[[str], list[killing.Zygote]]
Record = Callable[[str, object], None]
Begin = Callable[[killing.Zygote, int], killing.Killed]


@pytest.fixture(scope="module")
def one_lab(lab_support: None) -> Iterator[hosts.Lab]:
    """Start one lab for all kills: what one of them left would be found by the next."""
    with hosts.Lab.start() as lab:
        lab.warm_up()
        yield lab


@pytest.fixture(scope="module")
def fork(one_lab: hosts.Lab) -> Iterator[Fork]:
    """Start the processes that fork others, one on each host, once for each kind of change."""
    known: dict[str, list[killing.Zygote]] = {}
    with contextlib.ExitStack() as stack:

        def start(kind: str) -> list[killing.Zygote]:
            if kind not in known:
                kinds = [KINDS[kind](one_lab, host) for host in one_lab.hosts]
                known[kind] = [stack.enter_context(killing.Zygote(each)) for each in kinds]
            return known[kind]

        yield start


@pytest.fixture
def seed() -> str:
    """Choose the random moments; OVS_PATHFINDER_SEED repeats those of a failure."""
    return os.environ.get("OVS_PATHFINDER_SEED") or secrets.token_hex(4)


def way_of(zygote: killing.Zygote) -> killing.Way:
    """Let a change be made and undone in peace; return its way."""
    peaceful = zygote.start()
    done = peaceful.wait_for("done")
    assert (done["state"], done["left"]) == ("undone", "")
    peaceful.ended()
    return killing.Way(peaceful.boundaries)


def share(zygotes: Sequence[killing.Zygote], jobs: Iterable[int], work: Callable[..., list[float]], told: str) -> str:
    """Do jobs on all hosts at once, some at a time on each; say how many there were and how long the slowest took."""
    waiting = collections.deque(jobs)

    def take(zygote: killing.Zygote) -> list[float]:
        delays: list[float] = []
        while some := [waiting.popleft() for _ in range(min(killing.AT_ONCE, len(waiting)))]:
            delays += work(zygote, some)
        return delays

    with concurrent.futures.ThreadPoolExecutor(len(zygotes)) as pool:
        delays = list(itertools.chain(*pool.map(take, zygotes)))
    return f"{len(delays)} kills of {told}: nothing left after {max(delays):.1f} s at the latest"


def pictures(zygotes: Iterable[killing.Zygote]) -> list[object]:
    """Return the worlds of several hosts or kinds of change."""
    return [zygote.kind.picture() for zygote in zygotes]


def at_once(zygote: killing.Zygote, jobs: Sequence[int], begin: Begin) -> list[killing.Killed]:
    """Let processes make changes and kill them, side by side."""
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(functools.partial(begin, zygote), jobs))


def kill_and_look(begin: Begin, told: str, zygote: killing.Zygote, jobs: Sequence[int]) -> list[float]:
    """Kill processes, wait for their guards, and compare the world with the picture before; return the delays."""
    before = zygote.kind.picture()
    killed = at_once(zygote, jobs, begin)
    what = f"{told}; killed on {zygote.host.site.key}: {[(one.boundaries or ['?'])[-1] for one in killed]}"
    delays = zygote.wait_for_guards(killed)
    assert zygote.kind.picture() == before, what
    left = [one for one in killed if one.book.entries()]
    # Without a guard nothing can have been changed, and only the journal's entry waits for the next sweep.
    assert not any(one.heard("guarded") for one in left), what
    for one in left:
        zygote.sweep(one.book)
        assert one.book.is_empty(), what
    if left:
        assert zygote.kind.picture() == before, f"after the sweep: {what}"
    return delays


def test_there_are_three_hundred_kills_at_least():
    assert sum(sum(kills.values()) for kills in (BOUNDARIES, RANDOM, BOTH)) >= 300


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_wherever_a_process_is_killed(fork: Fork, kind: str, record_property: Record):
    zygotes = fork(kind)
    way = way_of(zygotes[0])

    def kill(zygote: killing.Zygote, number: int) -> killing.Killed:
        killed = zygote.start(plan={number: "die"})
        assert killed.ended(), f"not killed at boundary {number}, {way[number]}: {killed.events}"
        assert killed.boundaries == way[: number + 1], str(killed.heard("raised"))
        return killed

    numbers = list(range(len(way)))
    if kind == "port-security":
        # What comes before the change and after it does not depend on the kind, and this guard takes long to load.
        numbers = [number for number in way.changing if way[number].startswith(("before", "in"))]
    look = functools.partial(kill_and_look, kill, "at a boundary")
    record_property(SAID, share(zygotes, numbers, look, f"{kind}, at each boundary"))
    assert len(numbers) >= BOUNDARIES[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_by_a_kill_at_any_moment(fork: Fork, kind: str, seed: str, record_property: Record):
    zygotes = fork(kind)
    calm = zygotes[0].start()
    calm.wait_for("done")
    (started,), (guarded,), (done,) = (calm.heard(name) for name in ("started", "guarded", "done"))
    calm.ended()

    def kill(zygote: killing.Zygote, number: int) -> killing.Killed:
        chance = random.Random(f"{seed} {number}")  # noqa: S311
        # The start of the guard takes most of the time: half of the kills come after it.
        first = started if number % 2 else guarded
        while True:
            killed = zygote.start(state=f"slot-{number % killing.AT_ONCE}")
            killed.wait_for(first["event"])
            time.sleep(chance.uniform(0, done["moment"] - first["moment"]))
            if killed.kill():
                return killed

    look = functools.partial(kill_and_look, kill, f"OVS_PATHFINDER_SEED={seed}")
    record_property(SAID, share(zygotes, range(RANDOM[kind]), look, f"{kind}, at random moments"))


def where_both_are_killed(way: killing.Way) -> list[int]:
    """Return the boundaries after which something may be there, or on its way."""
    return [number for number in way.changing if not way[number].startswith("before") or "answer" in way[number]]


def kill_both(seed: str, seconds: float, zygote: killing.Zygote, number: int) -> killing.Killed:
    """Kill a process, and its guard before that or while it undoes, alone or with the groups that they lead."""
    killed = zygote.start(plan={number: "stop"}, seconds=seconds)
    killed.wait_for_stop(number)
    kill = os.killpg if number % 4 > 1 else os.kill
    if number % 2:
        kill(killed.pid, signal.SIGKILL)
        time.sleep(random.Random(f"{seed} {number}").uniform(0, 0.1))  # noqa: S311
    with contextlib.suppress(ProcessLookupError):  # it was faster
        kill(killed.guard, signal.SIGKILL)
    assert killed.kill()
    return killed


def test_switch_itself_ends_flows_that_lost_process_and_guard(fork: Fork, seed: str, record_property: Record):
    zygotes = fork("flows")
    way = way_of(zygotes[0])
    before = pictures(zygotes)
    killed: list[tuple[killing.Zygote, killing.Killed]] = []

    def kill(zygote: killing.Zygote, numbers: Sequence[int]) -> list[float]:
        new = at_once(zygote, numbers, functools.partial(kill_both, seed, 2 * BRIEF))
        killed.extend((zygote, one) for one in new)
        return [2 * BRIEF] * len(new)

    told = "flows and their guards, until the switch ends them"
    record_property(SAID, share(zygotes, where_both_are_killed(way), kill, told))

    processes.wait_until(lambda: pictures(zygotes) == before, "the flows end", limit=2 * BRIEF + killing.LIMIT)
    for zygote, one in killed:
        zygote.sweep(one.book)
        assert one.book.is_empty()
    assert pictures(zygotes) == before


@pytest.mark.parametrize("kind", KINDS)
def test_next_sweep_undoes_what_lost_process_and_guard(fork: Fork, kind: str, seed: str, record_property: Record):
    zygotes = fork(kind)
    way = way_of(zygotes[0])
    kill_any = functools.partial(kill_both, seed, 60)
    left: list[list[int]] = []

    def kill(zygote: killing.Zygote, numbers: Sequence[int]) -> list[float]:
        before = zygote.kind.picture()
        killed = at_once(zygote, numbers, kill_any)
        zygote.wait_for_guards(killed)
        if zygote.kind.picture() != before:
            left.append(list(numbers))
        start = time.monotonic()
        for one in killed:
            zygote.sweep(one.book)
            assert one.book.is_empty()
        where = [way[number] for number in numbers]
        assert zygote.kind.picture() == before, f"OVS_PATHFINDER_SEED={seed}: {where}"
        return [time.monotonic() - start for _ in killed]

    numbers = where_both_are_killed(way)[:: 1 if kind == "flows" else 2]
    record_property(SAID, share(zygotes, numbers, kill, f"{kind} and guards, until a sweep"))
    assert left
    assert len(numbers) >= BOTH[kind]


def stopped(zygote: killing.Zygote, stop: str, die: str = "", *, seconds: float = 60) -> killing.Killed:
    """Let a process make a change and stop itself at a boundary; should it go on, it is killed at another."""
    way = way_of(zygote)
    plan = {way.number(stop): "stop"} | ({way.number(die): "die"} if die else {})
    one = zygote.start(plan=plan, seconds=seconds)
    one.wait_for_stop(way.number(stop))
    return one


def test_guard_undoes_the_change_of_a_process_that_hangs(fork: Fork):
    zygotes = [fork(kind)[0] for kind in KINDS]
    before = pictures(zygotes)
    hanging = [stopped(zygote, "in the retest", seconds=BRIEF) for zygote in zygotes]

    limit = BRIEF + 2 * guard.GRACE + killing.LIMIT
    processes.wait_until(lambda: pictures(zygotes) == before, "the guards undo", limit=limit)

    assert [one.kill() for one in hanging] == [True] * len(zygotes)
    zygotes[0].wait_for_guards(hanging)
    assert all(one.book.is_empty() for one in hanging)
    assert pictures(zygotes) == before


def test_change_that_is_made_after_its_deadline_does_not_stay(fork: Fork):
    zygotes = [fork(kind)[0] for kind in KINDS]
    before = pictures(zygotes)
    hanging = [stopped(zygote, "before make", "after make", seconds=BRIEF) for zygote in zygotes]
    # The guard waits for the process, then for the lock that it holds, and then it finds nothing to undo.
    gives_up = hanging[-1].heard("guarded")[0]["moment"] + BRIEF + 2 * guard.GRACE + 3
    processes.wait_until(lambda: time.monotonic() > gives_up, "the guards act", limit=gives_up - time.monotonic() + 1)
    assert pictures(zygotes) == before

    for one in hanging:
        one.send(signal.SIGCONT)
    assert [one.ended() for one in hanging] == [True] * len(zygotes)

    zygotes[0].wait_for_guards(hanging)
    assert pictures(zygotes) == before
    assert all(one.book.is_empty() for one in hanging)


@pytest.mark.parametrize("guard_is", ["left alone", "told to end"])
@pytest.mark.parametrize("kind", ["flows", "mirror"])
def test_change_that_a_tool_makes_after_the_death_of_its_process_does_not_stay(
    fork: Fork, kind: str, guard_is: str, tmp_path: pathlib.Path
):
    zygote, *_ = fork(kind)
    way = way_of(zygote)
    before = zygote.kind.picture()
    # The kernel kills a tool with its process from the moment on at which setpriv has asked for that.
    slow = tmp_path / "setpriv"
    slow.write_text('#!/bin/sh\nsleep 0.5\nexec setpriv "$@"\n')
    slow.chmod(0o755)
    number = way.number("after running", after="before make") - 1

    killed = zygote.start(plan={number: "stop"}, setpriv=str(slow))
    killed.wait_for_stop(number)
    if guard_is == "told to end":  # as both are when the host shuts down
        os.kill(killed.guard, signal.SIGTERM)
    assert killed.kill()

    zygote.wait_for_guards([killed])
    assert zygote.kind.picture() == before
    assert killed.book.is_empty()


def test_update_that_neutron_makes_after_the_death_of_its_process_does_not_stay(fork: Fork):
    zygote, *_ = fork("port-security")
    assert isinstance(zygote.kind, killing.PortSecurity)
    way = way_of(zygote)
    before = zygote.kind.picture()
    change = zygote.kind.change(seen=clock.now())
    zygote.kind.delay(change, seconds=4)  # longer than its guard needs to look

    killed = zygote.start(change, plan={way.number("before the answer", after=f"before {zygote.kind.update}"): "die"})
    assert killed.ended()

    zygote.wait_for_guards([killed])
    processes.wait_until(
        lambda: time.monotonic() > killed.last_moment + 5, "Neutron makes the update", limit=killing.LIMIT
    )
    assert zygote.kind.picture() == before
    assert killed.book.is_empty()


def test_guard_goes_on_after_what_nobody_expected(fork: Fork):
    zygote, *_ = fork("flows")
    before = zygote.kind.picture()
    owner = stopped(zygote, "in the retest")
    lock = owner.book.directory / "lock"
    limits = resource.prlimit(owner.guard, resource.RLIMIT_NOFILE)
    opened = max(int(one.name) for one in pathlib.Path(f"/proc/{owner.guard}/fd").iterdir())

    # The lock and the journal can be opened then, and no tool be started.
    resource.prlimit(owner.guard, resource.RLIMIT_NOFILE, (opened + 4, limits[1]))
    try:
        assert owner.kill()
        processes.wait_until(lambda: b"guard" in lock.read_bytes(), "the guard begins", limit=killing.LIMIT)
        with owner.book.lock("waiting for the guard", wait=killing.LIMIT):  # it has ended its first attempt then
            assert zygote.kind.picture() != before
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(owner.guard, resource.RLIMIT_NOFILE, limits)

    zygote.wait_for_guards([owner])
    assert zygote.kind.picture() == before
    assert owner.book.is_empty()


@pytest.mark.parametrize("kind", KINDS)
def test_guard_that_is_told_to_end_undoes_at_once(fork: Fork, kind: str):
    zygote, *_ = fork(kind)
    before = zygote.kind.picture()
    owner = stopped(zygote, "in the retest")
    assert zygote.kind.picture() != before

    os.kill(owner.guard, signal.SIGTERM)
    processes.wait_until(lambda: zygote.kind.picture() == before, "the guard undoes", limit=killing.LIMIT)
    owner.send(signal.SIGCONT)

    done = owner.wait_for("done")
    assert (done["state"], done["left"]) == ("gone", "")
    zygote.wait_for_guards([owner])
    assert zygote.kind.picture() == before
    assert owner.book.is_empty()


def test_process_undoes_its_change_by_itself_without_its_guard(fork: Fork):
    zygote, *_ = fork("flows")
    before = zygote.kind.picture()
    owner = stopped(zygote, "in the retest")

    os.kill(owner.guard, signal.SIGKILL)
    owner.send(signal.SIGCONT)

    assert owner.wait_for("done")["state"] == "undone"
    assert not owner.ended()
    assert zygote.kind.picture() == before
    assert owner.book.is_empty()


def left_by_a_maker_that_was_killed(zygote: killing.Zygote) -> killing.Killed:
    """Let a process make a change that stays, and kill it before it ends by itself."""
    calm = zygote.start(do="leave", seconds=BRIEF)
    calm.wait_for("done")
    calm.ended()
    zygote.wait_for_guards([calm])
    end = calm.boundaries.index("the end")
    maker = zygote.start(do="leave", seconds=BRIEF, plan={end: "stop"})
    maker.wait_for_stop(end)
    assert maker.kill()
    return maker


def test_change_that_stays_outlives_its_maker_until_its_deadline(fork: Fork):
    zygote, *_ = fork("flows")
    before = zygote.kind.picture()
    maker = left_by_a_maker_that_was_killed(zygote)
    assert zygote.kind.picture() != before
    (entry,) = maker.book.entries()

    zygote.wait_for_guards([maker])

    assert time.time() >= entry.deadline
    assert zygote.kind.picture() == before
    assert [one.by for one in maker.book.closed()] == ["guard"]
    assert maker.book.is_empty()


def test_switch_itself_ends_flows_that_stay_and_lost_their_guard(fork: Fork):
    zygote, *_ = fork("flows")
    before = zygote.kind.picture()
    maker = left_by_a_maker_that_was_killed(zygote)
    os.kill(maker.guard, signal.SIGKILL)
    zygote.wait_for_guards([maker])
    (entry,) = maker.book.entries()

    processes.wait_until(lambda: zygote.kind.picture() == before, "the flows end", limit=killing.LIMIT)
    processes.wait_until(lambda: time.time() > entry.deadline, "the deadline")
    zygote.sweep(maker.book)

    assert maker.book.is_empty()
    assert zygote.kind.picture() == before


def test_second_change_is_refused_and_changes_nothing(fork: Fork):
    zygote, *_ = fork("flows")
    first = stopped(zygote, "in the retest")
    made, entries = zygote.kind.picture(), first.book.entries()

    second = zygote.start(state=first.book.directory.name)
    refused = second.wait_for("failed")
    second.ended()

    assert refused["kind"] == "Busy"
    assert "kill-test" in refused["error"]
    assert (zygote.kind.picture(), first.book.entries()) == (made, entries)
    first.send(signal.SIGCONT)
    assert first.wait_for("done")["state"] == "undone"
    assert not first.ended()
