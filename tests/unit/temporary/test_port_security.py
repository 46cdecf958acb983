"""Port security is put back as it was, whatever Neutron answers, and nothing else is claimed."""

import contextlib
import json
import pathlib
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from ovs_pathfinder import cloud, errors, process
from ovs_pathfinder.cloud import connection
from ovs_pathfinder.cloud import neutron as neutron_
from ovs_pathfinder.temporary import guard, journal, port_security, protocol, sweep
from tests import conftest
from tests.lab import faults, processes, rewiring, topology
from tests.lab.cloud import server
from tests.unit.cloud import sky

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
PASSWORD = "correct-horse-battery"  # noqa: S105 - of a cloud that lives for one test
GROUPS = [sky.MANAGEMENT_GROUP, sky.HEALTH_GROUP, "547bb924-2a8d-4e51-bf77-5f1d5fea8ba8"]
"""In an order that no sorting makes."""
PAIRS = [
    {"mac_address": "FA:16:3E:0D:9A:CF", "ip_address": "10.0.0.0/24"},
    {"mac_address": "00:00:5e:00:01:01", "ip_address": "fc00::5"},
    {"mac_address": "00:00:5e:00:01:01", "ip_address": "10.9.9.9"},
]
PORT = sky.GUEST_PORT
OFF: dict[str, Any] = {"port_security_enabled": False, "security_groups": [], "allowed_address_pairs": []}
ON: dict[str, Any] = {"port_security_enabled": True, "security_groups": GROUPS, "allowed_address_pairs": PAIRS}


class Neutron:
    """A stand-in that serves one cloud, seen from behind: what it holds, and what goes wrong."""

    def __init__(self, file: pathlib.Path, served: server.Server) -> None:
        self._file = file
        self.served = served

    @property
    def credentials(self) -> cloud.Credentials:
        return sky.Sky(self.served, self._file).credentials(password=PASSWORD)

    @property
    def port(self) -> dict[str, Any]:
        """The port as it is, without what counts its changes."""
        found = next(port for port in self._content["ports"] if port["id"] == PORT)
        return {key: value for key, value in found.items() if key not in ("revision_number", "updated_at")}

    @property
    def settings(self) -> dict[str, Any]:
        """What a change of port security changes."""
        return {key: self.port[key] for key in OFF}

    @property
    def writes(self) -> int:
        """How many updates were asked for."""
        return sum(request["method"] == "PUT" for request in self.served.requests)

    def update(self, **changes: Any) -> None:
        """Change the port as somebody else would."""
        self.served.description.update("ports", PORT, changes)

    def forget(self, *keys: str) -> None:
        """Take attributes from the port, as without an extension of Neutron."""
        content = self._content
        (port,) = (one for one in content["ports"] if one["id"] == PORT)
        for key in keys:
            del port[key]
        self._write(content)

    def delete(self, kind: str, identifier: str) -> None:
        content = self._content
        content[kind] = [entry for entry in content[kind] if entry["id"] != identifier]
        self._write(content)

    def fail(self, *failures: dict[str, Any]) -> None:
        """Spoil answers from now on; with none given all is well again."""
        self._write(self._content | {"failures": list(failures)})
        self.served.answer("DELETE", "/-/requests", {}, b"")

    def hurry(self) -> None:
        """Let go on what hangs, and wait for its end."""
        self.served.hurry.set()
        processes.wait_until(lambda: not self.served.under_way, "all requests are answered")

    def read(self) -> port_security.PortSecurity:
        with cloud.connect(self.credentials) as openstack:
            return port_security.read(openstack, PORT, "octavia/2")

    @property
    def _content(self) -> dict[str, Any]:
        return json.loads(self._file.read_text())

    def _write(self, content: dict[str, Any]) -> None:
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps(content))
        draft.replace(self._file)


@pytest.fixture
def neutron(tmp_path: pathlib.Path) -> Generator[Neutron]:
    file = tmp_path / "description.json"
    content: dict[str, Any] = sky.describe() | {"credentials": {"password": PASSWORD}}
    next(port for port in content["ports"] if port["id"] == PORT).update(ON)
    file.write_text(json.dumps(content))
    with server.Server(file) as served:
        yield Neutron(file, served)


@pytest.fixture
def book(tmp_path: pathlib.Path) -> journal.Journal:
    return journal.Journal(tmp_path / "state")


@pytest.fixture
def no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave to the test what is left to the guard, and let nobody pause."""

    class Nobody:
        def __init__(self, *given: object) -> None: ...
        def release(self, timeout: float) -> None: ...

    monkeypatch.setattr(guard, "start", Nobody)
    monkeypatch.setattr(protocol, "_PAUSES", (0.0, 0.0))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing that has begun, and not long for what hangs."""
    monkeypatch.setattr(port_security, "BEGUN", 0.0)
    patience, fail = connection._TIMEOUT, Neutron.fail  # pyright: ignore[reportPrivateUsage]

    def hang(neutron: Neutron, *failures: dict[str, Any]) -> None:
        hangs = any("delay" in failure for failure in failures)
        monkeypatch.setattr(connection, "_TIMEOUT", 0.6 if hangs else patience)
        fail(neutron, *failures)

    monkeypatch.setattr(Neutron, "fail", hang)


@pytest.fixture
def guards(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[processes.Identity]]:
    """Let real guards watch, and end those that outlive the test."""
    started: list[processes.Identity] = []
    start = guard.start

    def watched(*given: Any) -> process.Outliving:
        watching = start(*given)
        identity = processes.Identity.of(watching.pid)
        assert identity
        started.append(identity)
        return watching

    monkeypatch.setattr(guard, "start", watched)
    yield started
    for one in started:
        one.kill()


@contextlib.contextmanager
def changed(
    neutron: Neutron, book: journal.Journal, kind: port_security.PortSecurity | None = None
) -> Generator[protocol.Made]:
    with protocol.temporarily(
        book, kind or neutron.read(), seconds=20, action="try-port-security", credentials=neutron.credentials
    ) as made:
        yield made


def reloaded(kind: port_security.PortSecurity) -> port_security.PortSecurity:
    """Return a change as another process finds it in the journal."""
    return port_security.PortSecurity.model_validate_json(kind.model_dump_json())


def long_ago(kind: port_security.PortSecurity) -> port_security.PortSecurity:
    """Return a change as a sweep of the next day finds it."""
    return reloaded(kind.model_copy(update={"seen": time.time() - 86400}))


def test_off_and_back_leaves_the_port_as_it_was(neutron: Neutron, book: journal.Journal, no_guard: None) -> None:
    before = neutron.port

    with changed(neutron, book) as made:
        assert neutron.port == before | OFF

    assert neutron.port == before
    assert made.outcome
    assert made.outcome.state == "undone"
    assert made.left == ""
    assert book.is_empty()


def test_one_update_turns_it_off_and_one_puts_it_back(neutron: Neutron, book: journal.Journal, no_guard: None) -> None:
    kind = neutron.read()
    neutron.served.requests.clear()

    with changed(neutron, book, kind):
        pass

    assert [request["method"] for request in neutron.served.requests] == [
        "POST", "PUT", "GET", "POST", "GET", "PUT", "GET",
    ]  # fmt: skip


def test_a_port_without_groups_and_pairs_gets_none(neutron: Neutron, book: journal.Journal, no_guard: None) -> None:
    neutron.update(security_groups=[], allowed_address_pairs=[])
    before = neutron.port

    with changed(neutron, book):
        assert neutron.port == before | OFF

    assert neutron.port == before


def test_what_is_said_names_the_port_its_owner_and_its_groups(
    neutron: Neutron, book: journal.Journal, no_guard: None
) -> None:
    with changed(neutron, book) as made:
        pass

    assert made.outcome
    for word in (PORT, "octavia/2", *GROUPS, "10.0.0.0/24"):
        assert word in made.outcome.text
    assert str(made.entry.change.describe()) == f"port security off on port {PORT} of octavia/2"


def test_no_password_and_no_token_is_written_or_said(
    neutron: Neutron, book: journal.Journal, no_guard: None, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []
    for skip in range(3):
        neutron.fail({"service": "network", "status": 500, "skip": skip})
        with contextlib.suppress(errors.PathfinderError), changed(neutron, book) as made:
            said.append(repr(made.entry))
        neutron.fail()
        said += [str(found) for found in sweep.sweep(book, neutron.credentials)]
    said += [file.read_text() for file in book.directory.rglob("*") if file.is_file()]

    secrets = [PASSWORD, *neutron.served.tokens]
    assert len(secrets) > 4
    assert [secret for secret in secrets if any(secret in one for one in [*said, caplog.text])] == []


# What cannot be tried


def test_an_unknown_port_is_refused(neutron: Neutron) -> None:
    neutron.delete("ports", PORT)
    with pytest.raises(errors.PathfinderError, match=f"Neutron has no port {PORT}"):
        neutron.read()


def test_port_security_that_is_off_is_refused(neutron: Neutron) -> None:
    neutron.update(**OFF)
    with pytest.raises(errors.PathfinderError, match="is off already"):
        neutron.read()


@pytest.mark.parametrize("attribute", ["port_security_enabled", "security_groups", "allowed_address_pairs"])
def test_what_cannot_be_seen_is_not_changed(neutron: Neutron, attribute: str) -> None:
    neutron.forget(attribute)
    with pytest.raises(errors.PathfinderError, match=f"Neutron shows no {attribute} of port"):
        neutron.read()


def test_without_credentials_nothing_is_changed(neutron: Neutron, book: journal.Journal, no_guard: None) -> None:
    with (
        pytest.raises(errors.PathfinderError, match="relate ovs-pathfinder to keystone") as raised,
        protocol.temporarily(book, neutron.read(), seconds=20, action="try-port-security"),
    ):
        pass

    assert "could not be undone" not in str(raised.value)
    assert neutron.settings == ON
    assert book.is_empty()


def test_without_credentials_nothing_is_undone(neutron: Neutron, book: journal.Journal, no_guard: None) -> None:
    kind = neutron.read()
    kind.make(20, neutron.credentials)
    book.write(journal.new(reloaded(kind), seconds=20, action="try-port-security"))

    (found,) = sweep.sweep(book)

    assert "relate ovs-pathfinder to keystone" in found.error
    assert not book.is_empty()


def test_a_port_that_changed_after_it_was_read_is_left_alone(
    neutron: Neutron, book: journal.Journal, no_guard: None
) -> None:
    kind = neutron.read()
    neutron.update(security_groups=GROUPS[:1])

    with (
        pytest.raises(errors.PathfinderError, match=r"others changed port .* a moment ago") as raised,
        changed(neutron, book, kind),
    ):
        pass

    assert "meanwhile" not in str(raised.value)
    assert neutron.settings == ON | {"security_groups": GROUPS[:1]}
    assert book.is_empty()


def test_a_neutron_that_does_not_count_revisions_is_not_asked_to(
    neutron: Neutron, book: journal.Journal, no_guard: None
) -> None:
    neutron.forget("revision_number")
    kind = neutron.read()
    assert kind.before.revision is None

    with changed(neutron, book, kind):
        assert neutron.settings == OFF

    assert neutron.settings == ON


# What Neutron answers

CALLS = {
    "sign-in": ("identity", "POST", 0),
    "off": ("network", "PUT", 0),
    "read-back": ("network", "GET", 0),
    "sign-in-again": ("identity", "POST", 1),
    "look": ("network", "GET", 1),
    "back": ("network", "PUT", 1),
    "verify": ("network", "GET", 2),
}
ANSWERS: dict[str, dict[str, Any]] = {
    **{str(status): {"status": status} for status in (401, 403, 404, 409, 412, 500, 502)},
    "404-html": {"status": 404, "body": "<html>Nothing here</html>"},
    "200-html": {"status": 200, "body": "<html>Welcome</html>"},
    "cut": {"drop": True},
    "hang": {"delay": 60},
}
EFFECTS = {f"{name}-{effect}": ANSWERS[name] | {"effect": effect} for name, effect in [
    ("500", "before"), ("502", "before"), ("cut", "before"), ("hang", "before"), ("200-html", "before"),
]}  # fmt: skip
LATE = {"hang-late": {"delay": 60, "effect": "after"}}
"""The update is carried out only when the stand-in hurries."""
CASES = [
    *((CALLS[call], failure, f"{call}-{name}") for call in CALLS for name, failure in ANSWERS.items()),
    *(
        (CALLS[call], failure, f"{call}-{name}")
        for call in ("off", "back")
        for name, failure in (EFFECTS | LATE).items()
    ),
]


def outcomes(book: journal.Journal) -> list[str]:
    return [entry.outcome.state for entry in book.closed() if entry.outcome]


def try_through(neutron: Neutron, book: journal.Journal, kind: port_security.PortSecurity) -> str:
    """Make the change and undo it; return what was said to have gone wrong."""
    try:
        with changed(neutron, book, kind) as made:
            pass
    except errors.PathfinderError as error:
        return str(error)
    return made.left


def assert_true(neutron: Neutron, book: journal.Journal, before: dict[str, Any]) -> None:
    """Check that what counts as undone is."""
    assert "conflict" not in outcomes(book)
    if book.is_empty():
        assert neutron.port == before


@pytest.mark.parametrize(("call", "failure"), [case[:2] for case in CASES], ids=[case[2] for case in CASES])
def test_what_neutron_fails_at_is_undone_in_the_end_and_never_said_to_be_before(
    neutron: Neutron, book: journal.Journal, no_guard: None, impatient: None,
    call: tuple[str, str, int], failure: dict[str, Any],
) -> None:  # fmt: skip
    before, kind = neutron.port, neutron.read()
    service, method, skip = call
    neutron.fail(failure | {"service": service, "method": method, "skip": skip})

    said = try_through(neutron, book, kind)

    assert_true(neutron, book, before)
    assert book.is_empty() or "could not be undone yet" in said
    neutron.fail()

    def swept() -> bool:
        sweep.sweep(book, neutron.credentials)
        assert_true(neutron, book, before)
        return book.is_empty()

    processes.wait_until(swept, "the sweeps undo it", limit=30, interval=0.1)
    neutron.hurry()
    assert neutron.port == before
    assert set(outcomes(book)) <= {"undone", "gone"}


@pytest.mark.parametrize("call", ["sign-in-again", "look", "back", "verify"])
@pytest.mark.parametrize("answer", ["404", "412", "500", "cut"])
def test_an_undo_that_fails_once_is_tried_again_at_once(
    neutron: Neutron, book: journal.Journal, no_guard: None, impatient: None, call: str, answer: str
) -> None:
    before, kind = neutron.port, neutron.read()
    service, method, skip = CALLS[call]
    # A lost connection is tried again by openstacksdk already, except for updates.
    neutron.fail(ANSWERS[answer] | {"service": service, "method": method, "skip": skip, "times": 2})

    assert try_through(neutron, book, kind) == ""

    assert neutron.port == before
    assert book.is_empty()


@pytest.mark.parametrize("name", EFFECTS)
def test_an_update_that_took_effect_without_a_good_answer_is_seen(
    neutron: Neutron, book: journal.Journal, no_guard: None, impatient: None, name: str
) -> None:
    before, kind = neutron.port, neutron.read()
    neutron.fail(EFFECTS[name] | {"service": "network", "method": "PUT", "skip": 1})

    with changed(neutron, book, kind) as made:
        pass

    assert neutron.port == before
    assert made.outcome
    assert made.outcome.state == "undone"
    assert neutron.writes == 2


def test_an_update_that_neutron_takes_without_doing_it_is_told(
    neutron: Neutron, book: journal.Journal, no_guard: None
) -> None:
    kind = neutron.read()
    neutron.fail({"service": "network", "method": "PUT", "status": 200, "body": '{"port": {}}'})

    said = try_through(neutron, book, kind)

    assert f"Neutron took the update of port {PORT} of octavia/2, but shows port security on" in said
    assert book.is_empty()


LATE_OFF = {"service": "network", "method": "PUT", "times": 1} | LATE["hang-late"]


def test_an_update_that_may_still_come_is_kept_from_it(
    neutron: Neutron, book: journal.Journal, no_guard: None, impatient: None
) -> None:
    kind = neutron.read()
    neutron.fail(LATE_OFF)

    assert "did not answer" in try_through(neutron, book, kind)

    assert outcomes(book) == ["gone"]
    assert neutron.served.under_way == 1
    neutron.hurry()
    assert neutron.settings == ON


@pytest.mark.parametrize(("status", "closed"), [(403, True), (409, True), (500, True), (502, False), (504, False)])
def test_only_a_proxys_error_leaves_open_whether_the_update_comes(
    neutron: Neutron, book: journal.Journal, no_guard: None, status: int, closed: bool
) -> None:
    kind = neutron.read()
    neutron.fail({"service": "network", "method": "PUT", "status": status})

    assert f"HTTP {status}" in try_through(neutron, book, kind)

    assert book.is_empty() == closed


def test_an_update_that_failed_may_have_been_made_before_others_changed_the_port(neutron: Neutron) -> None:
    kind = neutron.read()
    neutron.fail({"service": "network", "method": "PUT", "status": 500, "effect": "before"})
    with pytest.raises(errors.PathfinderError, match="HTTP 500"):
        kind.make(20, neutron.credentials)
    neutron.fail()
    neutron.update(port_security_enabled=True)

    assert kind.undo(neutron.credentials).state == "conflict"


def test_an_update_that_has_begun_is_waited_for(
    neutron: Neutron, book: journal.Journal, no_guard: None, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = neutron.read()
    neutron.fail(LATE_OFF | {"effect": "begun"})
    looks: list[Any] = []
    look = neutron_.security

    def security(*given: Any) -> neutron_.Security | None:
        looks.append(look(*given))
        if len(looks) == 2:
            neutron.hurry()
        return looks[-1]

    monkeypatch.setattr(neutron_, "security", security)

    try_through(neutron, book, kind)

    assert [found.port_security_enabled for found in looks] == [True, True, False, True]
    assert outcomes(book) == ["undone"]
    assert neutron.settings == ON


@pytest.mark.parametrize("counts", [True, False])
def test_an_update_that_cannot_be_kept_from_coming_keeps_the_journal_open(
    neutron: Neutron, book: journal.Journal, no_guard: None, impatient: None, counts: bool
) -> None:
    if not counts:
        neutron.forget("revision_number")
    kind = neutron.read()
    # A release that does not move the revision on where nothing changes.
    neutron.fail(LATE_OFF, {"service": "network", "method": "PUT", "status": 200, "body": '{"port": {}}'})

    said = try_through(neutron, book, kind)

    assert "Neutron may still work on the update" in said
    assert neutron.settings == ON
    assert not book.is_empty()
    neutron.hurry()
    assert neutron.settings == OFF
    neutron.fail()
    (found,) = sweep.sweep(book, neutron.credentials)
    assert found.outcome
    assert found.outcome.state == "undone"
    assert neutron.settings == ON


def test_an_update_that_cannot_come_any_more_keeps_nothing_open(neutron: Neutron, impatient: None) -> None:
    kind = reloaded(neutron.read())
    neutron.update(name="of another revision")

    assert kind.undo(neutron.credentials).state == "gone"

    assert neutron.writes == 0


def test_a_group_that_was_deleted_meanwhile_is_an_error_with_the_command_for_the_rest(
    neutron: Neutron, book: journal.Journal, no_guard: None
) -> None:
    with changed(neutron, book) as made:
        neutron.delete("security_groups", GROUPS[1])

    assert f"Security group {GROUPS[1]} does not exist" in made.left
    assert f"openstack port set --enable-port-security --no-security-group --security-group {GROUPS[0]}" in made.left
    assert neutron.settings == OFF
    (entry,) = book.entries()
    assert GROUPS[1] in entry.error
    assert not entry.conflict


# What others do meanwhile


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"port_security_enabled": True}, "port security on, no security group, no allowed address pair"),
        (
            {"port_security_enabled": True, "security_groups": GROUPS[:1]},
            f"port security on, security groups {GROUPS[0]}, no allowed address pair",
        ),
        (ON | {"security_groups": [*GROUPS, "00000000-0000-4000-8000-000000000000"]}, "00000000-0000-4000-8000"),
        (ON | {"allowed_address_pairs": PAIRS[:1]}, "allowed address pairs 10.0.0.0/24 with FA:16:3E:0D:9A:CF"),
    ],
)
def test_what_others_have_set_is_left_and_told(
    neutron: Neutron, book: journal.Journal, no_guard: None, changes: dict[str, Any], words: str
) -> None:
    with changed(neutron, book) as made:
        neutron.update(**changes)
        theirs = neutron.port

    assert neutron.port == theirs
    assert words in made.left
    (entry,) = book.entries()
    assert entry.conflict == made.left
    (found,) = sweep.sweep(book, neutron.credentials)
    assert found.kept == entry.conflict
    (found,) = sweep.sweep(book, neutron.credentials, everything=True)
    assert found.outcome
    assert found.outcome.text == entry.conflict
    assert book.is_empty()
    assert outcomes(book) == ["conflict"]
    assert neutron.port == theirs


def test_a_conflict_names_the_command_that_puts_everything_back(
    neutron: Neutron, book: journal.Journal, no_guard: None
) -> None:
    with changed(neutron, book) as made:
        neutron.update(port_security_enabled=True)

    command = shlex.split(made.left[made.left.index("openstack port set") :])
    groups = [word for group in GROUPS for word in ("--security-group", group)]
    pairs = [
        word
        for pair in PAIRS
        for word in ("--allowed-address", f"ip-address={pair['ip_address']},mac-address={pair['mac_address']}")
    ]
    assert command == [
        "openstack", "port", "set", "--enable-port-security", "--no-security-group", *groups,
        "--no-allowed-address", *pairs, PORT,
    ]  # fmt: skip


def test_a_deleted_port_is_gone(neutron: Neutron, book: journal.Journal, no_guard: None) -> None:
    with changed(neutron, book) as made:
        neutron.delete("ports", PORT)

    assert made.outcome
    assert made.outcome.state == "gone"
    assert made.left == ""
    assert book.is_empty()


def test_what_others_have_put_back_is_left(neutron: Neutron, book: journal.Journal, no_guard: None) -> None:
    with changed(neutron, book) as made:
        neutron.update(**ON | {"security_groups": GROUPS[::-1], "allowed_address_pairs": PAIRS[::-1]})

    assert made.outcome
    assert made.outcome.state == "gone"
    assert neutron.writes == 1


def test_a_change_of_something_else_is_kept(neutron: Neutron, book: journal.Journal, no_guard: None) -> None:
    with changed(neutron, book) as made:
        neutron.update(name="renamed", status="DOWN")

    assert made.left == ""
    assert neutron.settings == ON
    assert neutron.port["name"] == "renamed"


@pytest.mark.parametrize(
    ("theirs", "state"), [({"status": "DOWN"}, "undone"), ({"port_security_enabled": True}, "conflict")]
)
def test_what_others_do_between_the_look_and_the_update_is_seen(
    neutron: Neutron, monkeypatch: pytest.MonkeyPatch, theirs: dict[str, Any], state: str
) -> None:
    kind = neutron.read()
    kind.make(20, neutron.credentials)
    update = connection.Cloud.put

    def put(*given: Any, **named: Any) -> dict[str, Any]:
        if theirs:
            neutron.update(**theirs)
            theirs.clear()
        return update(*given, **named)

    monkeypatch.setattr(connection.Cloud, "put", put)

    assert kind.undo(neutron.credentials).state == state
    assert neutron.settings == (ON if state == "undone" else OFF | {"port_security_enabled": True})


def test_a_port_that_never_stands_still_stays_in_the_journal(
    neutron: Neutron, book: journal.Journal, no_guard: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = connection.Cloud.put

    def put(*given: Any, **named: Any) -> dict[str, Any]:
        neutron.update(status="DOWN")
        return update(*given, **named)

    with changed(neutron, book) as made:
        monkeypatch.setattr(connection.Cloud, "put", put)

    assert "is still off" in made.left
    assert neutron.settings == OFF
    assert not book.is_empty()


# Undoing at any time


def test_an_undo_is_done_once(neutron: Neutron, impatient: None) -> None:
    kind = neutron.read()
    kind.make(20, neutron.credentials)

    assert reloaded(kind).undo(neutron.credentials).state == "undone"
    assert reloaded(kind).undo(neutron.credentials).state == "gone"
    assert kind.undo(neutron.credentials).state == "gone"

    assert neutron.settings == ON
    assert neutron.writes == 2


def test_a_change_that_was_never_made_is_gone(neutron: Neutron) -> None:
    kind = neutron.read()

    assert kind.undo(neutron.credentials).state == "gone"
    assert long_ago(kind).undo(neutron.credentials).state == "gone"

    assert neutron.settings == ON
    assert neutron.writes == 0


def test_a_change_of_long_ago_is_put_back(neutron: Neutron) -> None:
    kind = neutron.read()
    kind.make(20, neutron.credentials)

    assert long_ago(kind).undo(neutron.credentials).state == "undone"

    assert neutron.settings == ON


def test_the_guard_puts_back_what_the_action_could_not(
    neutron: Neutron, book: journal.Journal, guards: list[processes.Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "_PAUSES", (0.0,))
    before = neutron.port
    with changed(neutron, book) as made:
        neutron.fail({"service": "network", "status": 500})
    assert "could not be undone yet" in made.left
    assert neutron.settings == OFF

    neutron.fail()

    processes.wait_until(book.is_empty, "the guard undoes it", limit=30)
    assert neutron.port == before
    assert [entry.by for entry in book.closed()] == ["guard"]
    processes.wait_until(lambda: not guards[0].alive, "the guard ends", limit=10)


KILLED = """
import sys, time
from ovs_pathfinder import cloud
from ovs_pathfinder.temporary import guard, journal, port_security, protocol
url, directory, port, password = sys.stdin.read().split()
credentials = cloud.Credentials(
    auth_url=url, username="ovs-pathfinder", password=password, project="services", user_domain="default",
    project_domain="default",
)
with cloud.connect(credentials) as openstack:
    kind = port_security.read(openstack, port, "octavia/2")
start = guard.start
def watched(*given):
    watching = start(*given)
    print(watching.pid, flush=True)
    return watching
guard.start = watched
with protocol.temporarily(
    journal.Journal(directory), kind, seconds=60, action="try-port-security", credentials=credentials
):
    print("made", flush=True)
    time.sleep(60)
"""


def test_the_guard_puts_back_what_a_killed_action_left(neutron: Neutron, book: journal.Journal) -> None:
    before = neutron.port
    action = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT / "lib"
    )
    with action, contextlib.ExitStack() as ends:
        ends.callback(action.kill)
        assert action.stdin
        assert action.stdout
        action.stdin.write(f"{neutron.credentials.auth_url} {book.directory} {PORT} {PASSWORD}")
        action.stdin.close()
        watching = processes.Identity.of(int(action.stdout.readline()))
        assert watching
        ends.callback(watching.kill)
        assert action.stdout.readline() == "made\n"
        assert neutron.settings == OFF

        action.send_signal(signal.SIGKILL)

        processes.wait_until(book.is_empty, "the guard undoes it", limit=30)
        assert neutron.port == before
        assert [entry.by for entry in book.closed()] == ["guard"]
        processes.wait_until(lambda: not watching.alive, "the guard ends", limit=10)


# In a lab


@pytest.mark.lab
def test_a_disobedient_switch_lets_packets_through_while_port_security_is_off(
    start_lab: conftest.StartLab, book: journal.Journal, no_guard: None
) -> None:
    lab = start_lab(cloud=False)
    faults.load("switch-disobeys").inject(lab)
    assert lab.ping(3) == 0
    file = lab.write_description()
    with server.Server(file) as served, rewiring.following(lab):
        credentials = sky.Sky(served, file).credentials()
        with cloud.connect(credentials) as openstack:
            kind = port_security.read(openstack, topology.SOURCE.port, "octavia/2")

        with protocol.temporarily(book, kind, seconds=60, action="try-port-security", credentials=credentials):
            processes.wait_until(lambda: lab.ping(1), "packets pass without port security", limit=15)
            assert lab.ping(5) == 5

    lab.ping(2)
    assert lab.ping(5) == 0
