"""The reference pages equal what they describe: actions.yaml, the vocabulary of diagnoses, the schemas."""

import json
import pathlib
import re
from typing import Any, cast

import pytest
import yaml

import exchange
import parameters
from ovs_pathfinder import path, zaza
from ovs_pathfinder.diagnosis import codes
from ovs_pathfinder.evidence import capture, practice, probe, record, session, trial, wire
from ovs_pathfinder.report import render
from ovs_pathfinder.temporary import change, flows, guard, journal, mirror, place, port_security
from ovs_pathfinder.zaza import options
from tests import schemas

ROOT = pathlib.Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "docs" / "reference"
ACTIONS: dict[str, Any] = yaml.safe_load((ROOT / "actions.yaml").read_text())
OPTIONS: dict[str, Any] = yaml.safe_load((ROOT / "charmcraft.yaml").read_text())["config"]["options"]


def sections(page: pathlib.Path, level: int) -> dict[str, str]:
    """Part a page at its headings of one level."""
    parts = re.split(rf"^{'#' * level} (.+)$", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(table: str) -> list[list[str]]:
    """Return the cells of a table's rows, without its heading."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[2:]]


def plain(cell: str) -> str:
    return cell.replace("`", "")


def limits(parameter: dict[str, Any]) -> str:
    if "enum" in parameter:
        return ", ".join(value for value in parameter["enum"] if value)
    if "maxLength" in parameter:
        least = f"{parameter['minLength']} to" if "minLength" in parameter else "up to"
        return f"{least} {parameter['maxLength']} characters"
    return f"{parameter['minimum']:g} to {parameter['maximum']:g}" if "minimum" in parameter else ""


def default(action: dict[str, Any], name: str) -> str:
    if name in action.get("required", ()):
        return "required"
    value = action["params"][name].get("default", "none")
    return "empty" if value == "" else value if isinstance(value, str) else json.dumps(value)


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


def test_schemas_are_the_code_s():
    published = {file.name: json.loads(file.read_text()) for file in schemas.FOLDER.iterdir()}

    assert published == json.loads(json.dumps(schemas.all_of_them())), "write them anew with: make schemas"


def test_every_action_stands_beside_what_is_typed_by_hand():
    named = [re.findall(r"\[`([a-z-]+)`\]", action) for _, action, _ in rows((REFERENCE / "by-hand.md").read_text())]

    assert sorted(name for names in named for name in names) == sorted(ACTIONS)
    assert all(named)


def fields(page: pathlib.Path, heading: str) -> list[str]:
    """Return the names in the first column of the table with that heading."""
    (table,) = [part for part in page.read_text().split("\n\n") if part.startswith(f"| {heading} |")]
    return sorted(name for cells in rows(table) for name in re.findall(r"[\w-]+", plain(cells[0])))


@pytest.mark.parametrize(
    ("heading", "model"),
    [("Field", record.Evidence), ("Field of a trial", record.Trial), ("Field of a round", record.Attempt)],
)
def test_every_field_of_evidence_is_explained(heading: str, model: type[path.Model]):
    assert fields(REFERENCE / "evidence.md", heading) == sorted(model.model_fields)


def test_every_field_of_the_journal_is_explained():
    assert fields(REFERENCE / "temporary-changes.md", "Field") == sorted(journal.Entry.model_fields)


def test_every_kind_of_change_is_explained():
    kinds = [kind.model_fields["kind"].default for kind in change.Change.__subclasses__()]

    assert fields(REFERENCE / "temporary-changes.md", "Kind") == sorted(kinds)


def test_options_are_those_of_the_charm():
    page = (REFERENCE / "configuration.md").read_text()
    (table,) = [part for part in page.split("\n\n") if part.startswith("| Option |")]

    told = {plain(name): (kind, plain(value)) for name, kind, value, *_ in rows(table)}

    assert told == {name: (option["type"], str(option["default"]) or "empty") for name, option in OPTIONS.items()}
    least = parameters.Configuration.model_fields["max_change_duration"].metadata
    limits = {name: getattr(one, name) for one in least for name in ("ge", "le") if hasattr(one, name)}
    assert f"| {limits['ge']} to {limits['le']} |" in table


def test_numbers_and_names_of_temporary_changes_are_the_code_s():
    page = (REFERENCE / "temporary-changes.md").read_text()

    mark = f"{flows.COOKIE_MARK:#x}"
    assert f"begins with `{mark}`" in page
    assert f"cookie={mark}{'0' * 10}/0xffffff{'0' * 10}" in page
    assert all(cookie.startswith(mark) for cookie in re.findall(r"cookie[= ](0x6\w+)", page))
    assert f"`{place.DIRECTORY}`" in page
    assert f"the last {journal.KEPT} " in page
    assert f"`{guard.__name__}`" in page
    assert f"`ovs-pathfinder-guard-{'ID'}.service`" in page
    assert f"| {guard.GRACE:g} seconds behind the deadline |" in page
    assert f"| {guard.RETRY_FOR / 60:g} minutes |" in page
    assert f"| {port_security.SETTLED:g} seconds after it was read |" in page
    assert f"external_ids:{mirror.KEY}" in page


def test_time_that_a_trial_s_change_may_take_is_the_code_s():
    page = (REFERENCE / "temporary-changes.md").read_text()
    packets = probe.Settings().longest
    settle = ACTIONS["try-port-security"]["params"]["settle"]["default"]

    flows_ = packets + session.WAKE + trial._SLACK  # pyright: ignore[reportPrivateUsage]
    security = packets + settle + trial._API  # pyright: ignore[reportPrivateUsage]

    assert f"; {flows_:g} with the defaults" in page
    assert f"; {security:g} with the defaults" in page
    assert f"of {min(trial._PRIORITIES)} to {max(trial._PRIORITIES)}" in page  # pyright: ignore[reportPrivateUsage]


def test_limits_that_are_named_are_the_code_s():
    page = (REFERENCE / "files-and-footprint.md").read_text()

    assert f"| one unit's evidence | {wire.MAX_BYTES:,} bytes" in page
    assert f"| one result of `path-report` | {render.MAX_BYTES:,} bytes" in page
    assert f"| Snap length | {capture.SNAP_LENGTH} bytes" in page
    assert f"| Packets | {capture.MAX_PACKETS:,} for each capture" in page
    assert f"a listener {practice.MAX_WINDOW:g} seconds" in page
    assert f"evidence of the last {exchange.KEPT_EVIDENCE} runs" in page
    assert f"the last {exchange.KEPT_PLANS} plans" in page


def test_options_for_suites_are_those_of_the_module():
    page = (REFERENCE / "zaza.md").read_text()
    told = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", page.split("## Options")[1], re.MULTILINE))

    assert list(told) == [str(one.alias) for one in options.Options.model_fields.values()]
    for one in options.Options.model_fields.values():
        default = one.default
        if isinstance(default, tuple):
            shown = ", ".join(f"`{each}`" for each in cast("tuple[str, ...]", default)) or "empty"
        elif default is None or default == "":
            shown = "none" if default is None else "empty"
        else:
            shown = f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
        assert told[str(one.alias)] == shown, one.alias


def test_names_for_suites_are_those_of_the_module():
    page = (REFERENCE / "zaza.md").read_text().split("## Options")[0]

    assert set(re.findall(r"^\| `(\w+)", page, re.MULTILINE)) == set(zaza.__all__)
