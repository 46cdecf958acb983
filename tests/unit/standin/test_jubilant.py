import json
import pathlib

import jubilant
import pytest

from . import conftest

Lab = conftest.Lab


@pytest.fixture
def juju(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> jubilant.Juju:
    monkeypatch.setenv("LAB_JUJU_MODEL", str(lab.file))
    return jubilant.Juju(model="lab", cli_binary=conftest.JUJU)


def test_run_returns_the_task(juju: jubilant.Juju) -> None:
    task = juju.run("throwaway/leader", "echo", {"text": "hi", "tree": {"a": [1, 2]}})

    assert task.success
    assert json.loads(task.results["params"])["tree"] == {"a": [1, 2]}
    assert task.stdout == "on stdout\n"


@pytest.mark.parametrize("then", ["fail", "crash"])
def test_a_failure_is_a_task_error(juju: jubilant.Juju, then: str) -> None:
    with pytest.raises(jubilant.TaskError) as caught:
        juju.run("throwaway/0", "publish", {"text": "x", "then": then})

    assert caught.value.task.status == "failed"


def test_what_cannot_run_is_a_value_error(juju: jubilant.Juju) -> None:
    with pytest.raises(ValueError, match="not defined"):
        juju.run("throwaway/0", "missing")
    with pytest.raises(ValueError, match="throwaway/7"):
        juju.run("throwaway/7", "echo", {"text": "x"})


def test_a_slow_action_is_a_timeout(juju: jubilant.Juju, tmp_path: pathlib.Path) -> None:
    with pytest.raises(TimeoutError):
        juju.run("throwaway/0", "wait-for", {"path": str(tmp_path / "gate")}, wait=0.2)


def test_exec_runs_in_the_hook_context(juju: jubilant.Juju) -> None:
    task = juju.exec("echo $OVS_RUNDIR; relation-ids throwaway-peers", unit="throwaway/1")

    assert task.stdout == "/lab/1\n- throwaway-peers:0\n"
    with pytest.raises(jubilant.TaskError) as caught:
        juju.exec("exit 3", unit="throwaway/1")
    assert caught.value.task.return_code == 3


def test_status_shows_subordinates_under_their_principals(juju: jubilant.Juju) -> None:
    status = juju.wait(jubilant.all_active, delay=0, successes=1, timeout=20)

    assert status.apps["throwaway"].subordinate_to == ["nova-compute", "octavia"]
    assert set(status.get_units("throwaway")) == {"throwaway/0", "throwaway/1"}
    assert status.apps["octavia"].units["octavia/2"].subordinates["throwaway/0"].leader
    assert status.get_units("throwaway")["throwaway/1"].workload_status.message == "ready"
    assert status.apps["throwaway"].relations["keystone-credentials"][0].related_app == "keystone"


def test_scp_copies_both_ways(juju: jubilant.Juju, tmp_path: pathlib.Path) -> None:
    here, there, back = tmp_path / "here", tmp_path / "there", tmp_path / "back"
    here.write_text("a capture")

    juju.scp(here, f"throwaway/1:{there}")
    juju.scp(f"throwaway/1:{there}", back)

    assert there.read_text() == back.read_text() == "a capture"


def test_the_rest_that_clients_ask_for(juju: jubilant.Juju) -> None:
    assert juju.version().tuple == (3, 6, 9)
    assert juju.show_model().short_name == "lab"
    assert juju.config("throwaway")["debug"] is False
    assert juju.ssh("throwaway/0", "echo", "there").strip() == "there"
    assert "unit-throwaway-0" in juju.debug_log()
    assert juju.show_unit("throwaway/0").leader
