"""The hook tools for secrets."""

from typing import Any

from . import hookcontext, hooktools

Context = hookcontext.Context
Call = hooktools.Call
RefusedError = hookcontext.RefusedError


def _identity(text: str) -> str:
    return text.removeprefix("secret:").rpartition("/")[2]


def _mine(context: Context, secret: dict[str, Any]) -> bool:
    """Tell whether this unit owns a secret, alone or with its application."""
    return secret["owner"] in {context.unit, context.application}


def _find(context: Context, call: Call) -> str:
    """Return the id that a call means, by id or by label."""
    label = call.options.get("--label", "")
    if call.arguments:
        identity = _identity(call.arguments[0])
        if identity in context.secrets:
            return identity
        raise RefusedError(f'secret "{identity}" not found')
    for identity, secret in context.secrets.items():
        labels = (secret["label"] if _mine(context, secret) else "", secret["labels"].get(context.unit, ""))
        if label and label in labels:
            return identity
    raise RefusedError(f'secret "{label}" not found')


def _owned(context: Context, call: Call) -> dict[str, Any]:
    """Return a secret that this unit may change."""
    secret: dict[str, Any] = context.secrets[_find(context, call)]
    if not _mine(context, secret) or (secret["owner"] == context.application and not context.leader):
        raise RefusedError("permission denied")
    return secret


def _content(call: Call) -> dict[str, str]:
    """Return what is kept secret; `key#file=path` stands for the file's content."""
    found: dict[str, str] = {}
    for key, text in call.pairs().items():
        name, marker, _ = key.partition("#file")
        found[name] = (call.directory / text).read_text() if marker else text
    return found


def _describe(call: Call, secret: dict[str, Any]) -> None:
    for option in ("label", "description", "expire", "rotate"):
        if f"--{option}" in call.options:
            secret[option] = call.options[f"--{option}"]


@hooktools.tool("secret-add", label=True, description=True, expire=True, rotate=True, owner=True, file=True)
def _add(context: Context, call: Call) -> str:
    owner = context.unit if call.options.get("--owner") == "unit" else context.application
    if owner == context.application and not context.leader:
        raise RefusedError("permission denied")
    content = _content(call)
    if not content:
        raise RefusedError("missing secret value or filename", 2)
    identity = context.new_secret_id()
    secret: dict[str, Any] = {"owner": owner, "label": "", "description": "", "expire": "", "rotate": "never"}
    secret.update(revisions={"1": content}, latest=1, granted=[], labels={}, tracked={})
    _describe(call, secret)
    context.secrets[identity] = secret
    return f"secret:{identity}"


@hooktools.tool("secret-get", label=True, refresh=False, peek=False)
def _get(context: Context, call: Call) -> Any:
    key = call.arguments[1] if len(call.arguments) > 1 else ""
    secret = context.secrets[_find(context, call)]
    if not _mine(context, secret) and not {context.unit, context.application} & set(secret["granted"]):
        raise RefusedError("permission denied")
    if call.arguments and "--label" in call.options:
        secret["labels"][context.unit] = call.options["--label"]
    revision = secret["tracked"].setdefault(context.unit, secret["latest"])
    if call.flag("--refresh") or call.flag("--peek"):
        revision = secret["latest"]
    if call.flag("--refresh"):
        secret["tracked"][context.unit] = revision
    content = secret["revisions"][str(revision)]
    return content[key] if key else content


@hooktools.tool("secret-info-get", label=True)
def _info(context: Context, call: Call) -> dict[str, Any]:
    identity = _find(context, call)
    secret = context.secrets[identity]
    if not _mine(context, secret):
        raise RefusedError(f'secret "{identity}" not found')
    kind = "unit" if "/" in secret["owner"] else "application"
    entry = {
        "revision": secret["latest"],
        "label": secret["label"],
        "owner": kind,
        "rotation": secret["rotate"],
    }
    entry.update({key: secret[key] for key in ("description",) if secret[key]})
    if secret["expire"]:
        entry["expiry"] = secret["expire"]
    return {identity: entry}


@hooktools.tool("secret-set", label=True, description=True, expire=True, rotate=True, owner=True, file=True)
def _set(context: Context, call: Call) -> None:
    target, *pairs = call.arguments or [""]
    call.arguments = [target]
    secret = _owned(context, call)
    call.arguments = pairs
    content = _content(call)
    _describe(call, secret)
    if content:
        secret["latest"] += 1
        secret["revisions"][str(secret["latest"])] = content


@hooktools.tool("secret-remove", revision=True)
def _remove(context: Context, call: Call) -> None:
    secret = _owned(context, call)
    revision = call.options.get("--revision", "")
    secret["revisions"].pop(revision, None)
    if not revision or not secret["revisions"]:
        del context.secrets[_find(context, call)]


def _consumers(context: Context, call: Call) -> list[str]:
    """Return whom a grant or its end concerns: a unit, else the application at the relation's other end."""
    if "--unit" in call.options:
        return [call.options["--unit"]]
    if "--app" in call.options:
        return [call.options["--app"]]
    relation = call.options.get("--relation", call.options.get("-r", "")).rpartition(":")[2]
    known = context.relations().get(relation)
    if known is None:
        raise RefusedError(f'invalid value "{relation}" for option --relation: relation not found', 2)
    return [known["remote-app"]]


@hooktools.tool("secret-grant", relation=True, r=True, unit=True)
def _grant(context: Context, call: Call) -> None:
    secret = _owned(context, call)
    secret["granted"] = sorted({*secret["granted"], *_consumers(context, call)})


@hooktools.tool("secret-revoke", relation=True, r=True, app=True, unit=True)
def _revoke(context: Context, call: Call) -> None:
    secret = _owned(context, call)
    secret["granted"] = [name for name in secret["granted"] if name not in _consumers(context, call)]


@hooktools.tool("secret-ids")
def _ids(context: Context, call: Call) -> list[str]:
    return sorted(identity for identity, secret in context.secrets.items() if _mine(context, secret))
