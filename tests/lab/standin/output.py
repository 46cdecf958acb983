"""Tasks and other answers, in the shapes of Juju 3 and of Juju 2.9."""

import json
from typing import Any

import yaml

HIDDEN = {"return-code", "stdout", "stderr", "stdout-encoding", "stderr-encoding"}
_OLD_KEYS = {"stdout": "Stdout", "stderr": "Stderr", "return-code": "ReturnCode"}


def dump(content: Any, form: str) -> str:
    """Render an answer as JSON or YAML."""
    if form == "json":
        return json.dumps(content, sort_keys=True) + "\n"
    return yaml.dump(content, Dumper=_Dumper, default_flow_style=False, sort_keys=True, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, as Go's YAML library does."""


def _text(_: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def task(found: dict[str, Any], old: bool) -> dict[str, Any]:
    """Return a task as `--format json` shows it, without what is empty."""
    shown: dict[str, Any] = {"id": found["id"], "status": found["status"]}
    shown["UnitId" if old else "unit"] = found["unit"]
    if found["message"]:
        shown["message"] = found["message"]
    if found["results"]:
        shown["results"] = _old_results(found["results"]) if old else found["results"]
    if found["log"]:
        shown["log"] = [f"{moment} {text}" for moment, text in found["log"]]
    timing = {key: found[key] for key in ("enqueued", "started", "completed") if found[key]}
    return {**shown, "timing": timing}


def _old_results(results: dict[str, Any]) -> dict[str, Any]:
    """Name the results of the process as 2.9 does, which leaves out a return code of 0."""
    shown = {_OLD_KEYS.get(key, key): content for key, content in results.items()}
    if shown.get("ReturnCode") == 0:
        del shown["ReturnCode"]
    return shown


def plain(tasks: dict[str, dict[str, Any]]) -> str:
    """Return tasks by unit as `juju run` prints them for people."""
    shown: dict[str, dict[str, Any]] = {}
    streams = ""
    for unit, found in tasks.items():
        results: dict[str, Any] = found.get("results") or {}
        visible = {key: content for key, content in results.items() if key not in HIDDEN}
        text = dump(visible, "yaml") if visible else ""
        if not results:
            text = f"Task {found['id']} {found['status']}\n"
        shown[unit] = {"id": found["id"], "status": found["status"], "output": text}
        if "message" in found:
            shown[unit]["message"] = found["message"]
        streams = "".join(str(results[key]).strip("\n") + "\n" for key in ("stdout", "stderr") if key in results)
    if len(shown) > 1:
        return dump(shown, "yaml")
    only = next(iter(shown.values()))
    failed = f"Action id {only['id']} failed: {only.get('message', '')}\n" if only["status"] == "failed" else ""
    return f"{failed}{only['output']}\n{streams}"


def streams(tasks: dict[str, dict[str, Any]]) -> str:
    """Return what commands printed, as `juju exec` shows it."""
    texts: dict[str, str] = {}
    for unit, found in sorted(tasks.items()):
        results: dict[str, Any] = found.get("results") or {}
        parts = (str(results[key]) for key in ("stdout", "stderr") if key in results)
        texts[unit] = "".join(part if part.endswith("\n") else part + "\n" for part in parts)
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "".join(f"{unit}:\n{text}\n" for unit, text in texts.items())
