import json
import pathlib

import pytest

from . import conftest

Lab = conftest.Lab
ENTERED = dict.fromkeys(("egress-subnets", "ingress-address", "private-address"), "172.20.0.139")


def test_first_use_deploys(ops_lab: Lab) -> None:
    seen = json.loads(ops_lab.run("throwaway/0", "read")["results"]["seen"])
    other = ops_lab.run("throwaway/1", "read")["results"]

    assert seen == [
        "install",
        "throwaway-peers-relation-created throwaway",
        "leader-elected",
        "config-changed",
        "start",
        "throwaway-peers-relation-joined throwaway/1",
        "throwaway-peers-relation-changed throwaway/1",
        "keystone-credentials-relation-joined keystone/0",
        "keystone-credentials-relation-changed keystone/0",
    ]
    assert "leader-elected" not in json.loads(other["seen"])
    assert json.loads(other["keystone"]) == {"keystone/0": {"auth_host": "10.0.0.1"}}
    assert json.loads(other["units"])["throwaway/0"] == {"principal": "octavia/2", **ENTERED}


@pytest.mark.parametrize(
    ("then", "status", "code", "flushed"),
    [
        ("return", "completed", 0, True),
        ("fail", "failed", 0, True),
        ("crash", "failed", 1, False),
        ("kill", "failed", -1, False),
    ],
)
def test_settings_are_flushed_where_the_process_exits_0(
    lab: Lab, then: str, status: str, code: int, flushed: bool
) -> None:
    task = lab.run("throwaway/0", "publish", "text=news", f"then={then}")
    reader = lab.run("throwaway/1", "read")["results"]

    assert task["status"] == status
    assert task["results"]["return-code"] == code
    assert task["results"]["published"] == "news"
    assert ("text" in json.loads(reader["units"])["throwaway/0"]) == flushed
    assert reader["plan"] == ("news" if flushed else "")


def test_an_exception_in_a_handler_flushes_nothing(ops_lab: Lab) -> None:
    task = ops_lab.run("throwaway/0", "publish", "text=news", "then=crash")
    reader = ops_lab.run("throwaway/1", "read")["results"]

    assert task["message"] == "exit status 1"
    assert "Uncaught RuntimeError in charm code: told to crash" in task["results"]["stderr"]
    assert json.loads(reader["units"])["throwaway/0"] == {"principal": "octavia/2", **ENTERED}


def test_a_member_is_remembered_until_relation_changed_names_it(lab: Lab) -> None:
    lab.write(deliver="manual")
    lab.sees("throwaway/0", "throwaway/1")
    lab.run("throwaway/1", "publish", "text=evidence")

    before = lab.sees("throwaway/0", "throwaway/1")
    lab.juju("fire", "update-status", "throwaway/0")
    still = lab.sees("throwaway/0", "throwaway/1")
    lab.juju("fire", "throwaway-peers-relation-changed", "throwaway/0", "--remote", "throwaway/1")
    after = lab.sees("throwaway/0", "throwaway/1")

    assert "text" not in before
    assert "text" not in still
    assert after["text"] == "evidence"


def test_application_settings_are_read_anew(lab: Lab) -> None:
    lab.write(deliver="manual")
    lab.run("throwaway/0", "publish", "text=plan")

    assert lab.run("throwaway/1", "read")["results"]["plan"] == "plan"


def test_deliver_runs_the_hooks_that_wait(lab: Lab) -> None:
    lab.write(deliver="manual")
    lab.run("throwaway/1", "publish", "text=evidence")

    done = lab.juju("deliver")

    assert done.stdout.split() == ["throwaway/0"]
    assert lab.sees("throwaway/0", "throwaway/1")["text"] == "evidence"


def test_a_follower_may_not_write_the_applications_settings(lab: Lab) -> None:
    command = "relation-set -r 0 --app a=b"
    follower = lab.juju("exec", "--unit", "throwaway/1", "--", command)
    leader = lab.juju("exec", "--unit", "throwaway/leader", "--", command)

    assert follower.returncode == 1
    assert follower.stdout == "ERROR cannot write relation settings: permission denied\n"
    assert leader.returncode == 0


def test_large_evidence_passes_through_the_relation(lab: Lab, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(json.dumps({"text": "e" * 1_000_000}))

    done = lab.juju("exec", "--unit", "throwaway/1", "--", f"relation-set -r 0 --file {file}")
    command = "relation-get -r 0 text throwaway/1 | wc -c"
    read = lab.json("exec", "--unit", "throwaway/0", "--", command)["throwaway/0"]

    assert done.returncode == 0
    assert read["results"]["stdout"].strip() == "1000001"  # with its line's end


@pytest.mark.parametrize(("size", "status"), [(131_071 - len("data="), "completed"), (131_072, "failed")])
def test_a_result_is_as_large_as_an_argument(lab: Lab, size: int, status: str) -> None:
    task = lab.run("throwaway/0", "results", "key=data", f"size={size}")

    assert task["status"] == status
    assert ("data" in task["results"]) == (status == "completed")


@pytest.mark.parametrize(
    ("key", "said"),
    [("data_x", 'key "data_x" must start and end with lowercase'), ("return-code", "reserved")],
)
def test_a_results_key_follows_the_rules(lab: Lab, key: str, said: str) -> None:
    done = lab.juju("exec", "--unit", "throwaway/0", "--", "action-set a=b")
    task = lab.run("throwaway/0", "results", f"key={key}")

    assert "not running an action" in done.stdout
    assert task["status"] == "failed"
    assert said in task["results"]["stderr"]
    assert key == "return-code" or key not in task["results"]


def test_a_hook_that_fails_stops_the_command_and_is_tried_again(lab: Lab, tmp_path: pathlib.Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("update-status")
    lab.write(
        units={
            "throwaway/0": {"principal": "octavia/2", "leader": True, "env": {"BROKEN": str(broken)}},
            "throwaway/1": {"principal": "nova-compute/0"},
        }
    )

    failed = lab.juju("fire", "update-status", "throwaway/0")
    broken.unlink()
    passed = lab.juju("fire", "update-status", "throwaway/0")

    assert failed.returncode == 1
    assert "told to break" in failed.stderr
    assert passed.returncode == 0


def test_a_deployment_that_fails_says_so_and_is_resumed(lab: Lab, tmp_path: pathlib.Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("config-changed")
    unit = {"env": {"BROKEN": str(broken)}}
    lab.write(units={"throwaway/0": unit}, state=str(tmp_path / "new"), relations={})

    failed = lab.juju("status")
    broken.unlink()
    passed = lab.juju("status")
    log = (tmp_path / "new" / "debug.log").read_text()

    assert failed.returncode == 1
    assert failed.stderr.startswith('ERROR hook failed: "config-changed" on unit throwaway/0')
    assert passed.returncode == 0
    assert "ready" in passed.stdout
    assert log.count('hook "config-changed" failed: exit status 1') == 1


def test_configuration_reaches_the_charm(lab: Lab) -> None:
    before = lab.run("throwaway/0", "read")["results"]["debug"]
    done = lab.juju("config", "throwaway", "debug=true")

    assert before == "false"
    assert done.returncode == 0
    assert lab.run("throwaway/0", "read")["results"]["debug"] == "true"


def test_new_remote_data_in_the_model_file_arrives(lab: Lab) -> None:
    before = lab.run("throwaway/0", "read")["results"]["keystone"]
    units = {"keystone/0": {"auth_host": "10.0.0.2"}}
    lab.write(relations={"keystone-credentials": {"remote-app": "keystone", "units": units}})

    after = lab.run("throwaway/0", "read")["results"]["keystone"]

    assert json.loads(before) == {"auth_host": "10.0.0.1"}
    assert json.loads(after) == {"auth_host": "10.0.0.2"}


def test_secrets_have_revisions_and_labels(ops_lab: Lab) -> None:
    task = ops_lab.run("throwaway/0", "secret")

    assert task["status"] == "completed", task
    assert task["results"]["same"] == "true"
    assert task["results"]["revision"] == "2"
    assert task["results"]["id"].startswith("secret:")
