"""Small charms that do what the tests of the stand-in ask for.

One is written with the real ops. The other calls the hook tools itself: it starts ten times as fast, for
tests of the stand-in's own doings.
"""

import pathlib
import stat
import sys
from typing import Any

import yaml

METADATA: dict[str, Any] = {
    "name": "throwaway",
    "summary": "Does what it is told",
    "description": "Does what it is told",
    "subordinate": True,
    "requires": {
        "nova-compute": {"interface": "juju-info", "scope": "container"},
        "octavia": {"interface": "juju-info", "scope": "container"},
        "keystone-credentials": {"interface": "keystone-credentials"},
    },
    "peers": {"throwaway-peers": {"interface": "throwaway-peers"}},
    "config": {"options": {"debug": {"type": "boolean", "default": False}}},
}

ACTIONS: dict[str, Any] = {
    "echo": {
        "description": "Give the parameters back",
        "params": {
            "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
            "text": {"type": "string"},
            "tree": {"type": "object"},
        },
        "required": ["text"],
        "additionalProperties": False,
    },
    "publish": {"params": {"text": {"type": "string"}, "then": {"type": "string", "default": "return"}}},
    "read": {"params": {"unit": {"type": "string", "default": ""}}},
    "wait-for": {"params": {"path": {"type": "string"}, "say": {"type": "string", "default": ""}}},
    "results": {"params": {"key": {"type": "string"}, "size": {"type": "integer", "default": 1}}},
    "secret": {"params": {}},
    "environment": {"params": {}},
}

CHARM = """
import json, os, pathlib, signal, sys, time
import ops


class Charm(ops.CharmBase):
    stored = ops.StoredState()

    def __init__(self, framework):
        super().__init__(framework)
        self.stored.set_default(seen=[])
        for name in ("install", "start", "config_changed", "leader_elected", "update_status"):
            framework.observe(getattr(self.on, name), self._seen)
        peers = self.on["throwaway-peers"]
        keystone = self.on["keystone-credentials"]
        for event in (peers.relation_created, peers.relation_joined, peers.relation_changed,
                      keystone.relation_joined, keystone.relation_changed):
            framework.observe(event, self._relation)
        for name in ("echo", "publish", "read", "wait_for", "results", "secret", "environment"):
            framework.observe(getattr(self.on, name + "_action"), getattr(self, "_" + name))
        framework.observe(self.on.collect_unit_status, self._status)

    @property
    def peers(self):
        return self.model.get_relation("throwaway-peers")

    def _status(self, event):
        event.add_status(ops.ActiveStatus("ready"))

    def _seen(self, event):
        name = os.environ["JUJU_HOOK_NAME"]
        broken = pathlib.Path(os.environ.get("BROKEN", "/nonexistent"))
        if broken.exists() and broken.read_text() == name:
            raise RuntimeError("told to break")
        self.stored.seen.append(name)

    def _relation(self, event):
        remote = os.environ["JUJU_REMOTE_UNIT"] or os.environ["JUJU_REMOTE_APP"]
        self.stored.seen.append(os.environ["JUJU_HOOK_NAME"] + " " + remote)
        if event.relation.name == "throwaway-peers":
            self.peers.data[self.unit]["principal"] = os.environ["JUJU_PRINCIPAL_UNIT"]
        else:
            event.relation.data[self.unit]["username"] = "throwaway"

    def _echo(self, event):
        event.log("echoing")
        event.log("still echoing")
        print("on stdout")
        event.set_results({"params": json.dumps(event.params)})

    def _publish(self, event):
        self.peers.data[self.unit]["text"] = event.params["text"]
        if self.unit.is_leader():
            self.peers.data[self.app]["plan"] = event.params["text"]
        event.set_results({"published": event.params["text"]})
        if event.params["then"] == "fail":
            event.fail("told to fail")
        elif event.params["then"] == "crash":
            raise RuntimeError("told to crash")
        elif event.params["then"] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)

    def _read(self, event):
        found = {unit.name: dict(self.peers.data[unit]) for unit in [*self.peers.units, self.unit]}
        keystone = self.model.get_relation("keystone-credentials")
        event.set_results({
            "units": json.dumps(found),
            "plan": self.peers.data[self.app].get("plan", ""),
            "seen": json.dumps(list(self.stored.seen)),
            "keystone": json.dumps({u.name: dict(keystone.data[u]) for u in keystone.units}),
            "principal": os.environ["JUJU_PRINCIPAL_UNIT"],
            "leader": str(self.unit.is_leader()).lower(),
            "debug": str(self.config["debug"]).lower(),
        })

    def _wait_for(self, event):
        mine = pathlib.Path(event.params["path"] + "." + self.unit.name.replace("/", "-"))
        mine.write_text(str(os.getpid()))
        event.log("waiting")
        self.peers.data[self.unit]["waited"] = "yes"
        event.set_results({"began": "yes"})
        other = pathlib.Path(event.params["say"] or event.params["path"])
        end = time.monotonic() + 20
        while not other.exists() and time.monotonic() < end:
            time.sleep(0.02)
        event.set_results({"met": str(other.exists()).lower()})

    def _results(self, event):
        event.set_results({event.params["key"]: "x" * event.params["size"]})

    def _secret(self, event):
        secret = self.app.add_secret({"password": "hunter2"}, label="mine")
        again = self.model.get_secret(label="mine")
        secret.set_content({"password": "hunter3"})
        now = again.get_content(refresh=True)
        event.set_results({"same": str(now == {"password": "hunter3"}).lower(),
                           "id": secret.id or "", "revision": str(secret.get_info().revision)})

    def _environment(self, event):
        network = self.model.get_binding(self.peers).network
        event.set_results({"env": json.dumps(dict(os.environ)), "cwd": os.getcwd(),
                           "address": str(network.bind_address), "planned": str(self.app.planned_units())})


ops.main(Charm)
"""


LIGHT = r"""
import json, os, signal, subprocess, sys, time

def tool(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout

def get(name):
    return json.loads(tool("action-get", "--format=json", name))

def databag(relation, entity, *options):
    return json.loads(tool("relation-get", "--format=json", "-r", relation, *options, "-", entity))

kind, name = os.environ["JUJU_DISPATCH_PATH"].split("/")
unit = os.environ["JUJU_UNIT_NAME"]
if kind == "hooks":
    broken = os.environ.get("BROKEN", "/nonexistent")
    if os.path.exists(broken) and open(broken).read() == name:
        raise RuntimeError("told to break")
    if os.environ.get("JUJU_RELATION") == "throwaway-peers":
        tool("relation-set", "principal=" + os.environ["JUJU_PRINCIPAL_UNIT"])
    tool("status-set", "active", "ready")
    tool("juju-log", "ready")
elif name == "echo":
    tool("action-log", "echoing")
    tool("action-log", "still echoing")
    print("on stdout")
    tool("action-set", "params=" + tool("action-get", "--format=json"))
elif name == "publish":
    tool("relation-set", "-r", "throwaway-peers:0", "text=" + get("text"))
    if tool("is-leader").strip() == "True":
        tool("relation-set", "-r", "0", "--app", "plan=" + get("text"))
    tool("action-set", "published=" + get("text"))
    if get("then") == "fail":
        tool("action-fail", "told to fail")
    elif get("then") == "crash":
        sys.exit(1)
    elif get("then") == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
elif name == "read":
    members = json.loads(tool("relation-list", "--format=json", "-r", "0"))
    keystone = databag("keystone-credentials:3", "keystone/0")
    units = {member: databag("0", member) for member in [*members, unit]}
    plan = databag("0", "throwaway", "--app").get("plan", "")
    tool("action-set", "units=" + json.dumps(units), "keystone=" + json.dumps(keystone), "plan=" + plan,
         "leader=" + tool("is-leader", "--format=json").strip(),
         "debug=" + tool("config-get", "--format=json", "debug").strip())
elif name == "wait-for":
    path = get("path")
    with open(path + "." + unit.replace("/", "-") + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(file.name, file.name[:-4])
    tool("relation-set", "-r", "0", "waited=yes")
    other = get("say") or path
    end = time.monotonic() + 20
    while not os.path.exists(other) and time.monotonic() < end:
        time.sleep(0.02)
    tool("action-set", "met=" + str(time.monotonic() < end).lower())
elif name == "results":
    tool("action-set", get("key") + "=" + "x" * get("size"))
"""


def write(path: pathlib.Path, with_ops: bool) -> pathlib.Path:
    """Write a charm, and return its directory."""
    (path / "src").mkdir(parents=True)
    (path / "charmcraft.yaml").write_text(yaml.safe_dump(METADATA))
    (path / "actions.yaml").write_text(yaml.safe_dump(ACTIONS))
    (path / "src" / "charm.py").write_text(CHARM if with_ops else LIGHT)
    system = pathlib.Path("/usr/bin/python3")
    light = f"{system if system.exists() else sys.executable} -IS"
    dispatch = path / "dispatch"
    interpreter = sys.executable if with_ops else light
    dispatch.write_text(f'#!/bin/sh\nexec {interpreter} "$JUJU_CHARM_DIR/src/charm.py"\n')
    dispatch.chmod(dispatch.stat().st_mode | stat.S_IXUSR)
    return path
