"""Of two dumps, what differs in meaning is found, it alone, and all of it."""

import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ovs_pathfinder.vswitch import comparison, difference
from tests.unit.vswitch import dumped, private

OURS = b"0x6f7066"
VLANS = {1: 7, 2: 1}
LEARN = (
    " cookie=0xe85a, duration=1s, table=10, n_packets=5, n_bytes=6, priority=1 actions=learn(table=20,hard_timeout=300,"
    "priority=1,cookie=0xe85a,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_OF_VLAN_TCI[],"
    "load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[]),output:1"
)
LEARNED = (
    " cookie=0xe85a, duration=1s, table=20, n_packets=1, n_bytes=6, hard_timeout=300, priority=1,"
    "vlan_tci=0x0001/0x0fff,dl_dst=fa:16:3e:00:00:{} actions=load:0->NXM_OF_VLAN_TCI[],load:0x2f1->NXM_NX_TUN_ID[],"
    "output:2"
)


@pytest.fixture(scope="module")
def flows() -> Sequence[str]:
    """Return br-int's flows as a real switch dumps them."""
    if reason := private.missing():
        pytest.skip(reason)
    return dumped.lines()


def compared(before: dumped.Listed, after: dumped.Listed) -> comparison.Compared:
    return comparison.compare(before, after, own=OURS)


def same_bridge(before: Sequence[str], after: Sequence[str], bridge: str = "br-int") -> comparison.Compared:
    """Compare flows of one bridge whose ports have not changed."""
    switch = dumped.switch()
    described = switch.model_copy(update={"bridges": (switch.bridges[0].model_copy(update={"name": bridge}),)})
    return compared(dumped.Listed(described, {bridge: before}), dumped.Listed(described, {bridge: after}))


def ids_of(flows: Sequence[str]) -> list[int]:
    return sorted({int(one) for line in flows for one in re.findall(r"(?:conj_id=|conjunction\()(\d+)", line)})


def restarted(
    flows: Sequence[str], chance: random.Random, *, ports: bool, vlans: bool, ids: bool
) -> tuple[dumped.Listed, Sequence[str]]:
    """Return the flows after a restart that gave out numbers anew, and they as they were in their new order."""
    numbers = dict(zip(dumped.PORTS, chance.sample(range(1, 9), len(dumped.PORTS)), strict=True)) if ports else None
    others = VLANS if vlans else None
    known = ids_of(flows)
    fresh = dict(zip(known, chance.sample(range(1, 99), len(known)), strict=True)) if ids else None
    later = dumped.aged(dumped.renumbered(flows, numbers, others, fresh), chance)
    return dumped.Listed(dumped.switch(numbers, others), {"br-int": later}, chunk=chance.randrange(1, 300)), later


@settings(deadline=None, max_examples=60)
@given(
    chance=st.randoms(use_true_random=True),
    ports=st.booleans(),
    vlans=st.booleans(),
    ids=st.booleans(),
    size=st.integers(1, 300),
)
def test_a_table_is_like_itself_after_everything_around_it_restarted(
    flows: Sequence[str], chance: random.Random, ports: bool, vlans: bool, ids: bool, size: int
) -> None:
    after, _ = restarted(flows, chance, ports=ports, vlans=vlans, ids=ids)

    found = compared(dumped.Listed(dumped.switch(), {"br-int": flows}, chunk=size), after)

    assert found.changes == []
    (bridge,) = found.bridges
    assert bridge.before.flows == bridge.after.flows == len(flows)
    assert found.settings.settings == ()


@settings(deadline=None, max_examples=100)
@given(
    chance=st.randoms(use_true_random=True),
    kind=st.sampled_from(["gone", "new", "changed"]),
    ports=st.booleans(),
    vlans=st.booleans(),
    ids=st.booleans(),
)
def test_a_single_change_is_found_and_it_alone(
    flows: Sequence[str], chance: random.Random, kind: str, ports: bool, vlans: bool, ids: bool
) -> None:
    after, later = restarted(flows, chance, ports=ports, vlans=vlans, ids=ids)
    place = chance.randrange(len(later))
    chosen, changed = later[place], list(later)
    if kind == "gone":
        del changed[place]
    elif kind == "new":
        changed.insert(chance.randrange(len(later)), re.sub(r"priority=\d+", "priority=4711", chosen))
    else:
        changed[place] = chosen.partition("actions=")[0] + "actions=controller(reason=no_match)"
    after.bridges = {"br-int": changed}

    found = compared(dumped.Listed(dumped.switch(), {"br-int": flows}), after)

    (change,) = found.changes
    assert bool(change.before) == (kind != "new")
    assert bool(change.after) == (kind != "gone")
    if kind == "new":
        assert "priority=4711" in change.after.decode()
    elif kind == "changed":
        assert change.after.decode() == changed[place]
    if kind != "new" and not ids:
        back = dumped.renumbered([chosen], *_back(after, ports=ports, vlans=vlans))[0]
        assert change.before.decode().partition("actions=")[2] == back.partition("actions=")[2]


def _back(after: dumped.Listed, *, ports: bool, vlans: bool) -> tuple[dict[int, int] | None, dict[int, int] | None]:
    """Return the numbers that the earlier dump has for those of the later one."""
    names = {name: number for number, (name, _) in dumped.PORTS.items()}
    numbers = {one.ofport: names[one.name] for one in after.switch.ports if one.ofport}
    return numbers if ports else None, {new: old for old, new in VLANS.items()} if vlans else None


def test_a_number_that_went_to_another_port_makes_its_flows_others(flows: Sequence[str]) -> None:
    swapped = dumped.switch({2: 3, 3: 2})

    found = compared(dumped.Listed(dumped.switch(), {"br-int": flows}), dumped.Listed(swapped, {"br-int": flows}))

    assert len(found.changes) > 20
    assert found.settings.ports == ("tap00000002-aa 2 to 3", "tap00000003-bb 3 to 2")


def test_flows_that_outlive_their_port_are_the_same_flows(flows: Sequence[str]) -> None:
    plugged = dumped.switch()
    unplugged = plugged.model_copy(update={"ports": plugged.ports[1:]})

    found = compared(dumped.Listed(plugged, {"br-int": flows}), dumped.Listed(unplugged, {"br-int": flows}))

    assert found.changes == []
    assert [str(one) for one in found.settings.settings] == [
        "port tap00000002-aa (00000002-aaaa, fa:16:3e:00:00:02) on br-int: there, system, ofport 2 before, none after"
    ]


def test_learned_flows_are_set_aside_and_counted_and_other_limited_ones_are_not() -> None:
    foreign = " cookie=0x5, duration=1s, table=0, n_packets=1, n_bytes=6, hard_timeout=60, priority=9,ip actions=drop"
    before = [LEARN, LEARNED.format("01"), LEARNED.format("02")]
    after = [LEARN.replace("0xe85a", "0x9999"), LEARNED.format("03"), foreign]

    found = same_bridge(before, after, "br-tun")

    (change,) = found.changes
    (bridge,) = found.bridges
    assert change == difference.Change("br-tun", b"", foreign.encode())
    assert (bridge.before.learned, bridge.after.learned) == (2, 1)


def test_a_flow_whose_time_limit_changed_is_changed() -> None:
    flow = " cookie=0x5, duration=1s, table=0, n_packets=1, n_bytes=6, {}priority=9,ip actions=drop"

    found = same_bridge([flow.format("hard_timeout=60, ")], [flow.format("")])

    assert found.changes == [
        difference.Change("br-int", flow.format("hard_timeout=60, ").encode(), flow.format("").encode())
    ]


def test_temporary_flows_of_ours_are_set_aside_and_others_with_a_similar_cookie_are_not() -> None:
    flow = " cookie={}, duration=1s, table=0, n_packets=1, n_bytes=6, hard_timeout=9, priority=9,{} actions=NORMAL"
    ours, theirs = flow.format("0x6f70661234567890", "ip"), flow.format("0x6f7066", "arp")

    found = same_bridge([], [ours, theirs])

    assert [change.after.decode() for change in found.changes] == [theirs]
    assert found.bridges[0].after.own == 1


def test_cookies_order_and_hits_are_counted(flows: Sequence[str]) -> None:
    first, *rest = flows
    later = [*rest, first.replace("n_packets=0", "n_packets=5")]
    later[0] = later[0].replace(f"{dumped.COOKIE:#x}", "0x1234")

    (bridge,) = same_bridge(flows, later).bridges

    assert bridge.moved == 1
    assert (bridge.before.hit, bridge.after.hit) == (0, 1)
    assert bridge.after.cookies == {b"0x1234": 1, f"{dumped.COOKIE:#x}".encode(): len(flows) - 1}


def test_flows_that_are_twice_in_a_dump_are_compared_as_often() -> None:
    flow = " cookie=0x5, duration=1s, table=0, n_packets=1, n_bytes=6, priority=9,ip actions=drop"

    assert same_bridge([flow, flow], [flow, flow]).changes == []
    assert len(same_bridge([flow, flow], [flow]).changes) == 1
    assert len(same_bridge([flow], [flow, flow]).changes) == 1


def test_one_more_member_of_a_remote_group_is_one_flow_though_all_ids_are_others(flows: Sequence[str]) -> None:
    known = ids_of(flows)
    member = next(line for line in flows if "nw_src=10.9.0.1" in line and "conjunction" in line)
    later = [*flows, member.replace("10.9.0.1", "10.9.0.77")]
    renamed = dumped.renumbered(later, ids={one: one + 1000 for one in known})

    found = same_bridge(flows, renamed)

    (change,) = found.changes
    assert "10.9.0.77" in change.after.decode()
    assert found.bridges[0].renumbered == len(known)


def test_a_bridge_that_could_not_be_read_is_not_compared(flows: Sequence[str]) -> None:
    whole = dumped.Listed(dumped.switch(), {"br-int": flows})
    half = dumped.Listed(dumped.switch(), {"br-int": flows[:9]}, errors={"br-int": "no answer"})

    assert compared(whole, half).changes == compared(half, whole).changes == []
    assert compared(whole, half).unread == compared(half, whole).unread == {"br-int": "no answer"}


def test_a_bridge_that_only_one_has_is_told_with_its_flows(flows: Sequence[str]) -> None:
    switch = dumped.switch()
    alone = switch.model_copy(update={"bridges": ()})

    found = compared(dumped.Listed(switch, {"br-int": flows}), dumped.Listed(alone, {}))

    assert found.changes == []
    assert found.lonely == {"br-int": len(flows)}
    assert [str(one) for one in found.settings.settings] == ["bridge br-int: there before, none after"]


@given(st.lists(st.integers(0, 50), max_size=60, unique=True))
def test_moved_is_the_least_that_must_be_moved_to_be_in_order(order: list[int]) -> None:
    moved = difference._moved(order)  # pyright: ignore[reportPrivateUsage]

    lengths: list[int] = []
    for place, one in enumerate(order):
        lengths.append(1 + max((lengths[at] for at in range(place) if order[at] < one), default=0))
    assert moved == len(order) - max(lengths, default=0)


@given(st.lists(st.binary(max_size=60), max_size=20), st.lists(st.binary(max_size=60), max_size=20))
def test_lines_that_are_no_flows_are_compared_as_text(before: list[bytes], after: list[bytes]) -> None:
    first, second = ([b" " + line.replace(b"\n", b"").replace(b"\r", b"") for line in side] for side in (before, after))
    bridge = difference.Bridge("br-int", *[dumped_names()] * 2, own=OURS)

    for line in first:
        bridge.add_before(line + b"\n")
    for line in second:
        bridge.add_after(line + b"\n")
    found = bridge.finish()

    assert len(found) <= len(first) + len(second)
    if sorted(first) == sorted(second):
        assert found == []


def dumped_names() -> difference.wording.Names:
    return difference.wording.Names({}, {})
