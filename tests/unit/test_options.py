"""No parameter, and no name from a database, reaches a tool where it could be read as an option."""

import functools
import pathlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pydantic
import pytest
import yaml
from ops import testing

import charm
from ovs_pathfinder import path, process
from ovs_pathfinder.inspection import flows, snapshots
from tests.unit import plans
from tests.unit.inspection import switched
from tests.unit.vswitch import private

ROOT = pathlib.Path(__file__).parents[2]
DESCRIPTION: dict[str, Any] = yaml.safe_load((ROOT / "charmcraft.yaml").read_text())
CONFIG = DESCRIPTION.pop("config")
ACTIONS: dict[str, Any] = yaml.safe_load((ROOT / "actions.yaml").read_text())
PLAN = plans.of(6, "icmp")
_RUN = {"run": PLAN.run}
_PORT = "tap00000002-aa"
GIVEN: dict[str, list[dict[str, Any]]] = {
    "plan-path": [{"source": "octavia/2", "destination": "fc00::5"}],
    "probe-path": [{**_RUN, "wait": 0, "count": 1}],
    "try-flows": [{**_RUN, "wait": 0, "count": 1}],
    "try-port-security": [{**_RUN, "settle": 0, "count": 1}],
    "inject-flows": [{"bridge": "br-int", "flows": "table=0,priority=9,arp,actions=drop", "allow-broad": True}],
    "path-report": [_RUN],
    "find-port": [{"what": _PORT}],
    "ping": [{"destination": "127.0.0.1", "count": 1}, {**_RUN, "count": 1}],
    "check-port": [{"destination": "127.0.0.1", "port": 9, "count": 1}, {**_RUN, "port": 9, "count": 1}],
    "capture": [{"port": _PORT, "duration": 1, "packets": 1}, {"device": "lo", "duration": 1, "packets": 1}],
    "trace-packet": [
        {"megaflow": "icmp6"},
        {"file": "captures/none.pcap"},
        {"port": _PORT, "destination": "fc00::5", "destination-mac": "fa:16:3e:0d:9a:cf", "source": "fc00::6"},
    ],
    "explain-security": [{"port": _PORT, "remote": "fc00::5"}],
    "dump-flows": [{"bridge": "br-int"}],
}
"""What brings an action as far as its tools; those that are not named need nothing."""
_VALUES = ("-i", "-I", "-w")
"""Options that take the next word for their value, whatever it is."""


def hostile(canary: pathlib.Path) -> tuple[str, ...]:
    return (f"--log-file={canary}", f"-w{canary}", "-oProxyCommand=", "--help")


def parameters() -> Iterator[tuple[str, str]]:
    for action, about in ACTIONS.items():
        declared: dict[str, dict[str, Any]] = about.get("params") or {}
        for name, one in declared.items():
            if one["type"] == "string":
                yield action, name


def is_read_as_option(words: Sequence[str], text: str) -> bool:
    """Whether a tool reads an option in a word that holds a text, by the rules of getopt(3) or its own."""
    tool, *arguments = words
    if tool in ("ovs-ofctl", "tcpdump", "ping", "dpkg-query", "systemctl"):
        arguments = arguments[: arguments.index("--")] if "--" in arguments else arguments
    elif tool == "ip":
        first = next((at for at, word in enumerate(arguments) if not word.startswith("-")), 0)
        arguments = arguments[:first]
    return any(
        word.startswith("-") and text in word and before not in _VALUES
        for before, word in zip(("", *arguments), arguments, strict=False)
    )


class Recorder:
    """Sees what is started, and starts it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[list[str]] = []
        for name in ("run", "Popen"):
            monkeypatch.setattr(process.subprocess, name, functools.partial(self._start, getattr(subprocess, name)))

    def _start(self, start: Callable[..., Any], argv: Sequence[str], **more: Any) -> Any:
        words = list(argv)
        if "--pdeathsig" in words:
            words = words[words.index("--") + 1 :]
            self.seen.append([pathlib.Path(words[0]).name, *words[1:]])
        return start(argv, **more)

    def with_text(self, text: str) -> list[list[str]]:
        return [words for words in self.seen if any(text in word for word in words)]


@pytest.fixture(scope="module")
def switch() -> Iterator[pathlib.Path]:
    if reason := private.missing():
        pytest.skip(reason)
    with switched.running() as place:
        yield place


@pytest.fixture(scope="module")
def juju() -> testing.Context[charm.PathfinderCharm]:
    return testing.Context(charm.PathfinderCharm, meta=DESCRIPTION, actions=ACTIONS, config=CONFIG)


def ask(juju: testing.Context[charm.PathfinderCharm], action: str, given: dict[str, Any]) -> str:
    """Run an action, and return why it failed; empty where it did not."""
    peers = testing.PeerRelation("paths", local_app_data={f"plan-{PLAN.run}": PLAN.model_dump_json()})
    try:
        juju.run(juju.on.action(action, params=given), testing.State(leader=True, relations=[peers]))
    except testing.ActionFailed as failure:
        return failure.message
    return ""


@pytest.mark.parametrize(("action", "parameter"), [*parameters()])
def test_no_parameter_is_read_as_an_option(
    switch: pathlib.Path,
    juju: testing.Context[charm.PathfinderCharm],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    action: str,
    parameter: str,
) -> None:
    canary = tmp_path / "canary"
    monkeypatch.setenv("OVS_PATHFINDER_STATE", str(tmp_path / "state"))
    recorder = Recorder(monkeypatch)
    usual, *others = GIVEN.get(action, [{}])
    first, *more = hostile(canary)
    for given, value in [(usual, first), *((usual, one) for one in more), *((one, first) for one in others)]:
        said = ask(juju, action, {**given, parameter: value})

        assert "error of its own" not in said
        assert "\n" not in said
        for words in recorder.with_text(value):
            assert not is_read_as_option(words, value), words
        assert not canary.exists()
        recorder.seen.clear()


@pytest.mark.parametrize("name", ["--db=tcp:x", "-x", "--help"])
def test_names_of_a_database_are_no_options(
    switch: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    bridge = name.replace(":", "")
    private.configure(f"add-br {bridge} -- set Bridge {bridge} datapath_type=dummy fail_mode=secure")
    recorder = Recorder(monkeypatch)
    try:
        found = snapshots.run(snapshots.Query(), switched.context_of(tmp_path))
        dumped = flows.run(flows.Query(bridge=bridge), switched.context_of(tmp_path))
    finally:
        private.configure(f"del-br {bridge}")

    assert bridge in [one.name for one in found.bridges]
    assert found.notes == ()
    assert dumped.total == 0
    assert recorder.with_text(bridge)
    assert not any(is_read_as_option(words, bridge) for words in recorder.seen)


@pytest.mark.parametrize("bridge", ["tcp:192.0.2.1:6653", "unix:/run/x", "/run/x"])
def test_a_bridge_is_no_address_to_connect_to(
    switch: pathlib.Path, juju: testing.Context[charm.PathfinderCharm], monkeypatch: pytest.MonkeyPatch, bridge: str
) -> None:
    recorder = Recorder(monkeypatch)

    said = ask(juju, "dump-flows", {"bridge": bridge})

    assert "it is no name of a bridge" in said
    assert recorder.with_text(bridge) == []


@pytest.mark.parametrize("text", ["--help", "fe80::1%--help", "fe80::1%x\nlink delete dev lo"])
def test_an_address_of_the_cloud_is_nothing_else(text: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(path.Address).validate_python(text)
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(path.Mac).validate_python(text)


def test_the_check_sees_an_option_where_there_is_one() -> None:
    assert is_read_as_option(["ovs-ofctl", "dump-flows", "br-int", "--log-file=x"], "--log-file=x")
    assert not is_read_as_option(["ovs-ofctl", "dump-flows", "--", "br-int", "--log-file=x"], "--log-file=x")
    assert is_read_as_option(["ovs-appctl", "ofproto/trace", "br-int", "--help"], "--help")
    assert not is_read_as_option(["tcpdump", "-i", "--help"], "--help")
