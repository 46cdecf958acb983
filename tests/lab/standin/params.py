"""The parameters of an action: read as `juju run` reads them, judged as the controller judges them."""

import copy
import json
import pathlib
import re
import sys
from typing import Any, cast

import yaml

from . import errors, hooktools, model

KEY = re.compile(r"^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$")
TRAITS = {"parallel", "execution-group", "params"}


def read(arguments: list[str], file: str | None, raw: bool) -> dict[str, Any]:
    """Return the parameters of a command line.

    Args:
        arguments: The `key.key=value` arguments, which win over the file.
        file: A YAML file; `-` for standard input.
        raw: Whether values are strings rather than YAML.

    """
    found: dict[str, Any] = {}
    if file is not None:
        found = _file(file)
    for argument in arguments:
        dotted, equals, text = argument.partition("=")
        if not equals:
            raise errors.UsageError(f'argument "{argument}" must be of the form key.key.key...=value')
        for key in dotted.split("."):
            if not KEY.match(key):
                raise errors.UsageError(
                    f'key "{key}" must start and end with lowercase alphanumeric, '
                    "and contain only lowercase alphanumeric and hyphens"
                )
        hooktools.insert(found, dotted.split("."), text if raw else _parse(text))
    return found


def _parse(text: str) -> Any:
    try:
        return model.load_yaml(text)
    except yaml.YAMLError as error:
        raise errors.JujuError(f"yaml: {' '.join(str(error).split())}") from error


def _file(file: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else pathlib.Path(file).read_text()
    except OSError as error:
        raise errors.JujuError(f"open {file}: {(error.strerror or '').lower()}") from error
    content = _parse(text)
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise errors.JujuError("params must contain a YAML map with string keys")
    return cast("dict[str, Any]", content)


def schema(definition: dict[str, Any], juju_version: str) -> dict[str, Any]:
    """Return the JSON schema of an action's parameters."""
    found: dict[str, Any] = {"type": "object", "additionalProperties": not juju_version.startswith("4.")}
    found.update({key: content for key, content in definition.items() if key not in TRAITS})
    found["properties"] = definition.get("params") or {}
    return found


def check(params: dict[str, Any], shape: dict[str, Any]) -> str:
    """Return what is wrong with parameters in the controller's words; nothing where they are right."""
    import jsonschema

    validator: Any = jsonschema.Draft4Validator(shape)
    found = sorted(validator.iter_errors(params), key=lambda error: [str(part) for part in error.absolute_path])
    described = [text for error in found for text in _describe(error)]
    return f"validation failed: {'; '.join(dict.fromkeys(described))}" if described else ""


def _describe(error: Any) -> list[str]:
    """Put one error into gojsonschema's words."""
    keyword, limit, given = str(error.validator), error.validator_value, error.instance
    where = ".".join(["(root)", *(str(part) for part in error.absolute_path)])
    ending = f", given {json.dumps(given, separators=(',', ':'))}"
    if keyword == "required":
        return [f'{where} : "{name}" property is missing and required{ending}' for name in limit if name not in given]
    if keyword == "additionalProperties":
        extra = [name for name in given if name not in error.schema.get("properties", {})]
        return [f'{where} : additional property "{name}" is not allowed{ending}' for name in extra]
    types = cast("list[str]", limit if isinstance(limit, list) else [str(limit)])
    texts = {
        "type": f"must be of type {', '.join(types)}",
        "minimum": f"must be greater than or equal to {limit}",
        "maximum": f"must be lower than or equal to {limit}",
        "enum": f"must match one of the enum values {json.dumps(limit, separators=(',', ':'))}",
        "pattern": f"does not match pattern '{limit}'",
        "minLength": f"must have a length greater than or equal to {limit}",
        "maxLength": f"must have a length lower than or equal to {limit}",
    }
    return [f"{where} : {texts.get(keyword, error.message)}{ending}"]


def with_defaults(params: dict[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with the schema's defaults where nothing is given, at any depth."""
    found = copy.deepcopy(params)
    properties: dict[str, Any] = shape.get("properties") or {}
    for name, inner in properties.items():
        if "default" in inner:
            found.setdefault(name, copy.deepcopy(inner["default"]))
        elif "properties" in inner and isinstance(found.get(name, {}), dict):
            nested = with_defaults(found.get(name, {}), inner)
            if nested or name in found:
                found[name] = nested
    return found
