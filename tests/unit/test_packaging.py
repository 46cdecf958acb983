"""The wheel gives operators the command; what only the charm needs is an extra, which charmcraft installs."""

import ast
import importlib.metadata
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHARM_ALONE = {"ops", "openstacksdk"}


def needed(extra: str = "") -> set[str]:
    """Return the names of the packages that the installed project asks for, with an extra or without any."""
    found = importlib.metadata.requires("ovs-pathfinder") or []
    asked = [one for one in found if ("extra ==" in one) == bool(extra) and extra in one]
    return {re.split(r"[^\w-]", one)[0].lower() for one in asked}


def test_what_only_the_charm_needs_is_an_extra_that_charmcraft_installs():
    (part,) = yaml.safe_load((ROOT / "charmcraft.yaml").read_text())["parts"].values()

    assert (part["plugin"], part["uv-extras"]) == ("uv", ["charm"])
    assert needed("charm") == CHARM_ALONE
    assert not needed() & CHARM_ALONE


def test_command_and_report_import_what_is_installed_with_them():
    files = [file for part in ("command", "report") for file in (ROOT / "lib/ovs_pathfinder" / part).glob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    imported = {name.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for name in node.names}
    imported |= {
        (node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom) and not node.level
    }

    assert imported - set(sys.stdlib_module_names) == {"click", "jinja2", "pydantic", "rich"} == needed()


def test_command_is_installed_under_its_name():
    (found,) = importlib.metadata.entry_points(group="console_scripts", name="ovs-pathfinder")

    assert callable(found.load())
