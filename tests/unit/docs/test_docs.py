"""The documentation says what is so: links lead somewhere, and what can be typed exists."""

import ast
import pathlib
import re
import typing

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.diagnosis import verdict
from ovs_pathfinder.evidence import record
from tests.lab import faults
from tests.unit import test_imports

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchor(heading: str) -> str:
    """Name a heading's anchor as Git forges do."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: pathlib.Path) -> set[str]:
    return {anchor(found["text"]) for found in _HEADING.finditer(_FENCE.sub("", page.read_text()))}


def table(text: str, heading: str) -> str:
    """Return the table whose first column has that heading, without it."""
    (found,) = [part for part in text.split("\n\n") if part.startswith(f"| {heading} |")]
    return found.partition("\n")[2]


@pages
def test_links_lead_somewhere(page: pathlib.Path):
    targets = [found["target"] for found in _LINK.finditer(_FENCE.sub("", page.read_text()))]
    for target in targets:
        if "://" in target:
            continue
        file, _, place = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.is_file(), f"{page.name}: {target}"
        assert there.is_relative_to(ROOT), f"{page.name}: {target}"
        assert not place or place in anchors(there), f"{page.name}: {target}"


def test_every_page_is_reached_from_the_readme():
    linked = {(ROOT / found["target"]).resolve() for found in _LINK.finditer((ROOT / "README.md").read_text())}

    assert {page for page in PAGES if page.name != "README.md"} <= linked


@pages
def test_targets_and_faults_that_are_named_exist(page: pathlib.Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()

    typed = set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE))
    named = set(re.findall(r"(?:FAULT=|--fault )([a-z][a-z-]*)", text))

    assert typed <= targets
    assert named <= {*faults.names(), "help"}


@pages
def test_modules_and_files_that_are_named_exist(page: pathlib.Path):
    text = page.read_text()

    for module in re.findall(r"python -m (tests[.\w]+)", text):
        file = ROOT / module.replace(".", "/")
        assert file.with_suffix(".py").is_file() or (file / "__main__.py").is_file(), module
    for name in re.findall(r"`((?:tests|lib|src|docs)/[\w./-]+)`", text):
        assert (ROOT / name).exists() or "NAME" in name, name


def test_pages_hold_nothing_unfinished():
    for page in PAGES:
        assert not re.search(r"@@|TODO|FIXME", page.read_text()), page


def test_hops_page_names_every_hop():
    text = (ROOT / "docs/reference/hops.md").read_text()

    rows = re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE)

    assert tuple(rows) == typing.get_args(path.Hop)


def test_outcomes_of_traces_are_all_explained():
    text = (ROOT / "docs/reference/evidence.md").read_text()

    rows = re.findall(r"^\| `([a-z-]+)` \|", table(text, "`outcome`"), re.MULTILINE)

    assert tuple(rows) == typing.get_args(record.Outcome)


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 80


def test_page_on_reports_explains_every_verdict():
    text = (ROOT / "docs/how-to/read-a-report.md").read_text()
    words = {word.replace("-", " ").upper() for word in typing.get_args(verdict.Verdict)}

    rows = re.findall(r"^\| (OK|[A-Z ]+) \| ", text, re.MULTILINE)

    assert set(rows) == words


def test_page_on_trials_explains_every_effect():
    text = (ROOT / "docs/how-to/try-a-change.md").read_text()

    rows = re.findall(r"^\| `([a-z]+)` \|", table(text, "`effect`"), re.MULTILINE)

    assert tuple(rows) == typing.get_args(verdict.Effect)


def sentences() -> str:
    """Return what the product can say: all of its strings, with … for what is put in."""
    files = (file for folder in ("lib", "src") for file in sorted((ROOT / folder).rglob("*.py")))
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text())))
    return "\n".join(_words(node) for node in nodes if isinstance(node, (ast.JoinedStr, ast.Constant)))


def _words(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(part) for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


def test_messages_that_are_quoted_are_those_of_the_product():
    text = (ROOT / "docs/how-to/clean-up.md").read_text()
    said = sentences()

    quoted = [row.split("|")[1] for row in table(text, "It says").splitlines()[1:]]
    parts = [part.strip() for row in quoted for quote in re.findall(r"`([^`]+)`", row) for part in quote.split("…")]

    assert len(parts) >= len(quoted)
    assert [part for part in parts if part not in said] == []
    assert "not undone: … temporary change…; run clean-up" in said
    assert "not undone: 1 temporary change; run clean-up" in text


def test_order_of_imports_is_told_as_it_is_kept():
    (order,) = re.findall(r"Imports point one way: (.+)\.$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)

    assert test_imports.__doc__ is not None
    assert order.replace("`", "") in test_imports.__doc__
