"""The hook tools for relations."""

from typing import Any

from . import hookcontext, hooktools

Context = hookcontext.Context
Call = hooktools.Call
RefusedError = hookcontext.RefusedError


def _relation(context: Context, call: Call) -> str:
    """Return the relation that a call means: the one of -r, else the hook's."""
    given = call.options.get("-r", "")
    identity = given.rpartition(":")[2] if given else context.relation
    if not identity:
        raise RefusedError("no relation id specified", 2)
    known = context.relations().get(identity)
    if known is None or (":" in given and given.split(":")[0] != known["endpoint"]):
        raise RefusedError(f'invalid value "{given}" for option -r: relation not found', 2)
    return identity


@hooktools.tool("relation-ids")
def _relation_ids(context: Context, call: Call) -> list[str]:
    endpoint = call.only()
    return [f"{endpoint}:{key}" for key, known in context.relations().items() if known["endpoint"] == endpoint]


@hooktools.tool("relation-list", r=True, app=False)
def _relation_list(context: Context, call: Call) -> Any:
    known = context.relations()[_relation(context, call)]
    return known["remote-app"] if call.flag("--app") else sorted(known["members"][context.unit])


@hooktools.tool("relation-get", r=True, app=False)
def _relation_get(context: Context, call: Call) -> Any:
    relation = _relation(context, call)
    key = call.arguments[0] if call.arguments else "-"
    entity = call.arguments[1] if len(call.arguments) > 1 else context.remote_unit or context.remote_app
    if call.flag("--app"):
        entity = entity.split("/")[0]
    if not entity:
        raise RefusedError("no unit id specified", 2)
    settings = context.settings(relation, entity)
    return settings if key == "-" else settings.get(key)


@hooktools.tool("relation-set", r=True, app=False, file=True)
def _relation_set(context: Context, call: Call) -> None:
    entity = context.application if call.flag("--app") else context.unit
    context.write_settings(_relation(context, call), entity, call.pairs())


@hooktools.tool("relation-model-get", r=True)
def _relation_model_get(context: Context, call: Call) -> dict[str, str]:
    _relation(context, call)
    return {"uuid": context.uuid}
