import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Generator
from typing import Any, NoReturn

import jsonschema
import pytest
import yaml

from tests.lab.standin import command

from . import throwaway

JUJU = pathlib.Path(__file__).resolve().parents[2] / "lab" / "juju"
MODEL: dict[str, Any] = {
    "application": "throwaway",
    "units": {
        "throwaway/0": {"principal": "octavia/2", "leader": True, "address": "172.20.0.139"},
        "throwaway/1": {
            "principal": "nova-compute/0",
            "enter": ["/usr/bin/env"],
            "env": {"OVS_RUNDIR": "/lab/1"},
        },
    },
    "relations": {
        "keystone-credentials": {"remote-app": "keystone", "units": {"keystone/0": {"auth_host": "10.0.0.1"}}}
    },
}
LIMIT = 20.0
PRELOADED = (jsonschema,)
"""What the commands import when they need it: done here once, rather than in every fork."""


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, and return what it gave."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("the condition did not come true")


@dataclasses.dataclass
class Lab:
    """A model of the throwaway charm, and the command that drives it."""

    path: pathlib.Path
    charm: pathlib.Path

    @property
    def file(self) -> pathlib.Path:
        return self.path / "model.yaml"

    @property
    def state(self) -> pathlib.Path:
        return self.path / "state"

    def write(self, **changes: Any) -> None:
        content = {**MODEL, "charm": str(self.charm), "state": str(self.state), **changes}
        self.file.write_text(yaml.safe_dump(content))

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "LAB_JUJU_MODEL": str(self.file)}

    def juju(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in a fork of this process, which saves the time that starting Python takes."""
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as errors_,
        ):
            given.write(stdin.encode())
            given.seek(0)
            child = os.fork()
            if not child:
                self._become_juju([given.fileno(), output.fileno(), errors_.fileno()], list(arguments))
            _, status = os.waitpid(child, 0)
            texts: list[str] = []
            for file in (output, errors_):
                file.seek(0)
                texts.append(file.read().decode())
        return subprocess.CompletedProcess(arguments, os.waitstatus_to_exitcode(status), *texts)

    def _become_juju(self, streams: list[int], arguments: list[str]) -> NoReturn:
        try:
            for target, source in enumerate(streams):
                os.dup2(source, target)
            sys.stdin = os.fdopen(0, "r", closefd=False)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
            os.environ["LAB_JUJU_MODEL"] = str(self.file)
            code = command.main(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(99)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(JUJU), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def json(self, *arguments: str) -> Any:
        command_name, *rest = arguments
        done = self.juju(command_name, "--format", "json", *rest)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def run(self, unit: str, action: str, *arguments: str) -> dict[str, Any]:
        """Run an action on one unit, and return its task."""
        return self.json("run", unit, action, *arguments)[unit]

    def sees(self, reader: str, member: str) -> dict[str, str]:
        """Return the peer data of a member as an action on `reader` sees it."""
        return json.loads(self.run(reader, "read")["results"]["units"])[member]


def _deploy(path: pathlib.Path, with_ops: bool) -> Lab:
    lab = Lab(path, throwaway.write(path / "charm", with_ops))
    lab.write()
    done = lab.juju("status")
    assert done.returncode == 0, done.stderr
    return lab


def _copy(deployed: Lab, path: pathlib.Path) -> Generator[Lab]:
    shutil.copytree(deployed.state, path / "state", symlinks=True)
    lab = Lab(path, deployed.charm)
    lab.write()
    yield lab
    (path / "gate").touch()  # whoever still waits may end


@pytest.fixture(scope="session")
def _deployed(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return _deploy(tmp_path_factory.mktemp("light"), with_ops=False)


@pytest.fixture(scope="session")
def _deployed_ops(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return _deploy(tmp_path_factory.mktemp("ops"), with_ops=True)


@pytest.fixture
def lab(_deployed: Lab, tmp_path: pathlib.Path) -> Generator[Lab]:
    """Return a model of the light charm at rest, of the test's own."""
    yield from _copy(_deployed, tmp_path)


@pytest.fixture
def ops_lab(_deployed_ops: Lab, tmp_path: pathlib.Path) -> Generator[Lab]:
    """Return a model of the charm written with ops, at rest, of the test's own."""
    yield from _copy(_deployed_ops, tmp_path)
