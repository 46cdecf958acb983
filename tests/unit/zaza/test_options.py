import pathlib
from typing import Any

import pytest

from ovs_pathfinder import errors
from ovs_pathfinder.zaza import options, untyped


def test_without_any_every_amphora_is_traced_to_from_every_unit_of_octavia():
    found = options.parse({})

    assert (found.sources, found.destinations) == ((), ())
    assert (found.settings.protocol, found.settings.count) == ("icmp", 5)
    assert found.folder == pathlib.Path("ovs-pathfinder")


def test_one_name_is_a_list_of_one():
    assert options.parse({"sources": "octavia/0"}).sources == ("octavia/0",)


def test_environment_chooses_the_log_directory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OVS_PATHFINDER_LOG_DIR", "/tmp/logs")  # noqa: S108

    assert options.parse({"log-dir": "elsewhere"}).folder == pathlib.Path("/tmp/logs")  # noqa: S108


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": 0}, "tests_options: ovs-pathfinder.count cannot be '0': input should be greater than or equal to 1"),
        ({"cout": 5}, "tests_options: ovs-pathfinder.cout cannot be '5': extra inputs are not permitted"),
        ({"protocol": "sctp"}, "tests_options: ovs-pathfinder.protocol cannot be 'sctp': "),
        ({"protocol": "tcp"}, "tests_options: ovs-pathfinder: protocol tcp needs a port"),
        ({"port": 22}, "tests_options: ovs-pathfinder: port goes with protocol tcp or udp"),
        ({"principals": []}, "tests_options: ovs-pathfinder.principals cannot be '[]'"),
        ({"sources": [""]}, "tests_options: ovs-pathfinder.sources.0 cannot be ''"),
        ("count=5", "tests_options: ovs-pathfinder: "),
    ],
)
def test_bad_options_are_told_in_a_sentence(given: Any, said: str):
    with pytest.raises(errors.PathfinderError) as failure:
        options.parse(given)

    assert str(failure.value).startswith(said)
    assert "\n" not in str(failure.value)


def test_options_are_those_of_the_suite(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    tests_yaml = tmp_path / "tests" / "tests.yaml"
    tests_yaml.parent.mkdir()
    tests_yaml.write_text("tests_options: {ovs-pathfinder: {count: 7, destinations: [10.5.0.9]}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(untyped.CONFIGURATION, "_charm_config", {})
    monkeypatch.setattr(untyped.OPTIONS, "_options", {})

    found = options.read()
    untyped.OPTIONS.set_option("ovs-pathfinder.count", "9", override=True)
    untyped.CONFIGURATION._charm_config.clear()

    assert (found.count, found.destinations) == (7, ("10.5.0.9",))
    assert options.read().count == 9, "what the command line says goes before"
    assert options.read().destinations == ("10.5.0.9",)
