"""Evidence as the JSON in which it travels to the coordinator, and back, whoever handed it over."""

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any, cast

from .. import document, errors, path
from . import record

MAX_BYTES = 100_000
"""Of one unit's evidence: it goes through argv as an action's result, where Linux allows 131,071."""
MAX_HANDED = 1_000_000
"""Of the parameter `evidence`, with that of two units and their trials."""
_MOST_QUOTES = 4
_NO_VERSION = 1_000_000
_TAG = re.compile("unit-(.+)-([0-9]+)")
_SHORTENED = "\n[shortened: the whole was larger than Juju lets a result be]"


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
    if isinstance(version, int) and record.EVIDENCE_VERSION < version < _NO_VERSION:
        raise errors.PathfinderError(
            f"this evidence has format {version}, and this unit knows {record.EVIDENCE_VERSION} at most; "
            "refresh the charm on all units to one revision and probe again"
        )
    try:
        return document.check(record.Trial if "trial" in fields else record.Evidence, fields)
    except errors.PathfinderError as error:
        raise errors.PathfinderError(f"this evidence {error}; run probe-path again") from error


@dataclasses.dataclass(frozen=True)
class Said:
    """One piece of evidence, or why there is none, and whose it is."""

    origin: str
    """The unit that it came from, by Juju's word; empty where only the evidence itself says so."""
    found: record.Evidence | record.Trial | None
    wrong: str = ""
    """Why it cannot be used, in a sentence without its full stop."""


def left(unit: str, text: str) -> list[Said]:
    """Read what a unit left in its databag: evidence, or a list of trials."""
    return list(_said(text, unit, 0)) or [Said(unit, None, "it holds no evidence")]


def read(text: str) -> list[Said]:
    """Read evidence handed over by people or programs: one unit's, several in a row or a list, or Juju's own output.

    Juju's output names the unit of each: what cannot be used of those is told as such.

    Raises:
        PathfinderError: It holds none, or some that nobody but itself gives a unit cannot be read.
    """
    found = list(_said(text, "", 0))
    if not found:
        raise errors.PathfinderError(
            "the parameter evidence holds no evidence; hand over the `evidence` result of probe-path as printed"
        )
    return found


def attributed(unit: str, text: str) -> str:
    """Return a unit's evidence as Juju would print it, under the name of the unit that it came from.

    Raises:
        PathfinderError: It cannot be read.
    """
    try:
        documents = document.several(text, most=MAX_BYTES * 2)
    except errors.PathfinderError as error:
        raise errors.PathfinderError(f"the evidence of {unit} {error}") from error
    return "\n".join(json.dumps({unit: {"evidence": one}}, separators=(",", ":")) for one in documents)


def _said(text: str, origin: str, quotes: int) -> Iterator[Said]:
    """Decode a text; raises only where it has no origin."""
    try:
        if quotes > _MOST_QUOTES:
            raise errors.PathfinderError("is quoted too often")
        documents = document.several(text, most=MAX_HANDED if not origin else MAX_BYTES * 2)
    except errors.PathfinderError as error:
        wrong = f"the parameter evidence {error}; hand over what probe-path printed" if not origin else f"it {error}"
        yield _refused(origin, wrong)
        return
    for one in documents:
        yield from _unwrap(one, origin, quotes)


def _unwrap(data: Any, origin: str, quotes: int) -> Iterator[Said]:
    """Find evidence in a list, in `juju run --format json`'s answer, or where it was quoted as a string."""
    fields = cast("dict[str, Any]", data) if isinstance(data, dict) else {}
    inner: Any = fields.get("results", fields)
    if isinstance(data, str):
        yield from _said(data, origin, quotes + 1)
    elif isinstance(data, list):
        for item in cast("list[Any]", data):
            yield from _unwrap(item, origin, quotes)
    elif isinstance(data, dict) and isinstance(inner, dict) and "evidence" in inner:
        yield from _unwrap(cast("dict[str, Any]", inner)["evidence"], origin, quotes)
    elif not isinstance(data, dict) or "version" in fields or not isinstance(inner, dict):
        try:
            found = any_from_data(data)
        except errors.PathfinderError as error:
            yield _refused(origin, str(error))
        else:
            yield Said(origin, found)
    else:
        for key, item in cast("dict[str, Any]", inner).items():
            if isinstance(item, dict):
                yield from _unwrap(item, origin or _unit_of(key), quotes)


def _refused(origin: str, wrong: str) -> Said:
    if not origin:
        raise errors.PathfinderError(wrong)
    return Said(origin, None, wrong)


def _unit_of(key: str) -> str:
    """Return the unit that a key of Juju's answer names, as Juju 3 and 2.9 do; empty where it names none."""
    tagged = _TAG.fullmatch(key)
    name = f"{tagged[1]}/{tagged[2]}" if tagged else key
    return name if path.is_unit(name) else ""
