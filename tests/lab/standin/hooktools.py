"""The hook tools: how they are called, and those that have no module of their own."""

import dataclasses
import ipaddress
import json
import pathlib
from collections.abc import Callable
from typing import Any

import yaml

from . import controller, hookcontext

Context = hookcontext.Context
RefusedError = hookcontext.RefusedError
STATUSES = {"active", "blocked", "maintenance", "waiting"}


@dataclasses.dataclass
class Call:
    """One call of a hook tool."""

    name: str
    arguments: list[str]
    content: str
    directory: pathlib.Path
    options: dict[str, str] = dataclasses.field(default_factory=dict[str, str])

    def parse(self, options: dict[str, bool]) -> None:
        """Move options out of the arguments, wherever they stand; `--` ends them.

        Args:
            options: Every option by name, and whether it takes a value.

        """
        positional: list[str] = []
        rest = iter(self.arguments)
        for argument in rest:
            if argument == "--":
                positional.extend(rest)
            elif not argument.startswith("-") or argument == "-":
                positional.append(argument)
            else:
                name, _, text = argument.partition("=")
                if name not in options:
                    raise RefusedError(f"option provided but not defined: {name}", 2)
                if options[name] and "=" not in argument:
                    text = next(rest, "")
                self.options[name] = text or ("" if options[name] else "true")
        self.arguments = positional

    def flag(self, name: str) -> bool:
        """Read a boolean option."""
        return self.options.get(name, "false").lower() in {"true", "t", "1"}

    def only(self) -> str:
        """Return the one argument."""
        if not self.arguments:
            raise RefusedError("no argument given", 2)
        return self.arguments[0]

    def pairs(self) -> dict[str, str]:
        """Return `key=value` arguments, over those of --file."""
        found: dict[str, str] = {}
        if "--file" in self.options:
            source = self.options["--file"]
            text = self.content if source == "-" else (self.directory / source).read_text()
            try:
                loaded: dict[str, Any] = json.loads(text)  # what ops sends; YAML would be slow for large evidence
            except ValueError:
                loaded = yaml.safe_load(text) or {}
            found = {str(key): "" if value is None else str(value) for key, value in loaded.items()}
        for argument in self.arguments:
            key, equals, text = argument.partition("=")
            if not equals:
                raise RefusedError(f'expected "key=value", got "{argument}"', 2)
            found[key] = text
        return found


Tool = Callable[[Context, Call], Any]
TOOLS: dict[str, tuple[Tool, dict[str, bool]]] = {}
_FORMAT = {"--format": True}


def tool(name: str, **options: bool) -> Callable[[Tool], Tool]:
    """Register a tool; the keywords are its options beside --format, and whether each takes a value."""
    known = {("-" if len(key) == 1 else "--") + key.replace("_", "-"): takes for key, takes in options.items()}

    def register(function: Tool) -> Tool:
        TOOLS[name] = (function, {**_FORMAT, **known})
        return function

    return register


def run(context: Context, call: Call) -> tuple[int, str, str]:
    """Run a tool; return its exit code and its two outputs."""
    function, options = TOOLS[call.name]
    try:
        call.parse(options)
        answer = function(context, call)
    except RefusedError as error:
        return error.code, "", f"ERROR {error}\n"
    except OSError as error:
        return 1, "", f"ERROR {error}\n"
    if answer is None and call.name not in READS:
        return 0, "", ""
    if call.options.get("--format") == "json":
        return 0, json.dumps(answer) + "\n", ""
    if isinstance(answer, dict | list) or call.options.get("--format") == "yaml":
        return 0, yaml.safe_dump(answer, default_flow_style=False), ""
    text = "" if answer is None else ("True" if answer is True else "False" if answer is False else str(answer))
    return 0, text + "\n", ""


def lookup(content: Any, dotted: str) -> Any:
    """Follow a dotted key into nested mappings."""
    for part in dotted.split("."):
        content = content.get(part) if isinstance(content, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return content  # pyright: ignore[reportUnknownVariableType]


def insert(target: dict[str, Any], keys: list[str], content: Any) -> None:
    """Set a nested key; what is in the way and is no mapping goes."""
    for key in keys[:-1]:
        if not isinstance(target.get(key), dict):
            target[key] = {}
        target = target[key]
    target[keys[-1]] = content


# Settings, statuses, addresses ---------------------------------------------------------------


def configuration(context: Context, data: controller.Data) -> dict[str, Any]:
    """Return the application's configuration: the defaults and what was set."""
    defaults = {
        name: option["default"]
        for name, option in context.definition.options.items()
        if option.get("default") is not None
    }
    return {**defaults, **data["config"]}


@tool("config-get", all=False)
def _config_get(context: Context, call: Call) -> Any:
    settings = configuration(context, context.store.read())
    return settings.get(call.arguments[0]) if call.arguments else settings


@tool("is-leader")
def _is_leader(context: Context, call: Call) -> bool:
    return context.leader


@tool("status-set", application=False)
def _status_set(context: Context, call: Call) -> None:
    status = call.only()
    if status not in STATUSES:
        raise RefusedError(f'invalid status "{status}", expected one of [active blocked maintenance waiting]', 2)
    if call.flag("--application") and not context.leader:
        raise RefusedError("cannot set application status: this unit is not the leader")
    entry = {"status": status, "message": " ".join(call.arguments[1:]), "since": controller.now()}
    with context.store.change() as data:
        if call.flag("--application"):
            data["application"]["status"] = entry
        else:
            data["units"][context.unit]["status"] = entry


def _status(entry: dict[str, str]) -> dict[str, Any]:
    return {"status": entry.get("status", "unknown"), "message": entry.get("message", ""), "status-data": {}}


@tool("status-get", application=False, include_data=False)
def _status_get(context: Context, call: Call) -> Any:
    data = context.store.read()
    if not call.flag("--application"):
        entry = _status(data["units"][context.unit]["status"])
        return entry if call.flag("--include-data") else entry["status"]
    if not context.leader:
        raise RefusedError("finding application status: this unit is not the leader")
    units = {name: _status(unit["status"]) for name, unit in data["units"].items()}
    return {
        "application-status": {**_status(data["application"].get("status", {})), "units": units},
        "units": units,
    }


@tool("application-version-set")
def _application_version_set(context: Context, call: Call) -> None:
    with context.store.change() as data:
        data["application"]["version"] = call.only()


@tool("juju-log", debug=False, l=True, log_level=True)
def _juju_log(context: Context, call: Call) -> None:
    level = call.options.get("--log-level") or call.options.get("-l") or "INFO"
    where = f" {context.environment['JUJU_RELATION_ID']}:" if context.relation else ""
    context.store.write_log(context.unit, level, f"unit.{context.unit}.juju-log{where}", " ".join(call.arguments))


@tool(
    "network-get",
    r=True,
    bind_address=False,
    ingress_address=False,
    egress_subnets=False,
    primary_address=False,
)
def _network_get(context: Context, call: Call) -> Any:
    binding = call.only()
    if binding not in {
        *context.definition.endpoints,
        "juju-info",
        *context.definition.metadata.get("extra-bindings", {}),
    }:
        raise RefusedError(f'no network config found for binding "{binding}"')
    address = context.deployed.units[context.unit].address
    host = ipaddress.ip_interface(address)
    network = ipaddress.ip_network(f"{address}/{24 if host.version == 4 else 64}", strict=False)
    entry = {"hostname": "", "value": address, "address": address, "cidr": str(network)}
    found = {
        "bind-addresses": [{"mac-address": "", "interface-name": "eth0", "addresses": [entry]}],
        "egress-subnets": [str(host)],
        "ingress-addresses": [address],
    }
    single = {"--ingress-address", "--bind-address", "--primary-address"} & set(call.options)
    return address if single else found


@tool("unit-get")
def _unit_get(context: Context, call: Call) -> str:
    if call.only() not in {"private-address", "public-address"}:
        raise RefusedError(f'unknown setting "{call.only()}"', 2)
    return context.deployed.units[context.unit].address


@tool("goal-state")
def _goal_state(context: Context, call: Call) -> dict[str, Any]:
    goal = {"status": "active", "since": controller.now().replace(" +0000 UTC", "Z")}
    joined: dict[str, dict[str, Any]] = {}
    for known in context.relations().values():
        names = [known["remote-app"], *known["members"][context.unit]]
        joined.setdefault(known["endpoint"], {}).update(dict.fromkeys(names, goal))
    return {"units": dict.fromkeys(context.deployed.units, goal), "relations": joined}


# State, ports, and what is refused ---------------------------------------------------------------


@tool("state-get")
def _state_get(context: Context, call: Call) -> Any:
    return context.state.get(call.arguments[0], "") if call.arguments else context.state


@tool("state-set", file=True)
def _state_set(context: Context, call: Call) -> None:
    context.state.update(call.pairs())


@tool("state-delete")
def _state_delete(context: Context, call: Call) -> None:
    context.state.pop(call.only(), None)


def _port(call: Call) -> str:
    port = call.only().lower()
    return port if "/" in port or port == "icmp" else f"{port}/tcp"


@tool("open-port", endpoints=True)
def _open_port(context: Context, call: Call) -> None:
    if _port(call) not in context.ports:
        context.ports.append(_port(call))


@tool("close-port", endpoints=True)
def _close_port(context: Context, call: Call) -> None:
    if _port(call) in context.ports:
        context.ports.remove(_port(call))


@tool("opened-ports", endpoints=False)
def _opened_ports(context: Context, call: Call) -> list[str]:
    return [f"{port} (*)" if call.flag("--endpoints") else port for port in sorted(context.ports)]


@tool("juju-reboot", now=False)
def _juju_reboot(context: Context, call: Call) -> None:
    raise RefusedError("juju-reboot is not supported when running an action." if context.task else "not rebooting")


@tool("credential-get")
def _credential_get(context: Context, call: Call) -> None:
    raise RefusedError("cannot access cloud credentials")


@tool("resource-get")
def _resource_get(context: Context, call: Call) -> None:
    raise RefusedError(f"could not download resource: resource#{context.application}/{call.only()} not found")


READS = {"action-get", "relation-get", "config-get", "state-get"}
"""Tools that print something even where there is nothing."""
