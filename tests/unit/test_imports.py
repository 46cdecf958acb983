"""What imports what.

bounds ← path ← vswitch, cloud ← temporary ← evidence ← inspection, diagnosis ← report ← charm, command ← zaza

Only src/ knows ops, and only cloud knows OpenStack's client, so that the command can be installed without them.
"""

import ast
import pathlib

import pytest

LIBRARY = pathlib.Path(__file__).resolve().parents[2] / "lib" / "ovs_pathfinder"
GROUND = {"bounds", "document", "errors", "files", "process", "path", "text", "words"}
MAY_IMPORT = {
    "bounds": set[str](),
    "errors": set[str](),
    "files": set[str](),
    "path": {"bounds"},
    "text": set[str](),
    "document": {"errors"},
    "words": set[str](),
    "process": {"errors"},
    "vswitch": GROUND,
    "cloud": GROUND - {"process"},
    "temporary": GROUND | {"vswitch", "cloud"},
    "evidence": GROUND | {"vswitch", "cloud", "temporary"},
    "diagnosis": {"bounds", "path", "words", "vswitch", "evidence"},
    "inspection": GROUND | {"vswitch", "cloud", "temporary", "evidence"},
    "report": {"bounds", "path", "text", "words", "evidence", "diagnosis", "inspection"},
    "command": {"document", "errors", "bounds", "path", "text", "words", "evidence", "diagnosis", "report"},
    "zaza": {"errors", "bounds", "path", "text", "report", "command"},
}
MODULES = sorted(
    each.relative_to(LIBRARY) for each in LIBRARY.rglob("*.py") if each.parent != LIBRARY or each.stem in MAY_IMPORT
)


def imported(module: pathlib.Path) -> tuple[set[str], set[str]]:
    """Return the parts of the library that a module imports, and the other packages."""
    parts: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(ast.parse((LIBRARY / module).read_text())):
        if isinstance(node, ast.Import):
            others |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            others.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom) and node.level == len(module.parts):
            parts |= {node.module.split(".")[0]} if node.module else {name.name for name in node.names}
    return parts, others


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_point_one_way(module: pathlib.Path) -> None:
    part = module.parts[0].removesuffix(".py")
    parts, others = imported(module)

    assert parts <= MAY_IMPORT[part] | {part}
    assert not others & {"ops", "jubilant", "tests", "src"}
    assert part == "cloud" or not others & {"openstack", "keystoneauth1"}
    assert part == "command" or not others & {"click", "rich"}
    assert part == "zaza" or "zaza" not in others


def test_every_part_of_the_library_has_its_place() -> None:
    found = {each.stem for each in LIBRARY.iterdir() if each.suffix == ".py" or (each / "__init__.py").exists()}

    assert found - {"__init__"} == set(MAY_IMPORT)
