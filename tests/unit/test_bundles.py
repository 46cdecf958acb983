"""What zaza deploys on a real cloud is whole, as far as that can be told without one."""

import importlib
import pathlib
from typing import Any

import pytest
import yaml

TESTS = pathlib.Path(__file__).resolve().parents[1]
SUITE: dict[str, Any] = yaml.safe_load((TESTS / "tests.yaml").read_text())
CHARM: dict[str, Any] = yaml.safe_load((TESTS.parent / "charmcraft.yaml").read_text())
BUNDLES = sorted((TESTS / "bundles").glob("*.yaml"))


def test_bundles_of_the_suite_are_there():
    named = {name for kind in ("gate_bundles", "smoke_bundles", "dev_bundles") for name in SUITE[kind]}

    assert named == {file.stem for file in BUNDLES}


@pytest.mark.parametrize("file", BUNDLES, ids=lambda file: file.stem)
def test_relations_join_applications_of_the_bundle(file: pathlib.Path):
    bundle: dict[str, Any] = yaml.safe_load(file.read_text())
    ends: set[str] = {end for relation in bundle["relations"] for end in relation}

    assert {end.partition(":")[0] for end in ends} == set(bundle["applications"]), "and each has one"
    assert len({frozenset(relation) for relation in bundle["relations"]}) == len(bundle["relations"])
    own = {end.partition(":")[2] for end in ends if end.startswith("ovs-pathfinder:")}
    assert own == set(CHARM["requires"])
    packed = bundle["applications"]["ovs-pathfinder"]["charm"]
    assert any(f"{CHARM['name']}_{one.replace(':', '-', 1)}" in packed.replace(":", "-") for one in CHARM["platforms"])


def test_steps_of_the_project_are_there():
    steps = [*SUITE["configure"], *SUITE["tests"]]
    own = [step for step in steps if not step.startswith("zaza.openstack.")]

    assert own == ["tests.integration.balancer.create", "ovs_pathfinder.zaza.check", "ovs_pathfinder.zaza.PathTest"]
    for step in own:
        module, _, name = step.rpartition(".")
        assert hasattr(importlib.import_module(module), name)
