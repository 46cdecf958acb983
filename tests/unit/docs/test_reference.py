"""The reference pages equal what they describe: actions.yaml, the vocabulary of diagnoses, the schemas."""

import json
import pathlib
import re
from typing import Any

import pytest
import yaml

import exchange
from ovs_pathfinder import report
from ovs_pathfinder.diagnosis import codes, verdict
from ovs_pathfinder.evidence import capture, practice, record

ROOT = pathlib.Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "docs" / "reference"
ACTIONS: dict[str, Any] = yaml.safe_load((ROOT / "actions.yaml").read_text())
REGENERATE = (
    ".venv/bin/python -c \"import json, sys; sys.path.insert(0, 'lib'); "
    "from ovs_pathfinder.diagnosis import verdict; "
    'print(json.dumps(verdict.json_schema(), indent=2, ensure_ascii=False))" > docs/reference/diagnosis.schema.json'
)


def sections(page: pathlib.Path, level: int) -> dict[str, str]:
    """Part a page at its headings of one level."""
    parts = re.split(rf"^{'#' * level} (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(table: str) -> list[list[str]]:
    """Return the cells of a table's rows, without its heading."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def plain(cell: str) -> str:
    return cell.replace("`", "")


def limits(parameter: dict[str, Any]) -> str:
    if "enum" in parameter:
        return ", ".join(parameter["enum"])
    if "minLength" in parameter:
        return f"{parameter['minLength']} to {parameter['maxLength']} characters"
    return f"{parameter['minimum']:g} to {parameter['maximum']:g}" if "minimum" in parameter else ""


def default(action: dict[str, Any], name: str) -> str:
    if name in action["required"]:
        return "required"
    value = action["params"][name].get("default", "none")
    return str(value) if value != "" else "empty"


def test_every_action_has_a_section():
    assert list(sections(REFERENCE / "actions.md", 2)) == list(ACTIONS)


@pytest.mark.parametrize("name", ACTIONS)
def test_parameters_are_those_of_the_action(name: str):
    action = ACTIONS[name]
    page = sections(REFERENCE / "actions.md", 3)[f"Parameters of {name}"]

    told = {plain(parameter): cells for parameter, *cells in rows(page)}

    assert list(told) == list(action["params"])
    for parameter, (kind, value, limit, meaning) in told.items():
        real = action["params"][parameter]
        assert (kind, plain(value)) == (real["type"], default(action, parameter)), parameter
        assert plain(limit).startswith(limits(real)), parameter
        assert meaning.endswith("."), parameter


def test_every_code_has_a_section_and_every_section_a_code():
    assert list(sections(REFERENCE / "diagnoses.md", 2)) == list(codes.MEANINGS)


@pytest.mark.parametrize("code", codes.MEANINGS)
def test_section_of_a_code_begins_with_its_meaning_and_gives_its_commands(code: str):
    section = sections(REFERENCE / "diagnoses.md", 2)[code]
    text = " ".join(section.split())

    assert text.startswith(codes.MEANINGS[code].meaning)
    assert "**Next**" in text
    assert "**Proof**" in text or "**When**" in text


def test_schema_of_the_diagnosis_is_the_code_s():
    published = json.loads((REFERENCE / "diagnosis.schema.json").read_text())

    assert published == json.loads(json.dumps(verdict.json_schema())), f"regenerate it with: {REGENERATE}"


def test_every_field_of_evidence_is_explained():
    page = (REFERENCE / "evidence.md").read_text()
    fields = next(part for part in page.split("\n\n") if part.startswith("| Field"))

    told = [name for cells in rows(fields) for name in re.findall(r"\w+", plain(cells[0]))]

    assert sorted(told) == sorted(record.Evidence.model_fields)


def test_limits_that_are_named_are_the_code_s():
    page = (REFERENCE / "files-and-footprint.md").read_text()

    assert f"| one unit's evidence | {record.MAX_BYTES:,} bytes" in page
    assert f"| one result of `path-report` | {report.MAX_BYTES:,} bytes" in page
    assert f"| Snap length | {capture.SNAP_LENGTH} bytes" in page
    assert f"| Packets | {capture.MAX_PACKETS:,} for each capture" in page
    assert f"a listener {practice.MAX_WINDOW:g} seconds" in page
    assert f"evidence of the last {exchange.KEPT_EVIDENCE} runs" in page
    assert f"the last {exchange.KEPT_PLANS} plans" in page
