"""What is typed, what is printed, and how the command ends."""

import json
import pathlib
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import click.testing
import pytest

from ovs_pathfinder.command import cli, engine, juju, sweep
from ovs_pathfinder.diagnosis import codes
from tests.unit.command import model
from tests.unit.diagnosis import build

LIBRARY = pathlib.Path(__file__).resolve().parents[3] / "lib"
DISOBEYED = build.World(lost_after={("forward", "source-port"): 5})


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> model.Model:
    """Return a model that every command asks."""
    found = model.Model(sources=2, computes=2)

    class Fake:
        def __init__(self, binary: str = "", name: str = "") -> None:
            self.run = found.run

        async def units(self, application: str) -> list[juju.Unit]:
            return found.units()

    monkeypatch.setattr(juju, "Juju", Fake)
    return found


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.status(words)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


@pytest.mark.parametrize(
    ("world", "status"),
    [(build.World(), 0), (DISOBEYED, 1), (build.World(lost_after={("reply", "destination-underlay"): 2}), 1)],
)
def test_status_stands_for_the_verdict(
    client: model.Model, capsys: pytest.CaptureFixture[str], world: build.World, status: int
):
    client.worlds["fc00::1"] = world

    found, out, err = typed(capsys, "trace", "octavia/0", "fc00::1")

    assert found == status
    assert out.startswith("Path report 20220314t101500-")
    assert all(len(line) <= 80 for line in out.splitlines()), out
    assert "\x1b" not in out + err


def test_what_cannot_be_told_has_a_status_of_its_own(client: model.Model, capsys: pytest.CaptureFixture[str]):
    client.failing["ovs-pathfinder/0", "probe-path"] = "action terminated"

    status, out, _ = typed(capsys, "trace", "octavia/0", "fc00::1")

    assert status == 2
    assert "CANNOT TELL" in out
    assert "Went wrong:\n  - probe-path on ovs-pathfinder/0 failed: action terminated" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trace", "octavia/0", "nobody"], "plan-path on ovs-pathfinder/0 failed: Neutron knows no port"),
        (["trace", "octavia/0"], "Missing argument 'DESTINATION'"),
        (["trace", "octavia/0", "fc00::1", "--count", "0"], "0 is not in the range 1<=x<=200"),
        (["trace", "octavia/0", "fc00::1", "--protocol", "tcp"], "--protocol tcp needs --port"),
        (["trace", "octavia/0", "fc00::1", "--port", "80"], "--port goes with --protocol tcp or udp"),
        (["trace", "octavia/0", "fc00::1", "--format", "yaml"], "'yaml' is not one of"),
        (
            ["trace", "octavia/9", "fe80::1"],
            "; octavia/9 has no unit of ovs-pathfinder beside it, octavia/0, octavia/1, ",
        ),
        (
            ["clean-up", "ovs-pathfinder/9"],
            "'ovs-pathfinder/9' is no unit of ovs-pathfinder; there are ovs-pathfinder/0, ",
        ),
        (["clean-up", "--", "--help"], "'--help' is no unit of ovs-pathfinder; there are ovs-pathfinder/0, "),
        (["sweep", "--source", "octavia/9"], "octavia/9 is no unit of Octavia with the charm"),
        (["sweep", "--network", "a", "--status", "ERROR"], "--network goes with neither --status nor --loadbalancer"),
        (["report", "20200101t000000-000000"], "run '20200101t000000-000000' is not known here"),
        (["explain", "ingress-rule"], "did you mean ingress-rule-missing or egress-rule-missing?"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    client: model.Model, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    status, out, err = typed(capsys, *words, *([] if words[0] in ("explain", "frobnicate") else ["--quiet"]))

    assert (status, out) == (3, "")
    assert err.startswith("ovs-pathfinder: ")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "/nowhere/x"], "/nowhere/x cannot be written: there is no folder /nowhere"),
        (["-o", "/etc/passwd/x"], "/etc/passwd/x cannot be written: there is no folder /etc/passwd"),
        (["-o", "/proc"], "/proc cannot be written: it is a folder"),
        (["--captures", "/etc/passwd/x"], "/etc/passwd/x cannot be written: /etc/passwd is no folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    client: model.Model, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    status, out, err = typed(capsys, "trace", "octavia/0", "fc00::1", *words)

    assert (status, out, err) == (3, "", f"ovs-pathfinder: {said}\n")
    assert client.asked == []


def test_a_report_that_cannot_be_written_in_the_end_goes_to_stdout(
    client: model.Model, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
):
    folder = tmp_path / "reports"
    folder.mkdir()
    client.before = lambda unit, action: folder.rmdir() if action == "path-report" else None

    status, out, err = typed(capsys, "trace", "octavia/0", "fc00::1", "-q", "-o", str(folder / "x"))

    (run,) = client.plans
    assert status == 3
    assert out.startswith(f"Path report {run}: OK")
    assert "cannot be written (No such file or directory), so the report is on stdout; " in err
    assert err.endswith(f"`ovs-pathfinder report` tells it again: {run}\n")


def test_options_of_all_commands_may_stand_before_the_command(
    client: model.Model, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    made: list[tuple[str, str]] = []
    real = juju.Juju

    def remembered(binary: str = "", name: str = "") -> Any:
        made.append((binary, name))
        return real(binary, name)

    monkeypatch.setattr(juju, "Juju", remembered)
    before = typed(capsys, "--model", "m", "--juju", "j", "-q", "trace", "octavia/0", "fc00::1", "--protocol", "ICMP")
    after = typed(capsys, "trace", "octavia/0", "fc00::1", "--model", "m", "--juju", "j", "-q", "--protocol", "icmp")
    typed(capsys, "--model", "m", "list", "--model", "n", "-q")

    assert made == [("j", "m"), ("j", "m"), ("", "n")]
    assert (before[0], before[2]) == (after[0], after[2]) == (0, "")


def test_without_arguments_it_is_the_help(capsys: pytest.CaptureFixture[str]):
    status, out, err = typed(capsys)

    assert (status, err) == (0, "")
    assert out == typed(capsys, "--help")[1]
    assert "..." not in out.partition("Commands:")[2]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]):
    assert re.fullmatch(r"\d+\.\d+\S*\n", typed(capsys, "--version")[1])


def test_codes_are_read_in_any_case_of_letters(capsys: pytest.CaptureFixture[str]):
    assert typed(capsys, "explain", "Foreign-FLOW") == typed(capsys, "explain", "foreign-flow")


def test_errors_of_its_own_are_sentences_too(
    client: model.Model, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr(engine, "Engine", broken)

    status, _, err = typed(capsys, "report", "x")

    assert (status, err) == (
        3,
        "ovs-pathfinder: it met an error of its own (RuntimeError: oh); please report it with what --debug shows\n",
    )


@pytest.mark.parametrize("form", cli.FORMATS)
def test_sweep_tells_all_paths_in_every_form(
    client: model.Model, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path, form: str
):
    client.worlds["fc00::2"] = DISOBEYED
    place = tmp_path / "paths"

    status, out, err = typed(capsys, "sweep", "--format", form, "--output", str(place))

    assert (status, out) == (1, "")
    assert "[4/4] " in err
    text = place.read_text()
    assert all(one in text for one in ("octavia/0", "octavia/1", "fc00::1", "fc00::2", "switch-disobeys"))


def test_sweep_of_nothing_is_said(client: model.Model, capsys: pytest.CaptureFixture[str]):
    client.computes = 0

    assert typed(capsys, "sweep")[::2] == (
        3,
        "ovs-pathfinder: there is nothing to sweep: no amphora and no port was found\n",
    )


def test_sweep_chooses_amphorae(client: model.Model, capsys: pytest.CaptureFixture[str]):
    typed(capsys, "sweep", "--status", "BOOTING", "--source", "octavia/1", "-q")

    assert client.given["list-amphorae"] == [{"status": "BOOTING", "limit": sweep.LISTED, "format": "json"}]
    assert {one["source"] for one in client.given["plan-path"]} == {"octavia/1"}


def test_list_names_sources_and_amphorae(client: model.Model, capsys: pytest.CaptureFixture[str]):
    assert typed(capsys, "list") == (0, "Sources: octavia/0, octavia/1\n\nsome\n", "")
    assert json.loads(typed(capsys, "list", "--format", "json")[1])["amphorae"]


def test_clean_up_asks_all_units_or_those_that_are_named(client: model.Model, capsys: pytest.CaptureFixture[str]):
    client.failing["ovs-pathfinder/2", "clean-up"] = "not everything could be undone: port security is still off"

    everything = typed(capsys, "clean-up")
    one = typed(capsys, "clean-up", "ovs-pathfinder/1", "--dry-run")

    assert everything[0] == 3
    assert everything[1].count("Nothing is left behind on this unit.") == 3
    assert "ovs-pathfinder/2: clean-up on ovs-pathfinder/2 failed: not everything could be undone" in everything[2]
    assert one[:2] == (0, "ovs-pathfinder/1: Nothing is left behind on this unit.\n")
    assert client.given["clean-up"][-1] == {"dry-run": True}


def test_report_tells_a_run_again(client: model.Model, capsys: pytest.CaptureFixture[str]):
    typed(capsys, "trace", "octavia/0", "fc00::1")
    (run,) = client.plans
    evidence = client.given["path-report"][0]["evidence"]
    real = client._path_report  # pyright: ignore[reportPrivateUsage]

    def as_arrived(unit: str, params: Mapping[str, Any]) -> dict[str, str]:
        return real(unit, {"evidence": evidence, **params})

    client._path_report = as_arrived  # pyright: ignore[reportPrivateUsage]  # type: ignore[method-assign]

    status, out, _ = typed(capsys, "report", run, "--format", "markdown")

    assert status == 0
    assert out.startswith(f"# Path report {run}: OK")


@pytest.mark.parametrize("code", codes.MEANINGS)
def test_every_diagnosis_is_explained(capsys: pytest.CaptureFixture[str], code: str):
    status, out, _ = typed(capsys, "explain", code)

    assert status == 0
    assert " ".join(out.split()).startswith(f"{code}: {codes.MEANINGS[code].meaning}")


def test_all_diagnoses_are_named(capsys: pytest.CaptureFixture[str]):
    out = typed(capsys, "explain")[1]

    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == list(codes.MEANINGS)
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_and_codes(shell: str):
    runner = click.testing.CliRunner()
    typed_ = {"COMP_WORDS": "ovs-pathfinder explain ingress", "COMP_CWORD": "ingress" if shell == "fish" else "2"}
    found = runner.invoke(
        cli.main, [], prog_name="ovs-pathfinder", env={"_OVS_PATHFINDER_COMPLETE": f"{shell}_complete", **typed_}
    )

    assert "ingress-rule-missing" in found.output


def alone(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process that has neither ops nor OpenStack's client, and say which modules it imported."""
    script = (
        "import sys\n"
        "for name in ('ops', 'openstack', 'keystoneauth1', 'jubilant', 'yaml'): sys.modules[name] = None\n"
        "from ovs_pathfinder.command import cli\n"
        f"status = cli.status({list(words)!r})\n"
        "print('imported', *sys.modules, file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(LIBRARY), "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "status", "unneeded"),
    [
        (("--help",), 0, {"rich", "pydantic", "jinja2", "asyncio"}),
        (("trace", "--help"), 0, {"rich", "pydantic", "jinja2", "asyncio"}),
        (("explain", "ingress-rule-missing"), 0, {"rich", "jinja2", "asyncio"}),
        (("list",), 3, {"rich"}),
    ],
)
def test_neither_charm_nor_cloud_is_needed_and_little_is_imported(
    words: tuple[str, ...], status: int, unneeded: set[str]
):
    done = alone(*words)

    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert unneeded & set(done.stderr.rpartition("imported")[2].split()) == set()


def test_trouble_with_juju_is_told_as_juju_tells_it(tmp_path: pathlib.Path):
    place = tmp_path / "juju"
    place.write_text("#!/bin/sh\n[ $1 = version ] && echo 3.6.9 || { echo ERROR please log in >&2; exit 1; }\n")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)

    done = alone("trace", "octavia/0", "fc00::1", "--juju", str(place), "--quiet")

    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == ("ovs-pathfinder: `juju run` failed: please log in; log in with `juju login`")


def test_options_are_those_of_the_reference():
    page = (LIBRARY.parent / "docs" / "reference" / "command.md").read_text()
    told = {
        name: (set(re.findall(r"`(--[a-z-]+)`", line.split("|")[1])) or {""}).pop()
        for line in page.splitlines()
        if line.startswith("| `--")
        for name in re.findall(r"`(--[a-z-]+)`", line.split("|")[1])
    }
    shared = {"--model", "--application", "--juju", "--quiet", "--debug"}

    for command in cli.main.commands.values():
        own = {name for one in command.params if isinstance(one, click.Option) for name in one.opts if name[1] == "-"}
        (section,) = re.findall(rf"^### ovs-pathfinder {command.name}\b.*?(?=^##)", page, re.MULTILINE | re.DOTALL)
        assert own - shared - set(told) == set(), command.name
        assert all(name in page for name in own)
        assert set(re.findall(r"^\| `(--[a-z-]+)`", section, re.MULTILINE)) <= own, command.name
    typed_somewhere = {name for command in cli.main.commands.values() for one in command.params for name in one.opts}
    assert set(told) <= typed_somewhere


def test_defaults_of_the_reference_are_those_of_the_command():
    page = (LIBRARY.parent / "docs" / "reference" / "command.md").read_text()
    told = dict(re.findall(r"^\| `--([a-z]+)`(?:, `-\w`)? \| [^|]+ \| ([^|]+) \|", page, re.MULTILINE))

    packets = {option.name for option in cli.main.commands["trace"].params} & set(vars(engine.Settings()))
    assert len(packets) == 7

    for name, value in ((one, getattr(engine.Settings(), one)) for one in packets):
        assert told[name] == ("none" if value is None else f"{value:g}" if isinstance(value, float) else str(value))
