"""Evidence as the JSON in which it travels to the coordinator, and back, whoever handed it over."""

import json
from typing import Any, cast

import pydantic

from .. import errors, path
from . import record

MAX_BYTES = 100_000
"""Of one unit's evidence: it goes through argv as an action's result, where Linux allows 131,071."""
_SHORTENED = "\n[shortened: the whole was larger than Juju lets a result be]"


class Handed(path.Model):
    """What units found out, as it was handed over."""

    evidence: tuple[record.Evidence, ...] = ()
    trials: tuple[record.Trial, ...] = ()


def to_json(evidence: record.Evidence, *, texts: bool = True) -> str:
    """Write evidence in at most MAX_BYTES, shortening the raw texts first: what was understood of them stays.

    Args:
        evidence: What to write.
        texts: Whether the traces' raw texts are wanted, which no diagnosis needs.
    """
    if not texts:
        bare = tuple(one.model_copy(update={"text": ""}) for one in evidence.traces)
        evidence = evidence.model_copy(update={"traces": bare})
    for limit in (None, 6000, 2000, 500, 0):
        text = _dump(evidence if limit is None else _shortened(evidence, limit))
        if len(text.encode()) <= MAX_BYTES:
            return text
    return _dump(_bare(evidence))


def _dump(evidence: record.Evidence) -> str:
    return json.dumps(evidence.model_dump(mode="json", exclude_defaults=False), separators=(",", ":"))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + _SHORTENED


def _shortened(evidence: record.Evidence, limit: int) -> record.Evidence:
    probe = evidence.probe
    return evidence.model_copy(
        update={
            "traces": tuple(one.model_copy(update={"text": _cut(one.text, limit)}) for one in evidence.traces),
            "megaflows": tuple(one.model_copy(update={"raw": _cut(one.raw, limit)}) for one in evidence.megaflows[:20]),
            "probe": probe and probe.model_copy(update={"output": _cut(probe.output, limit)}),
        }
    )


def _bare(evidence: record.Evidence) -> record.Evidence:
    """Return what fits whatever there is: no traces, and the beginning of every list."""
    kept = 300
    return evidence.model_copy(
        update={
            "traces": (),
            "megaflows": (),
            "probe": evidence.probe
            and evidence.probe.model_copy(update={"output": "", "sent": evidence.probe.sent[:kept]}),
            "observations": tuple(
                one.model_copy(
                    update={
                        "forward": one.forward[:kept],
                        "reply": one.reply[:kept],
                        "large_forward": (),
                        "large_reply": (),
                        "error": one.error[:300],
                    }
                )
                for one in evidence.observations
            ),
            "conntrack_full": tuple(one[:300] for one in evidence.conntrack_full[:20]),
            "heartbeats": (),
            "log": tuple(one[:300] for one in evidence.log[:5]),
            "history": None,
            "large": None,
            "problems": (*(one[:300] for one in evidence.problems[:20]), "The traces were too large to keep."),
        }
    )


def from_data(data: Any) -> record.Evidence:
    """Read one unit's evidence of its probe from decoded JSON; raises as `any_from_data` does."""
    found = any_from_data(data)
    if isinstance(found, record.Trial):
        raise errors.PathfinderError(f"this is the evidence of a trial on {found.unit}, and that of a probe is wanted")
    return found


def any_from_data(data: Any) -> record.Evidence | record.Trial:
    """Read one unit's evidence of a probe or a trial from decoded JSON.

    Raises:
        PathfinderError: It is not evidence, is damaged, or was written by a newer version.
    """
    fields = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    if "run" not in fields:
        raise errors.PathfinderError(
            "this is not the evidence of a unit; hand over the `evidence` result of probe-path as it was printed"
        )
    version = fields.get("version")
    if isinstance(version, int) and version > record.EVIDENCE_VERSION:
        raise errors.PathfinderError(
            f"this evidence has format {version}, and this unit knows {record.EVIDENCE_VERSION} at most; "
            "refresh the charm on all units to one revision and probe again"
        )
    try:
        model = record.Trial if "trial" in fields else record.Evidence
        return model.model_validate_json(json.dumps(fields))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise errors.PathfinderError(
            f"this evidence is damaged at {where or 'its top'} ({first['msg']}); run probe-path again"
        ) from error


def read(text: str) -> Handed:
    """Read evidence handed over by people or programs: one unit's, several in a row or a list, or Juju's own output.

    Raises:
        PathfinderError: It holds none, or some of it cannot be read.
    """
    found = [any_from_data(data) for document in _documents(text) for data in _unwrap(document)]
    if not found:
        raise errors.PathfinderError(
            "the parameter evidence holds no evidence; hand over the `evidence` result of probe-path as printed"
        )
    return Handed(
        evidence=tuple(one for one in found if isinstance(one, record.Evidence)),
        trials=tuple(one for one in found if isinstance(one, record.Trial)),
    )


def _documents(text: str) -> list[Any]:
    decoder = json.JSONDecoder()
    documents: list[Any] = []
    position = 0
    while (rest := text[position:].lstrip()) != "":
        position = len(text) - len(rest)
        try:
            document, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise errors.PathfinderError(
                f"the parameter evidence is not JSON ({error}); hand over what probe-path printed"
            ) from error
        documents.append(document)
        position = end
    return documents


def _unwrap(document: Any) -> list[Any]:
    """Find evidence in a list, in `juju run --format json`'s answer, or where it was quoted as a string."""
    if isinstance(document, str):
        return [data for inner in _documents(document) for data in _unwrap(inner)]
    if isinstance(document, list):
        return [data for item in cast("list[Any]", document) for data in _unwrap(item)]
    if not isinstance(document, dict):
        return [document]
    fields = cast("dict[str, Any]", document)
    inner: Any = fields.get("results", fields)
    if isinstance(inner, dict) and "evidence" in inner:
        return _unwrap(cast("dict[str, Any]", inner)["evidence"])
    if "version" in fields or not isinstance(inner, dict):
        return [fields]
    answers = cast("dict[str, Any]", inner).values()
    return [data for item in answers if isinstance(item, dict) for data in _unwrap(item)]
