import json
import os
import pathlib
import signal

import pytest

from . import conftest

Lab = conftest.Lab


def test_run_gives_the_results_in_juju_3_shape(lab: Lab) -> None:
    task = lab.run("throwaway/0", "echo", "text=hi")

    assert task["status"] == "completed"
    assert task["unit"] == "throwaway/0"
    assert task["results"]["return-code"] == 0
    assert task["results"]["stdout"] == "on stdout\n"
    assert json.loads(task["results"]["params"]) == {"text": "hi", "count": 3}
    assert [line.split("UTC ")[1] for line in task["log"]] == ["echoing", "still echoing"]
    assert set(task["timing"]) == {"enqueued", "started", "completed"}


def test_run_action_gives_the_results_in_juju_2_shape(lab: Lab) -> None:
    lab.write(**{"juju-version": "2.9.52"})

    task = lab.json("run-action", "throwaway/0", "--wait", "echo", "text=hi")["unit-throwaway-0"]

    assert task["UnitId"] == "throwaway/0"
    assert task["status"] == "completed"
    assert task["results"]["Stdout"] == "on stdout\n"
    assert "ReturnCode" not in task["results"]


def test_run_action_without_wait_queues_and_the_output_is_asked_for_later(lab: Lab) -> None:
    lab.write(**{"juju-version": "2.9.52"})

    queued = lab.json("run-action", "throwaway/0", "publish", "text=x", "then=crash")
    task = lab.json("show-action-output", queued["Action queued with id"], "--wait", "20s")

    assert task["status"] == "failed"
    assert task["results"]["ReturnCode"] == 1
    assert task["message"] == "exit status 1"


def test_the_2_9_client_refuses_parameters_with_an_error(lab: Lab) -> None:
    lab.write(**{"juju-version": "2.9.52"})

    done = lab.juju("run-action", "throwaway/0", "echo", "--wait")

    assert done.returncode == 1
    assert done.stderr.startswith('ERROR validation failed: (root) : "text" property is missing and required')


def test_the_only_task_streams_its_log_and_prints_plainly(lab: Lab) -> None:
    done = lab.juju("run", "throwaway/0", "echo", "text=hi")

    assert done.returncode == 0
    assert done.stderr.index(" echoing\n") < done.stderr.index(" still echoing\n")
    assert done.stdout.startswith("params: ")
    assert done.stdout.endswith("on stdout\n")


def test_a_failed_action_exits_0_and_a_crashed_one_does_not(lab: Lab) -> None:
    failed = lab.juju("run", "throwaway/0", "publish", "text=x", "then=fail")
    crashed = lab.juju("run", "throwaway/0", "publish", "text=x", "then=crash")

    assert failed.returncode == 0
    assert "failed: told to fail" in failed.stdout
    assert crashed.returncode == 1
    assert "ERROR the following task failed:" in crashed.stderr
    assert "with return code 1" in crashed.stderr


def test_leader_means_the_leader(lab: Lab) -> None:
    found = lab.json("run", "throwaway/leader", "read")

    assert list(found) == ["throwaway/0"]
    assert found["throwaway/0"]["results"]["leader"] == "true"


def test_parameters_come_from_file_and_command_line(lab: Lab, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("text: from file\ncount: 2\ntree: {a: 1, b: {c: 2}}\n")

    task = lab.run("throwaway/0", "echo", "--params", str(file), "count=5", "tree.b.d=no")

    params = json.loads(task["results"]["params"])
    assert params == {"text": "from file", "count": 5, "tree": {"a": 1, "b": {"c": 2, "d": False}}}


def test_parameters_come_from_standard_input(lab: Lab) -> None:
    done = lab.juju("run", "--params", "-", "throwaway/0", "echo", "--format=json", stdin="{text: piped}")

    assert json.loads(json.loads(done.stdout)["throwaway/0"]["results"]["params"])["text"] == "piped"


def test_values_are_yaml_unless_they_are_strings(lab: Lab) -> None:
    refused = lab.juju("run", "throwaway/0", "echo", "text=7")
    taken = lab.run("throwaway/0", "echo", "text=7", "--string-args")

    assert "(root).text : must be of type string, given 7" in refused.stderr
    assert json.loads(taken["results"]["params"])["text"] == "7"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["echo"], '"text" property is missing and required, given {}'),
        (["echo", "text=a", "count=10"], "(root).count : must be lower than or equal to 9, given 10"),
        (["echo", "text=a", "other=1"], 'additional property "other" is not allowed'),
        (["missing"], 'action "missing" not defined on unit "throwaway/0"'),
    ],
)
def test_a_refused_action_is_never_scheduled(lab: Lab, arguments: list[str], said: str) -> None:
    done = lab.juju("run", "throwaway/0", *arguments)

    assert done.returncode == 0  # as Juju 3 does
    assert "failed to schedule any tasks" in done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert not list((lab.state / "tasks").iterdir())


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["frobnicate"], 'juju: "frobnicate" is not a juju command', 2),
        (["run", "--frob", "throwaway/0", "echo"], "option provided but not defined: --frob", 2),
        (["run", "throwaway/0", "echo", "text"], 'argument "text" must be of the form', 2),
        (["run", "throwaway/0", "echo", "a_b=1"], 'key "a_b" must start and end with lowercase', 2),
        (["run", "throwaway/0", "echo", "--wait", "5"], 'invalid value "5" for option --wait', 2),
        (["run", "echo"], "no unit specified", 2),
        (["run-action", "throwaway/0", "echo"], "is not a juju command", 2),
        (["show-task", "99"], 'task "99" not found', 1),
    ],
)
def test_a_wrong_command_line_is_refused(lab: Lab, arguments: list[str], said: str, code: int) -> None:
    done = lab.juju(*arguments)

    assert done.returncode == code
    assert done.stderr.startswith("ERROR ")
    assert said in done.stderr


def test_units_run_side_by_side(lab: Lab, tmp_path: pathlib.Path) -> None:
    # Each waits for the other's file: one after the other could not both meet.
    gates = tmp_path / "meet"
    first = lab.start("run", "throwaway/0", "wait-for", f"path={gates}", f"say={gates}.throwaway-1", "--format=json")
    second = lab.juju("run", "throwaway/1", "wait-for", f"path={gates}", f"say={gates}.throwaway-0", "--format=json")
    output, _ = first.communicate(timeout=30)

    assert json.loads(output)["throwaway/0"]["results"]["met"] == "true"
    assert json.loads(second.stdout)["throwaway/1"]["results"]["met"] == "true"


def test_one_unit_runs_one_action_at_a_time(lab: Lab, tmp_path: pathlib.Path) -> None:
    gate = tmp_path / "gate"
    lab.juju("run", "throwaway/0", "wait-for", f"path={gate}", "--background")
    conftest.until(pathlib.Path(f"{gate}.throwaway-0").exists)
    lab.juju("run", "throwaway/0", "echo", "text=later", "--background")

    before = lab.json("show-task", "4")
    gate.touch()
    after = lab.json("show-task", "4", "--wait", "20s")

    assert before["status"] == "pending"
    assert after["status"] == "completed"


def test_cancelling_kills_a_running_task_and_forgets_a_pending_one(lab: Lab, tmp_path: pathlib.Path) -> None:
    gate = tmp_path / "gate"
    lab.juju("run", "throwaway/0", "wait-for", f"path={gate}", "--background")
    running = pathlib.Path(f"{gate}.throwaway-0")
    process = int(conftest.until(lambda: running.exists() and running.read_text()))
    lab.juju("run", "throwaway/0", "echo", "text=never", "--background")

    done = lab.json("cancel-task", "4", "2")
    killed = conftest.until(lambda: _when(lab, "2", "aborted"))

    assert [entry["status"] for entry in done["actions"]] == ["cancelled", "aborting"]
    assert killed["results"]["return-code"] == -1
    assert killed["message"] == "terminated"
    assert not pathlib.Path(f"/proc/{process}").exists()
    assert lab.json("show-task", "4")["status"] == "cancelled"
    assert "waited" not in lab.sees("throwaway/1", "throwaway/0")


def _when(lab: Lab, task: str, status: str) -> dict[str, object] | None:
    found = lab.json("show-task", task)
    return found if found["status"] == status else None


def test_interrupting_the_command_leaves_the_task_running(lab: Lab, tmp_path: pathlib.Path) -> None:
    gate = tmp_path / "gate"
    client = lab.start("run", "throwaway/0", "wait-for", f"path={gate}")
    conftest.until(pathlib.Path(f"{gate}.throwaway-0").exists)

    client.send_signal(signal.SIGINT)
    client.communicate(timeout=10)
    before = lab.json("show-task", "2")["status"]
    gate.touch()
    after = lab.json("show-task", "2", "--wait", "20s")

    assert client.returncode == -signal.SIGINT
    assert before == "running"
    assert after["results"]["met"] == "true"


def test_waiting_ends_but_the_task_goes_on(lab: Lab, tmp_path: pathlib.Path) -> None:
    gate = tmp_path / "gate"

    done = lab.juju("run", "throwaway/0", "wait-for", f"path={gate}", "--wait", "200ms")
    gate.touch()

    assert done.returncode == 1
    assert "ERROR timed out waiting for results from: unit throwaway/0" in done.stderr
    assert lab.json("show-task", "2", "--wait", "20s")["status"] == "completed"


def test_the_model_file_is_refused_in_one_sentence(lab: Lab) -> None:
    lab.write(units={"other/0": {}})

    done = lab.juju("status")

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "'other/0' is not a unit of application 'throwaway'" in done.stderr


def test_the_charm_sees_its_host_and_nothing_of_the_callers_environment(ops_lab: Lab) -> None:
    os.environ["OPF_CALLER"] = "leaks"
    try:
        task = ops_lab.run("throwaway/1", "environment")
    finally:
        del os.environ["OPF_CALLER"]

    seen = json.loads(task["results"]["env"])
    assert seen["OVS_RUNDIR"] == "/lab/1"
    assert seen["JUJU_PRINCIPAL_UNIT"] == "nova-compute/0"
    assert seen["JUJU_DISPATCH_PATH"] == "actions/environment"
    assert seen["JUJU_ACTION_NAME"] == "environment"
    assert seen["JUJU_VERSION"] == "3.6.9"
    assert task["results"]["cwd"] == seen["JUJU_CHARM_DIR"] == str(ops_lab.state / "units/throwaway-1/charm")
    assert task["results"]["address"] == "127.0.0.1"
    assert task["results"]["planned"] == "2"
    assert "OPF_CALLER" not in seen
