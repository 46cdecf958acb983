"""Conjunctive matches are told by the flows that they are made of, not by their ids."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder.vswitch import conjunction, wording
from tests.unit.vswitch import dumped, private


@pytest.fixture(scope="module")
def joint() -> list[str]:
    """Return the conjunctive flows of a bridge as a real switch dumps them."""
    if reason := private.missing():
        pytest.skip(reason)
    return [line for line in dumped.lines() if "conj" in line]


def texts(lines: list[str]) -> list[bytes]:
    return [text for line in lines for text in wording.texts(f"{line}\n".encode())]


def ids(lines: list[str]) -> list[int]:
    found = {int(one) for line in lines for one in conjunction._ID.findall(line.encode())}  # pyright: ignore[reportPrivateUsage]
    return sorted(found)


@given(chance=st.randoms(use_true_random=True))
def test_other_ids_are_found_by_their_flows(joint: list[str], chance: random.Random) -> None:
    known = ids(joint)
    others = dict(zip(known, chance.sample(range(1, 500), len(known)), strict=True))
    later = dumped.aged(dumped.renumbered(joint, ids=others), chance)

    found = conjunction.pair(texts(joint), texts(later))

    kept = {str(one).encode(): str(one).encode() for one in known}
    before = sorted(conjunction.rename(text, kept) for text in texts(joint))
    assert sorted(conjunction.rename(text, found) for text in texts(later)) == before
    assert len(set(found.values())) == len(found) == len(known)


def test_the_order_of_an_address_s_conjunctions_means_nothing() -> None:
    first = b"table=82, priority=70,ip,nw_src=10.0.0.1 actions=conjunction(8,1/2),conjunction(16,1/2)"
    second = b"table=82, priority=70,ip,nw_src=10.0.0.1 actions=conjunction(16,1/2),conjunction(8,1/2)"
    kept = {b"8": b"8", b"16": b"16"}

    assert conjunction.rename(first, kept) == conjunction.rename(second, kept)


def test_an_id_that_only_one_has_stays_its_own() -> None:
    before = [b"table=82, priority=70,conj_id=8,reg5=0x2 actions=output:2"]
    after = [*before, b"table=72, priority=70,conj_id=9,reg5=0x3 actions=drop"]

    found = conjunction.pair(before, after)

    assert found == {b"8": b"8"}
    assert b"conj_id=~9" in conjunction.rename(after[1], found)


def test_a_register_that_notes_another_number_than_the_id_is_left_alone() -> None:
    flow = b"table=82, conj_id=8 actions=set_field:0x9->reg7,output:2"

    assert conjunction.rename(flow, {b"8": b"1"}) == b"table=82, conj_id=1 actions=set_field:0x9->reg7,output:2"


def test_flows_of_very_many_ids_are_not_paired_by_them() -> None:
    many = b",".join(b"conjunction(%d,1/2)" % one for one in range(1, 2000))
    flow = b"table=82, ip,nw_src=10.0.0.1 actions=" + many

    assert conjunction.pair([flow], [flow]) == {}
