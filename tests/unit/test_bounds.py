"""Every field that travels between units has bounds, and a real cloud's evidence keeps within them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic
import pytest

from ovs_pathfinder import bounds, path
from ovs_pathfinder.diagnosis import verdict
from ovs_pathfinder.evidence import record
from tests.unit.diagnosis import build

MODELS: tuple[type[pydantic.BaseModel], ...] = (
    path.Plan,
    path.Unit,
    record.Evidence,
    record.Trial,
    record.Captures,
    verdict.Diagnosis,
)
"""Whatever one unit, or the command, reads of another unit."""
NEEDED = {
    "string": {"maxLength"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "array": {"maxItems"},
    "object": {"maxProperties"},
}


def unbounded(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    """Name the places of a JSON Schema that have no bounds."""
    for name, inner in schema.get("$defs", {}).items():
        yield from unbounded(inner, name)
    for name, inner in schema.get("properties", {}).items():
        yield from unbounded(inner, f"{place}.{name}")
    for inner in schema.get("anyOf", ()):
        yield from unbounded(inner, place)
    for inner in (schema.get("items"), schema.get("additionalProperties"), schema.get("propertyNames")):
        if isinstance(inner, dict):
            yield from unbounded(inner, f"{place}[]")  # pyright: ignore[reportUnknownArgumentType]
    closed = {"enum", "const", "properties"} & set(schema) or "enum" in schema.get("propertyNames", {})
    if not closed and NEEDED.get(schema.get("type", ""), set()) - set(schema):
        yield place


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_field_that_travels_has_bounds(model: type[pydantic.BaseModel]):
    assert not list(unbounded(model.model_json_schema(), model.__name__))


def test_field_without_bounds_is_found():
    class Careless(pydantic.BaseModel):
        text: str
        numbers: list[bounds.Count]
        known: dict[str, bool]
        seconds: float | None
        right: bounds.Word
        role: path.Role

    assert list(unbounded(Careless.model_json_schema(), "it")) == [
        "it.text",
        "it.numbers",
        "it.known",
        "it.seconds",
    ]


def test_long_text_of_a_tool_is_cut_and_says_so():
    found = build.trace("forward", "unknown", text="x" * 300_000, reason="y" * 20_000)

    assert (len(found.text), len(found.reason)) == (200_000, 16_000)
    assert found.text.endswith("[shortened]")


def test_more_than_any_action_finds_is_within_the_bounds():
    """200 packets, 20 traces of 100 KB and 500 steps each, large tables, counters of 64 bits."""
    names = tuple(f"a1b2c3d4/{number}" for number in range(1, 201))
    seen, *_ = build.World().run()
    step = build.steps("br-int 71 65 icmp6,reg5=0x2,in_port=2")[0].model_copy(update={"before": 2**64 - 1})
    large = build.trace("forward", "forwarded", text="x" * 100_000).model_copy(update={"steps": (step,) * 500})
    rich = seen.model_copy(
        update={
            "probe": record.Probe(command="ping", transmitted=200, sent=names, answered=200),
            "observations": tuple(
                one.model_copy(update={"forward": names, "reply": names}) for one in seen.observations
            ),
            "traces": (large,) * 20,
            "drops": {f"drop_action_{number}": 2**63 for number in range(100)},
        }
    )

    assert record.Evidence.model_validate_json(json.dumps(rich.model_dump(mode="json"))) == rich


@pytest.mark.parametrize(
    "wrong",
    [
        {"transmitted": 1, "answered": 5},
        {"transmitted": -5},
        {"transmitted": 300_000},
        {"transmitted": 2, "answered": 1, "refused": 2},
        {"transmitted": 1, "sent": ("a/1", "a/2")},
        {"transmitted": 1, "duration": float("nan")},
    ],
)
def test_counts_that_do_not_add_up_are_refused(wrong: dict[str, Any]):
    with pytest.raises(pydantic.ValidationError):
        record.Probe(command="ping", **wrong)


@pytest.mark.parametrize(
    "address",
    [
        *("224.0.0.1", "ff02::1", "127.0.0.1", "::1", "::", "255.255.255.255", "::ffff:127.0.0.1", "fe80::1"),
        *("evil.example", "10.0.0.1%x", "8.8.8.8/0", "-h"),
    ],
)
@pytest.mark.parametrize("field", ["tunnel_address", "management_address"])
def test_nothing_is_sent_to_what_is_no_host(address: str, field: str):
    end = build.plan().destination.model_dump()

    with pytest.raises(pydantic.ValidationError):
        path.Endpoint.model_validate(end | {field: address})


@pytest.mark.parametrize(
    "name", ["", "octavia", "octavia/02", "Octavia/1", "--help", "a/0; curl x | sh #", "a/1\nb/2", "o/-1"]
)
def test_what_juju_would_not_name_a_unit_is_none(name: str):
    with pytest.raises(pydantic.ValidationError):
        path.Unit(name=name, principal="", hostnames=())
