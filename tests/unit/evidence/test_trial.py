"""The order of a trial: what is sent, changed and undone when, and what is never changed at all."""

import contextlib
import dataclasses
import pathlib
import shlex
from collections.abc import Callable, Generator
from typing import Any

import pytest

from ovs_pathfinder import cloud, errors, path, process
from ovs_pathfinder.evidence import bypass, probe, record, session, trial
from ovs_pathfinder.temporary import change, flows, journal, port_security, protocol, rule
from ovs_pathfinder.vswitch import database, flow
from tests.unit import plans

PLAN = plans.of(6, "icmp")
SOURCE, DESTINATION = PLAN.source.unit, PLAN.destination.unit
SETTINGS = probe.Settings()
UNDONE = change.Outcome(state="undone", text="2 flows deleted.")
GONE = change.Outcome(state="gone", text="No flow was left.")
CONFLICT = change.Outcome(state="conflict", text="Others have changed the port meanwhile.")
CREDENTIALS = cloud.Credentials.model_validate(
    {"auth_url": "http://keystone:5000/v3", "username": "u", "password": "p", "project": "services"}
    | {"user_domain": "default", "project_domain": "default", "region": ""}
)
BEFORE = port_security.Security(enabled=True, security_groups=("g",), address_pairs=())


@dataclasses.dataclass
class World:
    """One unit's host, with a path that a change may heal, and the unit at the path's other end."""

    unit: str = SOURCE
    heals: bool = True
    broken: bool = True
    sends: bool = True
    stays_healed: bool = False
    lag: int = 0
    """How many packets the change takes to work, and its undo."""
    outcome: change.Outcome | None = UNDONE
    taken: tuple[int, ...] = (0, 10)
    """Priorities that are in use in table 0."""
    partner: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    """What the other unit says once it has heard something; `watching` is said to nothing."""
    neighbours: dict[str, int] = dataclasses.field(default_factory=dict[str, int])

    changed: bool = False
    left: int = 0
    said: list[str] = dataclasses.field(default_factory=list[str])
    happened: list[str] = dataclasses.field(default_factory=list[str])
    changes: list[journal.Kind] = dataclasses.field(default_factory=list[journal.Kind])
    passed: dict[tuple[path.Point, path.Direction], int] = dataclasses.field(
        default_factory=dict[tuple[path.Point, path.Direction], int]
    )

    # what the trial asks of the rest of the library

    def send(
        self,
        plan: path.Plan,
        device: str,
        settings: probe.Settings,
        nonce: str,
        enough: Callable[[], bool],
        purpose: probe.Purpose = "probe",
    ) -> record.Probe:
        answers = self.answers
        self.left = max(0, self.left - 1)
        self.happened.append(purpose if purpose == "probe" else f"{purpose} {'+' if answers else '-'}")
        sent = settings.count if self.sends else 0
        if purpose == "probe" and not self.neighbours:
            self.count("source-port", "forward", sent)
            self.count("source-port", "reply", sent if answers else 0)
        output = "" if sent else "PING fc00::1\nping: connect: Network is unreachable"
        return record.Probe(command="ping", transmitted=sent, answered=sent if answers else 0, output=output)

    @property
    def answers(self) -> bool:
        works = self.changed and self.heals
        if self.left > 1:
            works = not works
        return works or not self.broken

    def count(self, point: path.Point, direction: path.Direction, number: int) -> None:
        self.passed[point, direction] = self.passed.get((point, direction), 0) + number

    @contextlib.contextmanager
    def temporarily(self, book: journal.Journal, kind: journal.Kind, **how: Any) -> Generator[protocol.Made]:
        entry = journal.new(kind, seconds=how["seconds"], action=how["action"], run=how["run"])
        made = protocol.Made(entry)
        self.changes.append(kind)
        self.happened.append("change")
        self.changed, self.left = True, self.lag
        try:
            yield made
        finally:
            self.happened.append("undo")
            self.changed, self.left = False, self.lag
            if self.stays_healed:
                self.broken = False
            made.seconds, made.outcome = 1.5, self.outcome
            made.left = "" if self.outcome else "1 flow could not be undone yet: no answer"


class Watch:
    """What is seen and heard of a world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def seen(self, point: path.Point, direction: path.Direction) -> int:
        return self._world.passed.get((point, direction), 0)

    def observations(self) -> tuple[record.Observation, ...]:
        packets = tuple(str(number) for number in range(self.seen("source-port", "forward")))
        about = record.Neighbours(**self._world.neighbours)
        return (
            record.Observation(point="source-port", device="o-hm0", forward=packets, neighbours=about),
            record.Observation(point="source-underlay", device="", error="no route"),
        )

    def heard(self, purpose: str) -> str:
        answers = [reply for cue, reply in self._world.partner.items() if cue in ("", *self._world.said)]
        return "aaaaaaaa" if purpose in answers else ""

    def wait_for(self, condition: Callable[[], bool], timeout: float) -> bool:
        return condition()

    def wait_ready(self) -> None:
        self._world.happened.append("watch")

    def stop(self) -> None:
        self._world.happened.append("stop")


class Beacon:
    """What this unit says."""

    def __init__(self, world: World) -> None:
        self._world = world

    def say(self, purpose: str) -> None:
        self._world.said.append(purpose)

    def done(self) -> None:
        self.say("done")


@dataclasses.dataclass
class Here:
    """This host, as `local.Local` finds it."""

    roles: tuple[path.Role, ...]
    far: path.Endpoint
    switch: database.Switch = dataclasses.field(default_factory=database.Switch)
    tunnel_ports: dict[str, int] = dataclasses.field(default_factory=dict[str, int])
    vswitchd: str = ""

    @property
    def devices(self) -> dict[path.Role, record.Device]:
        end = PLAN.endpoint(self.roles[0])
        return {self.roles[0]: record.Device(name="o-hm0", present=True, addresses=(end.address,))}


Play = Callable[[World], World]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play:
    """Let trials happen in a world."""

    def start(world: World) -> World:
        def here(plan: path.Plan, unit: str) -> Here:
            is_source = unit == SOURCE
            return Here(("source",) if is_source else ("destination",), plan.destination if is_source else plan.source)

        def run(command: process.Command, **_: Any) -> str:
            world.happened.append(" ".join(command.words[:3]))
            return ""

        doubles: list[tuple[Any, str, Callable[..., Any]]] = [
            (session.local, "Local", here),
            (session.database, "refuse_restoring", lambda: None),
            (session.watch, "Watch", _always(Watch(world))),
            (trial.beacon, "Beacon", _always(Beacon(world))),
            (session.practice, "watch_all", _always(None)),
            (session.probe, "send", world.send),
            (session.process, "run", run),
            (trial.flow, "priorities", _always(set(world.taken))),
            (trial.datapath, "synchronise", _always(None)),
            (flows.Flows, "present", _always([flow.Flow(table=0, packets=3), flow.Flow(table=0, packets=2)])),
            (trial.protocol, "temporarily", world.temporarily),
            (trial.bypass, "ways", _always(bypass.Ways(forward="in_port=3", reply="in_port=1,dl_vlan=1"))),
            (trial.cloud, "connect", _always(contextlib.nullcontext())),
            (trial.port_security, "read", _read),
        ]
        for place, name, double in doubles:
            monkeypatch.setattr(place, name, double)
        return world

    return start


def _always(answer: Any) -> Callable[..., Any]:
    def call(*_: Any) -> Any:
        return answer

    return call


def _read(openstack: object, port: str, label: str) -> port_security.PortSecurity:
    return port_security.PortSecurity(port=port, label=label, before=BEFORE)


def try_flows(world: World, **how: Any) -> record.Trial:
    given: dict[str, Any] = {"at": "source", "wait": 10.0, "book": journal.Journal("/nonexistent"), "longest": 300.0}
    return trial.try_flows(PLAN, world.unit, how.pop("settings", SETTINGS), **{**given, **how})


def try_port_security(world: World, **how: Any) -> record.Trial:
    given: dict[str, Any] = {"of": "source", "settle": 0.0, "longest": 300.0}
    book = journal.Journal("/nonexistent")
    return trial.try_port_security(PLAN, world.unit, SETTINGS, credentials=CREDENTIALS, book=book, **{**given, **how})


# --- on one unit ---


def test_packets_are_sent_before_with_and_after_the_change(play: Play) -> None:
    world = play(World())

    found = try_flows(world)

    wanted = ["watch", "wake -", "probe", "change", "wake +", "probe", "undo", "wake -", "probe", "stop"]
    assert world.happened == wanted
    assert found.during is not None
    assert found.after is not None
    assert [(one.sent, one.answered) for one in (found.before, found.during, found.after)] == [(5, 0), (5, 5), (5, 0)]
    assert (found.during.forward, found.during.reply) == ({"source-port": 5}, {"source-port": 5})
    assert found.outcome == UNDONE.text
    assert (found.left, found.problem, found.lived) == ("", "", 1.5)
    assert 0 < found.exposure <= found.lived


def test_the_first_packet_after_each_change_does_not_count(play: Play) -> None:
    world = play(World(lag=1))

    found = try_flows(world)

    assert found.during is not None
    assert found.after is not None
    assert (found.during.answered, found.after.answered) == (5, 0)


def test_a_path_that_works_is_left_alone(play: Play) -> None:
    world = play(World(broken=False))

    found = try_flows(world)

    assert "change" not in world.happened
    assert (found.commands, found.lived, found.during, found.after) == ((), 0.0, None, None)
    assert found.problem == "All 5 packets were answered before anything was changed, so there was nothing to try."


@pytest.mark.parametrize(
    ("taken", "priority"), [((0, 65535), 40961), ((40961, 40962), 40963), (tuple(range(40961, 40971)), 40961)]
)
def test_the_first_free_priority_is_taken(play: Play, taken: tuple[int, ...], priority: int) -> None:
    world = play(World(taken=taken))

    try_flows(world)

    (kind,) = world.changes
    assert isinstance(kind, flows.Flows)
    assert {one.priority for one in kind.rules} == {priority}


def test_what_is_told_is_what_was_added(play: Play) -> None:
    world = play(World())

    found = try_flows(world)

    (kind,) = world.changes
    assert isinstance(kind, flows.Flows)
    head = f"cookie={kind.cookie},hard_timeout=10"
    told = [shlex.split(one) for one in found.commands]
    assert told == [["ovs-ofctl", "add-flow", "br-int", f"{head},{one}"] for one in kind.rules]


def test_where_nothing_can_be_sent_nothing_is_changed(play: Play) -> None:
    world = play(World(sends=False))

    with pytest.raises(errors.PathfinderError, match=r"nothing could be sent.*: ping: connect: Network is unreachable"):
        try_flows(world)

    assert world.happened == ["watch", "wake -", "probe", "stop"]


def test_an_error_amid_the_trial_undoes_the_change(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    world = play(World())

    def send(*_: Any) -> record.Probe:
        world.sends = not world.changed
        return world.send(*_)

    monkeypatch.setattr(session.probe, "send", send)
    with pytest.raises(errors.PathfinderError):
        try_flows(world)

    assert world.happened[-2:] == ["undo", "stop"]


def test_a_change_that_others_took_back_tells_nothing(play: Play) -> None:
    found = try_flows(play(World(outcome=GONE)))

    assert found.problem.startswith("The change was gone before the trial had ended")


def test_a_change_that_others_took_up_tells_nothing(play: Play) -> None:
    found = try_flows(play(World(outcome=CONFLICT)))

    assert found.problem == "Others changed the same meanwhile, so this trial tells nothing."
    assert found.outcome == ""


def test_what_could_not_be_undone_is_told(play: Play) -> None:
    found = try_flows(play(World(outcome=None)))

    assert (found.left, found.outcome) == ("1 flow could not be undone yet: no answer", "")
    assert found.problem == "The change could not be undone at once, so this trial tells nothing."


@pytest.mark.parametrize(("count", "longest"), [(5, 10), (200, 49)])
def test_a_trial_that_may_take_too_long_is_refused(play: Play, count: int, longest: int) -> None:
    world = play(World())

    with pytest.raises(errors.PathfinderError, match=f"max-change-duration allows {longest} s; lower count") as refused:
        try_flows(world, settings=probe.Settings(count=count), longest=longest)

    assert int(str(refused.value).partition(" s in this trial")[0].split()[-1]) > longest
    assert world.happened == []


def test_what_is_left_of_an_earlier_change_refuses_a_trial_before_anything_is_sent(
    play: Play, tmp_path: pathlib.Path
) -> None:
    world = play(World())
    book = journal.Journal(tmp_path)
    kind = flows.Flows(bridge="br-int", cookie=flows.new_cookie(), rules=rule.parse("actions=drop"))
    book.write(journal.new(kind, seconds=60, action="try-flows"))

    with pytest.raises(errors.PathfinderError, match="an earlier change is still in the journal"):
        try_flows(world, book=book)
    with book.lock("something"), pytest.raises(journal.Busy, match="under way on this unit: something"):
        try_flows(world, book=book)

    assert world.happened == []


def test_the_unit_of_the_destination_alone_is_sent_to_the_source(play: Play) -> None:
    world = play(World(unit=DESTINATION))

    with pytest.raises(errors.PathfinderError, match=f"tried at the source, which {SOURCE} does alone"):
        try_flows(world)

    assert world.happened == []


# --- where neighbours are unknown ---


def test_questions_are_let_through_where_nothing_else_was_sent(play: Play) -> None:
    world = play(World(neighbours={"solicited": 3}))

    found = try_flows(world)

    assert len(found.commands) == 6
    assert not found.learned


def test_the_neighbour_that_the_trial_made_known_is_forgotten_before_the_last_round(play: Play) -> None:
    world = play(World(neighbours={"solicited": 3}))

    try_flows(world)

    assert world.happened[world.happened.index("undo") :] == ["undo", "ip neigh del", "wake -", "probe", "stop"]
    assert world.happened.count("ip neigh del") == 1


def test_a_neighbour_that_was_known_is_not_forgotten(play: Play) -> None:
    world = play(World())

    try_flows(world)

    assert "ip neigh del" not in world.happened


def test_what_the_destination_learned_is_told(play: Play) -> None:
    world = play(World(neighbours={"solicited_back": 3}))

    found = try_flows(world)

    assert len(found.commands) == 6
    assert found.learned
    assert "ip neigh del" not in world.happened


# --- port security ---


def test_port_security_is_told_only_where_it_was_changed(play: Play) -> None:
    healed, fine = try_port_security(play(World())), try_port_security(play(World(broken=False)))

    off = "--no-security-group --no-allowed-address --disable-port-security"
    assert healed.commands == (f"openstack port set {off} {PLAN.source.port.id}",)
    assert fine.commands == ()
    assert fine.problem.startswith("All 5 packets were answered before")


def test_it_is_waited_until_the_agent_follows(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial.time, "sleep", _always(None))
    world = play(World(lag=4))

    found = try_port_security(world, settle=60.0)

    first, second = world.happened.index("change"), world.happened.index("undo")
    assert world.happened[first + 1 : first + 5] == ["wake -", "wake -", "wake -", "wake +"]
    assert world.happened[second + 1 : second + 5] == ["wake +", "wake +", "wake +", "wake -"]
    assert found.during is not None
    assert found.after is not None
    assert (found.during.answered, found.after.answered) == (5, 0)


def test_it_is_not_waited_for_ever(play: Play) -> None:
    world = play(World(heals=False))

    found = try_port_security(world, settle=0.0)

    assert found.during is not None
    assert found.during.answered == 0


def test_port_security_is_tried_at_the_source_alone(play: Play) -> None:
    world = play(World(unit=DESTINATION))

    with pytest.raises(errors.PathfinderError, match=f"run this on the source's unit, {SOURCE}"):
        try_port_security(world)


# --- in turns with the other unit ---

DESTINATION_DOES = {"": "watching", "ready": "changed", "tried": "restored"}
SOURCE_DOES = {"": "watching", "watching": "ready", "changed": "tried", "restored": "done"}


def test_the_source_asks_for_the_change_and_for_its_end(play: Play) -> None:
    world = play(World(partner=DESTINATION_DOES))

    found = try_flows(world, at="destination")

    assert world.said == ["ready", "tried", "done", "done"]
    assert world.happened.count("probe") == 3
    assert "change" not in world.happened
    assert (found.problem, found.commands) == ("", ())


@pytest.mark.parametrize("unit", [SOURCE, DESTINATION])
def test_one_unit_alone_says_how_to_run_it(play: Play, unit: str) -> None:
    world = play(World(unit=unit))

    with pytest.raises(errors.PathfinderError, match=r"at=destination on both units in one command$"):
        try_flows(world, at="destination")

    assert "change" not in world.happened
    assert world.happened[-1] == "stop"


@pytest.mark.parametrize("silent_from", ["ready", "tried"])
def test_a_destination_that_falls_silent_is_named(play: Play, silent_from: str) -> None:
    cues = list(DESTINATION_DOES)
    partner = {cue: DESTINATION_DOES[cue] for cue in cues[: cues.index(silent_from)]}
    world = play(World(partner=partner))

    found = try_flows(world, at="destination")

    assert found.problem.startswith(f"{DESTINATION} did not say that it had")
    assert (found.during is None) == (silent_from == "ready")


def test_the_destination_changes_when_it_is_asked_to(play: Play) -> None:
    world = play(World(unit=DESTINATION, partner={**SOURCE_DOES, "": "ready", "x": "watching"}))
    world.said.append("x")

    found = try_flows(world, at="destination")

    assert world.said[1:] == ["changed", "restored", "done"]
    assert world.happened == ["watch", "change", "undo", "stop"]
    assert (found.problem, found.before.sent) == ("", 0)


def test_the_destination_changes_nothing_unasked(play: Play) -> None:
    world = play(World(unit=DESTINATION, partner={"": "watching"}))

    found = try_flows(world, at="destination")

    assert "change" not in world.happened
    assert found.problem == f"{SOURCE} did not ask for the change, and nothing was changed."


def test_a_source_that_falls_silent_proves_nothing(play: Play) -> None:
    world = play(World(unit=DESTINATION, partner={"": "watching", "x": "ready"}))
    world.said.append("x")

    found = try_flows(world, at="destination")

    assert world.happened == ["watch", "change", "undo", "stop"]
    assert found.problem.startswith(f"{SOURCE} did not say that it had sent anything with the change")
    assert found.after is None
    assert found.outcome == UNDONE.text
