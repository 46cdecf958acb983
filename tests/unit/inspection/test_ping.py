"""What ping prints is understood in its versions, and said in one sentence."""

import pydantic
import pytest

from ovs_pathfinder.evidence import host
from ovs_pathfinder.inspection import path_mtu, ping
from ovs_pathfinder.report import view

V6 = "fc00:5896:ff23:44dc:f816:3eff:fe0d:9acf"
# iputils 20221126, recorded.
SOME = f"""\
PING {V6}({V6}) from fc00::1 o-hm0: 56 data bytes
64 bytes from {V6}: icmp_seq=1 ttl=64 time=1.68 ms
64 bytes from {V6}: icmp_seq=3 ttl=64 time=0.769 ms
64 bytes from {V6}: icmp_seq=3 ttl=64 time=0.900 ms (DUP!)

--- {V6} ping statistics ---
4 packets transmitted, 2 received, +1 duplicates, 50% packet loss, time 663ms
rtt min/avg/max/mdev = 0.769/1.116/1.680/0.401 ms
"""
# ping_common.c and ping.c of iputils 20190709 and 20161105 (s20161105 says `mtu=`, later ones `mtu: `).
TROUBLES = [
    ("From 192.168.77.231 icmp_seq=1 Destination Host Unreachable", "unreachable", "192.168.77.231", None),
    ("From fc00::1 icmp_seq=1 Destination unreachable: Address unreachable", "unreachable", "fc00::1", None),
    ("From fc00::1: icmp_seq=1 Destination unreachable: No route", "unreachable", "fc00::1", None),
    ("From 10.0.0.1 icmp_seq=2 Packet filtered", "unreachable", "10.0.0.1", None),
    ("From 10.0.0.1 icmp_seq=2 Dest Unreachable, Bad Code: 99", "unreachable", "10.0.0.1", None),
    ("From 10.0.0.1 icmp_seq=1 Time to live exceeded", "time-exceeded", "10.0.0.1", None),
    ("From fc00::1 icmp_seq=1 Time exceeded: Hop limit", "time-exceeded", "fc00::1", None),
    ("From 10.0.0.1 icmp_seq=1 Frag needed and DF set (mtu = 1400)", "too-big", "10.0.0.1", 1400),
    ("From fc00::1 icmp_seq=1 Packet too big: mtu=1280", "too-big", "fc00::1", 1280),
    ("From 10.0.0.1: icmp_seq=1 Redirect Host(New nexthop: 10.0.0.2)", "redirected", "10.0.0.1", None),
    ("ping: local error: message too long, mtu=1450", "too-big", "", 1450),
    ("ping: local error: Message too long, mtu: 1450", "too-big", "", 1450),
    ("ping: sendmsg: Operation not permitted", "not-sent", "", None),
    ("ping: sendmsg: Network is unreachable", "not-sent", "", None),
    ("From 10.0.0.1 icmp_seq=1 Source Quench", "other", "10.0.0.1", None),
]


def found(**changes: object) -> ping.Answer:
    fields: dict[str, object] = {
        "summary": "",
        "destination": V6,
        "device": "o-hm0",
        "source": "fc00::1",
        "why": "it was named",
        "command": f"ping -6 -n -c 4 -i 0.2 -W 1 -s 56 -I fc00::1 -I o-hm0 {V6}",
        "sent": 4,
        "received": 4,
        "average": 1.5,
        "minimum": 1.0,
        "maximum": 2.0,
        "deviation": 0.1,
        "neighbour": V6,
        "neighbour_before": host.Neighbour(),
        "neighbour_after": host.Neighbour(state="REACHABLE", mac="fa:16:3e:0d:9a:cf"),
        "output": "",
        **changes,
    }
    return ping.Answer.model_validate(fields)


def test_answers_duplicates_and_times_are_read() -> None:
    printed = ping.parse(SOME)

    assert (printed.sent, printed.answered, printed.duplicates) == (4, (1, 3), 1)
    assert printed.times == (0.769, 1.116, 1.68, 0.401)
    assert printed.troubles == ()


@pytest.mark.parametrize(
    "line",
    [
        "64 bytes from 192.168.77.207: icmp_seq=2 ttl=64 time=0.5 ms",
        "64 bytes from host.example (192.168.77.207): icmp_seq=2 ttl=64 time=0.5 ms",
        "16 bytes from 192.168.77.207: icmp_seq=2 ttl=64",
        "1008 bytes from 192.168.77.207: icmp_seq=2 ttl=64 time=0.5 ms (BAD CHECKSUM!)",
    ],
)
def test_an_answer_is_told_by_its_sequence_number(line: str) -> None:
    assert ping.parse(line).answered == (2,)


@pytest.mark.parametrize(("line", "kind", "sender", "mtu"), TROUBLES)
def test_each_kind_of_error_is_told(line: str, kind: str, sender: str, mtu: int | None) -> None:
    (trouble,) = ping.parse(f"{line}\n{line}\n").troubles

    assert (trouble.kind, trouble.sender, trouble.mtu, trouble.count) == (kind, sender, mtu, 2)
    assert trouble.reason in line


def test_output_without_a_summary_says_nothing_of_what_was_sent() -> None:
    assert ping.parse("ping: connect: Network is unreachable\n").sent is None


@pytest.mark.parametrize(("numbers", "words"), [((), ""), ((2,), "2"), ((1, 2, 3), "1-3"), ((1, 3, 4, 9), "1, 3-4, 9")])
def test_lost_numbers_are_written_short(numbers: tuple[int, ...], words: str) -> None:
    assert ping.ranges(numbers) == words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "All 4 echo requests were answered"),
        ({"received": 2, "lost": (2, 4)}, "2 of 4 echo requests were answered"),
        ({"received": 0, "lost": (1, 2, 3, 4)}, "is known, so the requests left o-hm0"),
        ({"received": 0, "neighbour_after": host.Neighbour(state="FAILED")}, "did not tell its MAC address"),
        ({"received": 0, "neighbour_after": host.Neighbour()}, "it has no neighbour entry"),
        (
            {
                "received": 0,
                "troubles": (ping.Trouble(kind="unreachable", reason="Packet filtered", sender="10.0.0.1", count=4),),
            },
            "10.0.0.1 said: Packet filtered",
        ),
    ],
)
def test_the_sentence_says_why(changes: dict[str, object], words: str) -> None:
    assert words in ping.summarize(found(**changes))


def test_the_page_fits_the_terminal() -> None:
    shown = found(
        received=2,
        lost=tuple(range(2, 200, 2)),
        troubles=tuple(ping.parse("\n".join(line for line, *_ in TROUBLES)).troubles),
        notes=("A note. " * 30,),
        path_mtu=path_mtu.PathMtu(
            largest=1322, mtu=1350, expected=1450, expected_of="network", pings=36, text="The largest has 1350 bytes."
        ),
    )
    page = view.view(shown.model_copy(update={"summary": ping.summarize(shown)}))["report"]

    assert [line for line in page.splitlines() if len(line) > 80] == []
    assert "2, 4, 6" in page
    assert "1350 bytes" in page


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "no destination is given"),
        ({"destination": "octavia.example"}, "it is no IP address; names are not looked up"),
        ({"destination": "fe80::1%eth0"}, "it names a zone"),
        ({"destination": "ff02::1"}, "it is no address of one host"),
        ({"destination": "fc00::1", "device": "-w"}, "it is no name that a device has"),
        ({"destination": "fc00::1", "device": "o-hm0", "port": "x"}, "device and port each say where to send from"),
        ({"destination": "fc00::1", "count": 200, "interval": 5}, "is 1000 s, more than 120 s"),
        ({"destination": "fc00::1", "count": 0}, "greater than or equal to 1"),
        ({"destination": "fc00::1", "interval": float("nan")}, ""),
        ({"destination": "fc00::1", "size": 15}, "greater than or equal to 16"),
        ({"destination": "fc00::1\n"}, "control character"),
        ({"destination": "fc00::1", "flood": True}, "Extra inputs are not permitted"),
    ],
)
def test_bad_input_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        ping.Query.model_validate(given)

    assert said in str(caught.value)


def test_an_address_is_taken_in_its_canonical_form() -> None:
    assert ping.Query.model_validate({"destination": "FC00:0::1", "mtu-search": True}).destination == "fc00::1"
