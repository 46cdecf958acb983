"""The command with a `juju` that prints damaged output, at each call and of each kind: one sentence each."""

import asyncio
import json
import pathlib

import pytest

from ovs_pathfinder.command import cli
from tests.unit.command import model

STATUS = {
    "model": {"name": "lab"},
    "applications": {
        f"{name}": {
            "charm-name": name,
            "units": {f"{name}/0": {"subordinates": {f"ovs-pathfinder/{number}": {"leader": number == 0}}}},
        }
        for number, name in enumerate(("octavia", "nova-compute"))
    },
}
DEEP = "[" * 100_000
DAMAGE = {
    "garbage": b"\x1b]0;title\x07 no JSON at all",
    "half": b'{"ovs-pathfinder/0": {"id": "1", "sta',
    "nothing": b"",
    "blank": b"\n \n",
    "long line": b"x" * 3_000_000,
    "no UTF-8": b'{"ovs-pathfinder/0": {"status": "completed\xff\xfe", "message": "\xc3\x28\x1b[2J"}}',
    "zeros": bytes(1000),
    "list": b'[{"status": "completed"}]',
    "empty map": b"{}",
    "null": b"null",
    "number": b"1e999",
    "deep": DEEP.encode(),
    "lone surrogate": rb'{"ovs-pathfinder/0": {"status": "\ud800"}}',
    "task null": b'{"ovs-pathfinder/0": null, "model": null, "applications": null}',
    "task list": b'{"ovs-pathfinder/0": [], "model": [], "applications": []}',
    "results null": b'{"ovs-pathfinder/0": {"status": "completed", "results": null}}',
    "results list": b'{"ovs-pathfinder/0": {"status": "completed", "results": ["run"]}}',
    "results nested": json.dumps(
        {"ovs-pathfinder/0": {"status": "completed", "results": {key: {"a": [{}]} for key in ("run", "units", "plan")}}}
    ).encode(),
    "no status": b'{"ovs-pathfinder/0": {"results": {"run": "x"}}}',
    "status list": b'{"ovs-pathfinder/0": {"status": ["completed"], "message": {"a": 1}, "log": "x"}}',
    "others": json.dumps(
        {"a": {"unit": "--help", "status": "completed", "results": {"units": "--help a;b", "run": "--help"}}}
    ).encode(),
    "deep results": json.dumps(
        {
            "ovs-pathfinder/0": {
                "status": "completed",
                "results": dict.fromkeys(
                    ("run", "units", "plan", "evidence", "diagnosis", "path", "answer", "report"), DEEP
                ),
            }
        }
    ).encode(),
    "units of units": json.dumps(
        {"applications": {"octavia": {"units": {"octavia/0": {"subordinates": [1]}}}}}
    ).encode(),
    "application": b'{"model": {}, "applications": {"ovs-pathfinder": null}}',
    "strange units": json.dumps(
        {
            "applications": {
                "octavia": {"units": {"a/0": {"subordinates": {"ovs-pathfinder/x": {}, "--help": {}}}}},
                "ovs-pathfinder": {},
            }
        }
    ).encode(),
}
TRACE, LIST, CLEAN = ("trace", "octavia/0", "fc00::1"), ("list",), ("clean-up",)
CALLS = {
    "version": LIST,
    "status": LIST,
    "list-amphorae": LIST,
    "plan-path": TRACE,
    "probe-path": TRACE,
    "path-report": TRACE,
    "clean-up": CLEAN,
    "run-action": TRACE,
    "show-action-output": TRACE,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return a folder with a `juju` that answers from its files, one for each call and unit, unless one is damaged."""
    folder = tmp_path_factory.mktemp("juju")

    async def answers() -> None:
        charm = model.Model()
        plan = await charm.run(
            "ovs-pathfinder/leader", "plan-path", {"source": "octavia/0", "destination": "fc00::1"}, within=9
        )
        run, evidence = {"run": plan.results["run"]}, list[str]()
        put("plan-path", plan.results)
        for unit in plan.results["units"].split():
            found = await charm.run(unit, "probe-path", run, within=9)
            evidence.append(found.results["evidence"])
            put(f"probe-path-{unit.replace('/', '-')}", found.results)
        report = await charm.run(
            "ovs-pathfinder/leader", "path-report", {**run, "format": "json", "evidence": "\n".join(evidence)}, within=9
        )
        put("path-report", report.results)
        put("list-amphorae", (await charm.run("ovs-pathfinder/0", "list-amphorae", {}, within=9)).results)
        put("clean-up", {"summary": "Nothing is left behind on this unit."})

    def put(call: str, results: object) -> None:
        (folder / call).write_text(json.dumps({"ovs-pathfinder/0": {"status": "completed", "results": results}}))

    asyncio.run(answers())
    (folder / "version").write_text("3.6.9-ubuntu-amd64\n")
    (folder / "status").write_text(json.dumps(STATUS))
    (folder / "run-action").write_text('{"Action queued with id": "1"}')
    (folder / "show-action-output").write_text('{"status": "failed", "message": "it is a test"}')
    place = folder / "juju"
    place.write_text(
        f"""#!/bin/sh
cd {folder}
call=$1
for word in "$@"; do
    case $word in
        plan-path|probe-path|path-report|list-amphorae|clean-up) [ "$call" = run ] && call=$word ;;
        ovs-pathfinder/*) unit=$word ;;
    esac
done
[ -f stderr ] && cat stderr >&2
if [ -f damaged-$call ]; then cat damaged-$call
elif [ -f "$call-ovs-pathfinder-${{unit##*/}}" ]; then cat "$call-ovs-pathfinder-${{unit##*/}}"
else cat $call
fi
"""
    )
    place.chmod(0o755)
    return folder


@pytest.mark.parametrize("call", CALLS)
def test_damaged_output_of_the_client_is_one_sentence(
    whole: pathlib.Path, capsys: pytest.CaptureFixture[str], call: str
):
    damaged = whole / f"damaged-{call}"
    if call in ("run-action", "show-action-output"):
        (whole / "version").write_text("2.9.50-ubuntu-amd64\n")
    try:
        for kind, content in DAMAGE.items():
            damaged.write_bytes(content)
            status, out, err = typed(whole, capsys, *CALLS[call])

            assert status in ((0, 1, 2, 3) if call in ("probe-path", "list-amphorae", "clean-up") else (3,)), (
                kind,
                out,
            )
            assert "error of its own" not in out + err, (kind, err)
            assert "Traceback" not in out + err, (kind, err)
            assert all(line.isprintable() and len(line) < 1000 for line in err.splitlines()), (kind, err)
            assert err.count("\n") == 1 or out or call == "clean-up", (kind, err)
            assert err.strip() != "ovs-pathfinder:", kind
    finally:
        damaged.unlink()
        (whole / "version").write_text("3.6.9-ubuntu-amd64\n")


def test_a_client_that_prints_much_on_stderr_is_read_to_its_end(
    whole: pathlib.Path, capsys: pytest.CaptureFixture[str]
):
    (whole / "stderr").write_bytes(b"x" * 3_000_000 + b"\n\xff\xfe\x1b[2J\n" + b"line\n" * 20_000 + b"y" * 100_000)
    try:
        status, out, err = typed(whole, capsys, *TRACE)
    finally:
        (whole / "stderr").unlink()

    assert err == ""
    assert status == 0
    assert out.startswith("Path report ")


def typed(folder: pathlib.Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = cli.status([*words, "--quiet", "--juju", str(folder / "juju")])
    out, err = capsys.readouterr()
    return status, out, err
