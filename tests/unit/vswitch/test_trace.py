import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovs_pathfinder.evidence import theory
from ovs_pathfinder.vswitch import action, trace
from tests.unit import recorded

TRACES = [name for name in recorded.files("**/*trace.*.txt") if "refused" not in name]


def _path(found: trace.Trace) -> list[str]:
    return [f"{step.bridge} {step.table}" for step in found.steps]


@pytest.mark.parametrize("name", TRACES)
def test_all_of_a_recorded_trace_is_understood(name: str) -> None:
    text = recorded.text(name)

    found = trace.parse(text)

    assert found.unknown == ()
    assert found.text == text
    assert len(found.datapath_actions) == text.count("Datapath actions:")
    assert len(found.steps) == sum(". " in line and line.strip()[0].isdigit() for line in text.splitlines() if line)
    assert all(step.bridge for step in found.steps)
    assert all(step.priority is not None for step in found.steps)


@pytest.mark.parametrize("cloud", recorded.CLOUDS)
def test_the_echo_request_leaves_through_the_tunnel(cloud: str) -> None:
    found = trace.parse(recorded.text(f"{cloud}/octavia.trace.icmp6-echo-request.txt"))

    assert [one.remote for one in found.outputs] == ["172.20.0.209"]
    assert [one.key for one in found.outputs] == [1753 if "vxlan" in cloud else 753]
    assert [step.table for step in found.steps if step.bridge == "br-tun"][:2] == [0, 2]
    assert [step.bridge for step in found.steps][-1] == "br-phy"
    assert [step.table for step in found.steps if step.bridge == "br-int"][-4:] == [72, 73, 91, 94]
    assert found.warnings == ()


def test_a_packet_from_the_tunnel_resumes_in_the_bridge_that_forked_it() -> None:
    found = trace.parse(recorded.text("healthy-gre-l2pop/compute.trace.from-tunnel-echo-request.txt"))

    assert _path(found)[-3:] == ["br-int 81", "br-int 82", "br-int 92"]
    assert found.outputs == (action.Output(port="5"),)
    assert found.steps[-1].cookie == found.steps[-2].cookie
    assert found.steps[-2].match == "ct_state=+new-est,icmp6,reg5=0x2"


def test_a_drop_has_no_output() -> None:
    found = trace.parse(recorded.text("healthy-gre-l2pop/compute.trace.from-tunnel-tcp-8080-no-rule-drop.txt"))

    assert found.outputs == ()
    assert (found.steps[-2].table, found.steps[-2].priority, found.steps[-2].actions) == (82, 40, ("resubmit(,93)",))


def test_a_flood_nests_the_underlay_between_the_tunnels() -> None:
    found = trace.parse(recorded.text("healthy-gre-3computes-v4/octavia.trace.v4-arp-request.txt"))

    assert [one.remote for one in found.outputs] == ["", "172.20.0.209", "172.20.0.244"]
    flood = next(step for step in found.steps if step.table == 22)
    assert [one for one in flood.actions if one.startswith("output")] == ["output:2", "output:3"]
    assert [step.actions[0] for step in found.steps if step.bridge == "br-phy"] == ["NORMAL", "NORMAL"]


def test_the_kernels_tunnels_are_told_from_devices() -> None:
    found = trace.parse(recorded.text("kernel/trace.flood-vxlan-then-local.txt"))

    assert [(one.port, one.remote) for one in found.outputs] == [
        ("1", ""),
        ("3", "172.20.0.209"),
        ("3", "172.20.0.244"),
        ("30", ""),
        ("31", ""),
    ]


def test_bridges_that_are_flooded_to_end_where_their_indentation_does() -> None:
    found = trace.parse(recorded.text("kernel/trace.nested-bridges.txt"))

    assert _path(found) == [
        "br-int 0",
        "br-int 25",
        "br-ex 0",
        "br-isolated 0",
        "br-tun 0",
        "br-tun 2",
        "br-tun 22",
    ]
    assert found.steps[2].actions == ("drop",)


def test_a_table_after_a_nested_bridge_belongs_to_the_outer_one() -> None:
    found = trace.parse(
        'bridge("br-tun")\n----------------\n'
        " 0. priority 3\n    output:2\n\n"
        '    bridge("br-phy")\n    ----------------\n         0. priority 0\n            NORMAL\n'
        "    resubmit(,22)\n22. priority 0, cookie 0x1\n    drop\n\nDatapath actions: 1\n"
    )

    assert _path(found) == ["br-tun 0", "br-phy 0", "br-tun 22"]
    assert found.steps[0].actions == ("output:2", "resubmit(,22)")


def test_a_table_that_is_returned_from_keeps_its_own_actions() -> None:
    found = trace.parse(
        'bridge("br-int")\n----------------\n 0. priority 3\n    resubmit(,5)\n     5. priority 1\n            drop\n'
        "    output:7\n\nDatapath actions: 7\n"
    )

    assert [step.actions for step in found.steps] == [("resubmit(,5)", "output:7"), ("drop",)]


TOO_DEEP = """\
Flow: ct_state=new|trk,icmp6,in_port=3,vlan_tci=0x0000,dl_src=fa:16:3e:a8:7e:f6,dl_dst=fa:16:3e:0d:9a:cf

bridge("br-int")
----------------
 0. priority 0, cookie 0x1
    goto_table:60
60. in_port=3, priority 100, cookie 0x1
    resubmit(,71)
71. ct_state=+trk,in_port=3, priority 110, cookie 0x1
    ct_clear
    resubmit(,71)
71. ct_state=+trk,in_port=3, priority 110, cookie 0x1
    ct_clear
    resubmit(,71)
     >>>> resubmit(,71) over max translation depth 64 <<<<

Final flow: unchanged
Megaflow: recirc_id=0,ct_state=+trk,eth,icmp6,in_port=3
Datapath actions: drop

Translation failed (Recursion too deep), packet is dropped.
"""


def test_a_translation_that_was_given_up_says_why() -> None:
    found = trace.parse(TOO_DEEP)

    assert found.failure == "Recursion too deep"
    assert found.outputs == ()
    assert found.warnings == ("resubmit(,71) over max translation depth 64",)
    assert found.unknown == ()
    place = theory.Place(bridge="br-int", ofport=3, expected_remote="172.20.0.209", expected_key=753)
    assert theory.judge(found, place) == ("failed", "Recursion too deep")


@pytest.mark.parametrize("name", recorded.files("versions/*.trace.kernel*") + recorded.files("versions/3.5.trace.*"))
def test_traces_of_other_versions_are_read_alike(name: str) -> None:
    found = trace.parse(recorded.text(name))

    assert _path(found)[-4:] == ["br-int 94", "br-tun 0", "br-tun 2", "br-tun 20"]
    assert [(one.remote, one.key) for one in found.outputs] == [("172.20.0.209", 753)]
    assert found.warnings == ()


def test_a_trace_that_was_ended_early_says_so() -> None:
    found = trace.parse(recorded.text("versions/4.0.trace.recirculation-limit.txt"))

    assert found.warnings == (
        "Trace reached the recirculation limit.  Sopping the trace here.",
        "Queued but not processed: 3 recirculations.",
    )


def test_of_a_flow_that_had_been_recirculated_before_no_bridge_is_guessed() -> None:
    found = trace.parse(
        'Flow: recirc_id=0x3,ct_state=new|trk,eth,icmp6\n\nbridge("br-tun")\n----------------\n    thaw\n'
        "        Resuming from table 82\n82. priority 75\n    output:2\n    resubmit(,92)\n92. priority 0\n    drop\n\n"
        "Datapath actions: 5\n"
    )

    assert [(step.table, step.bridge) for step in found.steps] == [(82, ""), (92, "")]


def test_the_command_is_what_is_run() -> None:
    found = trace.command("br-int", "in_port=2,ct_state=trk|new,ip", ("trk,est",))

    assert found == "ovs-appctl ofproto/trace --ct-next trk,est br-int 'in_port=2,ct_state=trk|new,ip'"


def test_no_match_is_a_step_without_a_priority() -> None:
    found = trace.parse('bridge("br-int")\n----------------\n 0. No match.\n    drop\n\nDatapath actions: drop\n')

    assert [(step.table, step.priority) for step in found.steps] == [(0, None)]
    assert found.steps[0].actions[0] == "No match."


def test_no_match_in_a_further_bridge_is_one_too() -> None:
    found = trace.parse(
        'bridge("br-tun")\n----------------\n10. priority 1\n    output:1\n\nbridge("br-int")\n----------------\n'
        " 0. reg0=0x2, priority 0\n    drop\n\nDatapath actions: drop\n"
    )

    assert [(step.bridge, step.priority) for step in found.steps] == [("br-tun", 1), ("br-int", None)]
    assert found.steps[1].actions == ("No match.", "drop")


def test_reasons_for_the_slow_path_belong_to_no_flow() -> None:
    found = trace.parse(
        'bridge("br-int")\n----------------\n 0. priority 1\n    controller\n\nDatapath actions: userspace(pid=1)\n'
        "This flow is handled by the userspace slow path because it:\n"
        '  - Sends "packet-in" messages to the OpenFlow controller.\n'
    )

    assert found.steps[0].actions == ("controller",)
    assert found.unknown == ()


def test_a_refusal_is_not_understood_and_kept() -> None:
    found = trace.parse(recorded.text("healthy-gre-l2pop/octavia.trace.icmp6-refused-icmp_type.txt"))

    assert found.steps == ()
    assert "prerequisites not met" in found.unknown[0]


@given(st.text(alphabet='bridge("x")\n .0123456789-=>', max_size=200))
def test_no_text_makes_it_fail(text: str) -> None:
    assert trace.parse(text).text == text


def test_a_recirculated_packet_goes_on_with_the_vlan_tag_that_it_had() -> None:
    ruler = "=" * 79
    found = trace.parse(
        "Datapath actions: push_vlan(vid=5,pcp=0),ct(zone=5),recirc(0x1)\n\n"
        f"{ruler}\nrecirc(0x1) - resume conntrack with ct_state=est|trk\n{ruler}\nDatapath actions: 3\n"
    )

    assert [one.vlan for one in found.outputs] == [5]
    assert found.follow().unfollowed == ()


def test_each_section_resumes_where_it_was_forked() -> None:
    found = trace.parse(recorded.text("bonds/trace.forks-in-two-bridges.txt"))

    assert _path(found) == [
        "br-int 0",
        *("br-int 72", "br-ex 0"),
        *("br-int 73", "br-ex 0"),
        "br-int 74",
        *("br-ex 72", "br-ex 72"),
    ]
    assert [one.number for one in found.sections] == [None, 5, 6, 7, 8, 8]
    assert found.follow().unfollowed == ()


BONDS = ["bonds/trace.balance-tcp.txt", "bonds/trace.lb-output.txt"]


@pytest.mark.parametrize("name", BONDS)
def test_a_bond_that_is_known_is_the_way_out(name: str) -> None:
    found = trace.parse(recorded.text(name)).follow(None, {1: "bond0"})

    assert [str(one) for one in found.outputs if one.bond] == ["bond bond0 with VLAN tag 753"]
    assert found.unfollowed == ()


@pytest.mark.parametrize("name", BONDS)
def test_a_bond_that_is_not_known_is_not_followed(name: str) -> None:
    assert trace.parse(recorded.text(name)).follow().unfollowed


@pytest.mark.parametrize("name", TRACES)
def test_a_text_that_ends_early_is_not_followed(name: str) -> None:
    text = recorded.text(name)
    cut = text[: text.rindex("Datapath actions:")]

    assert trace.parse(cut).follow().unfollowed


def test_a_pause_for_the_controller_leads_there() -> None:
    found = trace.parse('bridge("br-int")\n---\n 0. priority 1\n    controller(pause)\n\nDatapath actions: drop\n')

    assert found.follow().to_controller
