"""Hosts that reach a VLAN network by a bond: its recirculation is a way out, and loses nothing."""

import pytest

from tests import conftest
from tests.lab import matrix

pytestmark = pytest.mark.lab


def test_a_healthy_path_between_bonds_is_ok(start_lab: conftest.StartLab) -> None:
    lab = start_lab(cloud=False, **matrix.BONDED.shape)

    _, found = matrix.probe(lab, matrix.Case("none", matrix.BONDED))

    assert (found.verdict, found.code) == ("ok", "path-ok"), found.model_dump_json(indent=1)
    assert "recirc(" in lab.source.appctl("dpctl/dump-flows")
    theory = {one.hop: (one.theory_forward, one.theory_reply) for one in found.hops}
    assert theory["source-br-phys"] == theory["destination-br-phys"] == ("forwards", "forwards")
