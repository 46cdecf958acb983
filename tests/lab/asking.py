"""The inspecting actions on a host of a lab, without Juju.

`python -m tests.lab.asking MODULE UNIT` reads a query and a plan as JSON on stdin, tells stages on stderr, and prints
the answer and its page as JSON; it is what runs in a host's namespace.
"""

import contextlib
import dataclasses
import importlib
import json
import subprocess
import sys
from collections.abc import Generator
from typing import Any

import pydantic

from ovs_pathfinder import cloud, errors, path, words
from ovs_pathfinder.inspection import context
from ovs_pathfinder.report import view
from ovs_pathfinder.temporary import journal
from tests.lab import hosts, probing


@dataclasses.dataclass
class Asked:
    """What came back."""

    error: str = ""
    answer: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    page: str = ""

    @property
    def summary(self) -> str:
        """The one sentence."""
        return self.answer["summary"]


class Asking:
    """An action that runs on a host."""

    def __init__(
        self,
        lab: hosts.Lab,
        key: str,
        module: str,
        plan: path.Plan | None = None,
        *,
        cloud: bool = False,
        **query: Any,
    ) -> None:
        host = lab.hosts[key]
        environment = [f"{name}={value}" for name, value in host.env.items()]
        unit = probing.UNITS[key][0]
        command = [*host.enter, "env", *environment, sys.executable, "-m", "tests.lab.asking", module, unit]
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=hosts.CHECKOUT, env={"PYTHONPATH": "lib:src:.", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip
        assert self.popen.stdin is not None
        given: dict[str, Any] = {"query": {name.replace("_", "-"): value for name, value in query.items()}}
        if cloud:
            given["cloud"] = lab.cloud_url
            given["units"] = [one.model_dump(mode="json") for one in _units(lab)]
        if plan is not None:
            given["plan"] = plan.model_dump(mode="json")
            given["query"].setdefault("run", plan.run)
        self.popen.stdin.write(json.dumps(given))
        self.popen.stdin.close()
        self.popen.stdin = None

    def wait_for(self, start: str) -> str:
        """Return the first stage that is told with such a beginning."""
        assert self.popen.stderr is not None
        heard: list[str] = []
        for line in self.popen.stderr:
            heard.append(line)
            if line.startswith(start):
                return line
        raise AssertionError(f"no stage {start!r}: {''.join(heard)}")

    def result(self, timeout: float = 60) -> Asked:
        """Wait for the end."""
        out, err = self.popen.communicate(timeout=timeout)
        if self.popen.returncode != 0:
            raise AssertionError(f"the action failed: {err}")
        return Asked(**json.loads(out))


def ask(
    lab: hosts.Lab, key: str, module: str, plan: path.Plan | None = None, *, cloud: bool = False, **query: Any
) -> Asked:
    """Run an action on a host and return what came back.

    Args:
        lab: Where.
        key: The host.
        module: The action's module.
        plan: Of the run that the query names, if any.
        cloud: Whether there are credentials for the lab's cloud, and a unit on each host.
        query: The action's parameters.
    """
    return Asking(lab, key, module, plan, cloud=cloud, **query).result()


def _units(lab: hosts.Lab) -> list[path.Unit]:
    """Return what the units on the lab's hosts tell of themselves."""
    return [
        path.Unit(
            name=probing.UNITS[key][0],
            principal=probing.UNITS[key][1],
            hostnames=(host.site.hostname,),
            tunnel_address=host.site.tunnel_address,
            management_address=host.site.management_address,
        )
        for key, host in lab.hosts.items()
    ]


def _context(unit: str, plan: path.Plan | None, given: dict[str, Any]) -> context.Context:
    book = journal.Journal()

    def plan_of(run: str) -> path.Plan:
        if plan is None or plan.run != run:
            raise errors.PathfinderError(f"there is no plan of run {run}")
        return plan

    @contextlib.contextmanager
    def connect() -> Generator[cloud.Cloud]:
        if "cloud" not in given:
            raise errors.PathfinderError("there are no credentials")
        with cloud.connect(_credentials(given["cloud"])) as openstack:
            yield openstack

    return context.Context(
        unit=unit,
        units=lambda: [path.Unit.model_validate_json(json.dumps(one)) for one in given.get("units", [])],
        connect=connect,
        plan=plan_of,
        book=book,
        folder=book.directory,
        longest=300,
        log=lambda text: print(text, file=sys.stderr, flush=True),
        command=lambda unit, action, *params: words.pasted("juju", "run", unit, action, *params),
    )


def _credentials(url: str) -> cloud.Credentials:
    return cloud.Credentials(
        auth_url=f"{url}/v3",
        username="ovs-pathfinder",
        password=pydantic.SecretStr("secret"),
        project="services",
        user_domain="default",
        project_domain="default",
    )


def main() -> None:
    """Ask one question."""
    module = importlib.import_module(f"ovs_pathfinder.inspection.{sys.argv[1]}")
    given = json.load(sys.stdin)
    plan = path.Plan.model_validate_json(json.dumps(given["plan"])) if "plan" in given else None
    try:
        answer = module.run(module.Query.model_validate(given["query"]), _context(sys.argv[2], plan, given))
    except errors.PathfinderError as error:
        print(json.dumps({"error": str(error)}))
        return
    shown = view.view(answer, "json")
    print(json.dumps({"answer": json.loads(shown["answer"]), "page": shown["report"]}))


if __name__ == "__main__":
    main()
