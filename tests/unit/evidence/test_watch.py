import pytest

from ovs_pathfinder import path
from ovs_pathfinder.evidence import packet, probe, watch
from tests.unit.diagnosis import build

A, B = build.SOURCE, build.DESTINATION
ICMP, TCP, UDP = build.plan(), build.plan(protocol="tcp", port=9443), build.plan(protocol="udp", port=5555)
OTHERS = build.plan(run="20220314t101500-fedcba")
MARK = bytes(16) + bytes.fromhex(probe.mark(ICMP, "probe", "a1b2c3d4"))


def seen(kind: packet.Kind, source: str = A, destination: str = B, **more: object) -> packet.Packet:
    fields = {"kind": kind, "source": source, "destination": destination, "source_mac": build.SOURCE_MAC, **more}
    return packet.Packet.model_validate(fields)


QUOTE = bytes(40) + (40000).to_bytes(2, "big") + (5555).to_bytes(2, "big") + bytes(8)
CASES: dict[str, tuple[path.Plan, packet.Packet, tuple[str, str] | None]] = {
    "request": (ICMP, seen("echo-request", identity="7/9", payload=MARK), ("forward", "a1b2c3d4/9")),
    "reply": (ICMP, seen("echo-reply", B, A, identity="7/9", payload=MARK), ("reply", "a1b2c3d4/9")),
    "unmarked": (ICMP, seen("echo-request", identity="7/9", payload=bytes(56)), None),
    "of another run": (OTHERS, seen("echo-request", identity="7/9", payload=MARK), None),
    "a signal": (
        ICMP,
        seen("echo-request", identity="7/9", payload=bytes.fromhex(probe.mark(ICMP, "watching", "a1b2c3d4"))),
        None,
    ),
    "a request the wrong way": (ICMP, seen("echo-request", B, A, identity="7/9", payload=MARK), None),
    "a stranger's": (ICMP, seen("echo-request", "fc00::9", B, identity="7/9", payload=MARK), None),
    "cut within the mark": (ICMP, seen("echo-request", identity="7/9", payload=MARK[:27]), None),
    "syn": (TCP, seen("tcp", identity="40000>9443", tcp_flags=0x02), ("forward", "40000")),
    "syn with ECN": (TCP, seen("tcp", identity="40000>9443", tcp_flags=0xC2), ("forward", "40000")),
    "syn-ack": (TCP, seen("tcp", B, A, identity="9443>40000", tcp_flags=0x12), ("reply", "40000")),
    "reset": (TCP, seen("tcp", B, A, identity="9443>40000", tcp_flags=0x14), ("reply", "40000")),
    "data": (TCP, seen("tcp", identity="40000>9443", tcp_flags=0x18), None),
    "another port": (TCP, seen("tcp", identity="40000>22", tcp_flags=0x02), None),
    "datagram": (UDP, seen("udp", identity="40000>5555", payload=MARK), ("forward", "40000")),
    "unmarked datagram": (UDP, seen("udp", identity="40000>5555"), None),
    "answer": (UDP, seen("udp", B, A, identity="5555>40000"), ("reply", "40000")),
    "refusal": (UDP, seen("unreachable", B, A, payload=QUOTE), ("reply", "40000")),
    "refusal of another": (TCP, seen("unreachable", B, A, payload=QUOTE), None),
    "refusal cut short": (UDP, seen("unreachable", B, A, payload=QUOTE[:42]), None),
}


@pytest.mark.parametrize("name", CASES)
def test_identify(name: str) -> None:
    plan, one, expected = CASES[name]

    assert watch.identify(plan, one) == expected


@pytest.mark.parametrize("purpose", ["probe", "watching", "done"])
def test_a_mark_can_be_read_back(purpose: probe.Purpose) -> None:
    payload = bytes(16) + bytes.fromhex(probe.mark(ICMP, purpose, "0011aaff")) * 2

    assert len(bytes.fromhex(probe.mark(ICMP, purpose, "0011aaff"))) == 16
    assert probe.read_mark(ICMP, payload) == (purpose, "0011aaff")
    assert probe.read_mark(OTHERS, payload) is None


def test_guest_that_answers_for_its_address_is_known_by_its_mac() -> None:
    watching = watch.Watch(ICMP, "aaaaaaaa", ())
    answer = seen("advertisement", A, B, source_mac="fa:16:3e:00:00:99", destination_mac=build.SOURCE_MAC)
    watching._sights["destination-port"] = watch._Sight()  # pyright: ignore[reportPrivateUsage]

    watching._see("destination-port", answer)  # pyright: ignore[reportPrivateUsage]

    (found,) = watching.observations()
    assert (found.reply_mac, found.neighbours.advertised) == ("fa:16:3e:00:00:99", 1)
