"""The client against the stand-in, which speaks as Juju 2.9, 3 and 4 do, and against a `juju` that is in trouble."""

import asyncio
import json
import pathlib
import stat

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.command import juju
from tests.unit.standin import conftest

versions = pytest.mark.parametrize("version", ["2.9.50", "3.6.9"])


@pytest.fixture
def client(lab: conftest.Lab, monkeypatch: pytest.MonkeyPatch) -> juju.Juju:
    monkeypatch.setenv("LAB_JUJU_MODEL", str(lab.file))
    return juju.Juju(str(conftest.JUJU), "lab")


def saying(folder: pathlib.Path, script: str, version: str = "3.6.9") -> juju.Juju:
    """Return a client whose `juju` is a script."""
    place = folder / "juju"
    place.write_text(f"#!/bin/sh\n[ $1 = version ] && {{ echo {version}-ubuntu-amd64; exit; }}\n{script}\n")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    return juju.Juju(str(place))


def run(client: juju.Juju, unit: str, action: str, within: float = 20, **params: object) -> juju.Answer:
    return asyncio.run(client.run(unit, action, params, within=within))


@pytest.mark.parametrize("version", ["2.9.50", "3.6.9", "4.0.1"])
def test_action_gives_its_results_and_its_log_while_it_runs(lab: conftest.Lab, client: juju.Juju, version: str):
    lab.write(**{"juju-version": version})
    said: list[str] = []

    found = asyncio.run(
        client.run("throwaway/leader", "echo", {"text": "a: [b", "tree": {"a": [1]}}, within=20, log=said.append)
    )

    assert found.unit == "throwaway/0"
    assert json.loads(found.results["params"]) == {"text": "a: [b", "tree": {"a": [1]}, "count": 3}
    assert said == ["echoing", "still echoing"]


@versions
def test_action_that_fails_says_so_in_its_own_words(lab: conftest.Lab, client: juju.Juju, version: str):
    lab.write(**{"juju-version": version})

    with pytest.raises(juju.ActionFailed, match="publish on throwaway/0 failed: told to fail") as caught:
        run(client, "throwaway/0", "publish", text="x", then="fail")

    assert caught.value.message == "told to fail"


@versions
@pytest.mark.parametrize(("then", "said"), [("crash", "exit status 1"), ("kill", "terminated")])
def test_action_that_dies_is_a_failure(lab: conftest.Lab, client: juju.Juju, version: str, then: str, said: str):
    lab.write(**{"juju-version": version})

    with pytest.raises(juju.ActionFailed, match=said):
        run(client, "throwaway/0", "publish", text="x", then=then)


@versions
def test_action_that_hangs_is_given_up_and_cancelled(
    lab: conftest.Lab, client: juju.Juju, version: str, tmp_path: pathlib.Path
):
    lab.write(**{"juju-version": version})

    with pytest.raises(juju.TooLate, match=r"throwaway/1 did not answer wait-for within 1 s and was given up"):
        run(client, "throwaway/1", "wait-for", within=1.0, path=str(tmp_path / "never"))

    conftest.until(lambda: statuses(lab) == ["aborted"])


@versions
def test_who_is_cancelled_while_waiting_has_the_task_cancelled(
    lab: conftest.Lab, client: juju.Juju, version: str, tmp_path: pathlib.Path
):
    lab.write(**{"juju-version": version})
    gate = tmp_path / "never"

    async def cut_off() -> None:
        doing = asyncio.ensure_future(client.run("throwaway/1", "wait-for", {"path": str(gate)}, within=60))
        while not pathlib.Path(f"{gate}.throwaway-1").exists():
            await asyncio.sleep(0.02)
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing

    asyncio.run(cut_off())

    conftest.until(lambda: statuses(lab) == ["aborted"])


def test_clean_up_goes_on_where_nobody_waits_for_it(
    lab: conftest.Lab, client: juju.Juju, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(juju, "_UNDOING", ("wait-for",))
    gate = tmp_path / "gate"

    async def cut_off() -> None:
        doing = asyncio.ensure_future(client.run("throwaway/1", "wait-for", {"path": str(gate)}, within=60))
        while not pathlib.Path(f"{gate}.throwaway-1").exists():
            await asyncio.sleep(0.02)
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing

    asyncio.run(cut_off())
    before = statuses(lab)
    gate.touch()

    assert before == ["running"]
    conftest.until(lambda: statuses(lab) == ["completed"])


@versions
def test_cancelled_before_the_task_has_an_id_it_is_cancelled_all_the_same(
    lab: conftest.Lab, client: juju.Juju, version: str, tmp_path: pathlib.Path
):
    lab.write(**{"juju-version": version})

    async def cut_off() -> None:
        await client.version()
        doing = asyncio.ensure_future(
            client.run("throwaway/1", "wait-for", {"path": str(tmp_path / "never")}, within=60)
        )
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing

    asyncio.run(cut_off())

    conftest.until(lambda: statuses(lab) in (["aborted"], ["cancelled"]))


def statuses(lab: conftest.Lab) -> list[str]:
    return [json.loads(file.read_text())["status"] for file in sorted((lab.state / "tasks").glob("[0-9]*.json"))]


@versions
@pytest.mark.parametrize(
    ("unit", "action", "words"),
    [
        ("throwaway/7", "echo", ["throwaway/7", "not found"]),
        ("other/leader", "echo", ["could not determine leader", "--application"]),
        ("throwaway/0", "missing", ["not defined", "refresh the charm"]),
        ("throwaway/0", "echo", ["validation failed", '"text" property is missing']),
    ],
)
def test_what_juju_refuses_is_told_in_one_sentence(
    lab: conftest.Lab, client: juju.Juju, version: str, unit: str, action: str, words: list[str]
):
    lab.write(**{"juju-version": version})

    with pytest.raises(juju.JujuError) as caught:
        run(client, unit, action)

    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_units_are_found_under_their_principals(client: juju.Juju):
    found = asyncio.run(client.units("throwaway"))

    assert [(one.name, one.principal, one.is_octavia, one.leader, one.lost) for one in found] == [
        ("throwaway/0", "octavia/2", True, True, False),
        ("throwaway/1", "nova-compute/0", False, False, False),
    ]


def test_application_that_is_not_there_is_named(client: juju.Juju):
    with pytest.raises(juju.JujuError, match="there is no application ovs-pathfinder in the model lab; deploy it"):
        asyncio.run(client.units("ovs-pathfinder"))


def test_client_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JUJU", raising=False)

    with pytest.raises(juju.JujuError, match="there is no Juju client 'juju' here; install it"):
        juju.Juju()


def test_client_is_found_by_name_and_kept_by_path(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    place = saying(tmp_path, "exit 1").binary
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JUJU", raising=False)
    by_name = juju.Juju().binary
    monkeypatch.setenv("JUJU", place)
    monkeypatch.setenv("PATH", "/nowhere")

    assert by_name == juju.Juju().binary == place


REGISTER = "register one with `juju register`, or create one with `juju bootstrap`"
LOG_IN = "log in with `juju login`"
REACH = "is the controller reachable? try `juju status`"
CHOOSE = "name the model with --model, or select one with `juju switch`"


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ('No controllers registered.\n\nPlease either create a new controller using "juju bootstrap"', REGISTER),
        ("No selected controller.", "select one with `juju switch`, or name the model with --model"),
        ("controller elsewhere not found", "name the model with --model CONTROLLER:MODEL"),
        ('No selected model.\n\nOnly the controller model exists. Use "juju add-model"', CHOOSE),
        ("No model in focus.", CHOOSE),
        ("current model for controller ctl not found", CHOOSE),
        ('model "admin/x" not found', "name the model with --model; `juju models` lists them"),
        ('model "admin/x" has been removed from the controller', "name the model with --model; `juju models`"),
        ("not logged in", LOG_IN),
        ("cannot get discharge: please log in", LOG_IN),
        ('cannot log into controller "ctl": invalid entity name or password (unauthorized access)', LOG_IN),
        ("account details not found", LOG_IN),
        ("permission denied", "log in with `juju login` as a user who may write to the model"),
        ("unable to connect to API: dial tcp 10.0.0.1:17070: connect: connection refused", REACH),
        ("unable to connect to API: dial tcp 10.0.0.1:17070: i/o timeout", REACH),
        ("unable to connect to API: x509: certificate signed by unknown authority", "the controller's certificate"),
        ("connection is shut down", REACH),
        ("lookup ctl.example on 10.0.0.2:53: no such host", REACH),
        ("login failed: upgrade in progress", LOG_IN),
    ],
)
@pytest.mark.parametrize("before", ["", "please enter password for admin on ctl: \n", "WARNING old\n"])
def test_trouble_with_the_controller_comes_with_what_to_do(tmp_path: pathlib.Path, before: str, said: str, hint: str):
    (tmp_path / "said").write_text(f"{before}ERROR {said}\n")
    client = saying(tmp_path, f"cat {tmp_path / 'said'} >&2; exit 1")

    with pytest.raises(juju.JujuError) as caught:
        run(client, "ovs-pathfinder/0", "clean-up")

    first = said.splitlines()[0].rstrip(".")
    assert str(caught.value).startswith(f"`juju run` failed: {first}; {hint}")
    assert "ovs-pathfinder/0" not in str(caught.value)


@pytest.mark.parametrize("version", ["2.9.50", "3.6.9"])
def test_a_client_that_cannot_connect_is_no_unit_that_is_late(tmp_path: pathlib.Path, version: str):
    client = saying(tmp_path, "echo 'ERROR unable to connect to API: i/o timeout' >&2; exit 1", version)

    with pytest.raises(juju.JujuError, match="is the controller reachable"):
        run(client, "ovs-pathfinder/0", "clean-up")


@pytest.mark.parametrize("name", ["--help", "", "a/0; sh", "ovs-pathfinder/01", "Ovs/0", "a/0\nb/1", "a/-1", "1/0"])
def test_what_is_no_unit_s_name_is_never_handed_to_juju(tmp_path: pathlib.Path, name: str):
    client = saying(tmp_path, f"touch {tmp_path / 'asked'}")

    with pytest.raises(juju.JujuError, match="is no unit's name; give one such as ovs-pathfinder/0"):
        run(client, name, "clean-up")
    with pytest.raises(juju.JujuError, match="is no application's name"):
        asyncio.run(client.units(name))

    assert not (tmp_path / "asked").exists()


def test_controller_that_says_nothing_is_not_waited_for_for_ever(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(juju, "ANSWER", 0.3)
    client = saying(tmp_path, "exec sleep 60")

    with pytest.raises(juju.JujuError, match="`juju status` did not answer within"):
        asyncio.run(client.units("ovs-pathfinder"))
    with pytest.raises(juju.TooLate):
        run(client, "ovs-pathfinder/0", "clean-up", within=0.1)


def test_what_is_no_juju_is_said(tmp_path: pathlib.Path):
    place = tmp_path / "juju"
    place.write_text("#!/bin/sh\necho hello\n")
    place.chmod(0o755)

    with pytest.raises(errors.PathfinderError, match="says 'hello'; name the Juju client with --juju"):
        run(juju.Juju(str(place)), "ovs-pathfinder/0", "clean-up")


def test_parameters_lie_where_the_snap_of_juju_sees_them(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "snap" / "bin").mkdir(parents=True)
    client = saying(tmp_path / "snap" / "bin", 'echo "ERROR $*" >&2; exit 1')

    with pytest.raises(juju.JujuError, match=str(tmp_path / "snap" / "juju" / "common")):
        run(client, "a/0", "b", c="d")

    assert list((tmp_path / "snap" / "juju" / "common").iterdir()) == []
