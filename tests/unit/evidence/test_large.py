"""Large packets of TCP: a SYN that carries data, as large as the network allows, and correct."""

import ipaddress

import pytest

from ovs_pathfinder import path
from ovs_pathfinder.evidence import beacon, large, packet, probe, watch
from tests.unit.diagnosis import build

TCP = build.plan(protocol="tcp", port=9443)
PAYLOAD = bytes.fromhex(probe.mark(TCP, "large", "a1b2c3d4")).ljust(1398, b"\0")


def test_a_syn_with_data_has_a_right_checksum_in_both_families() -> None:
    for source, destination in ((build.SOURCE, build.DESTINATION), ("192.168.77.231", "192.168.77.207")):
        ends = [
            TCP.source.model_copy(update={"address": source}),
            TCP.destination.model_copy(update={"address": destination}),
        ]
        segment = large.syn(TCP.model_copy(update={"source": ends[0], "destination": ends[1]}), 40000, PAYLOAD)
        addresses = b"".join(ipaddress.ip_address(one).packed for one in (source, destination))

        assert beacon.checksum(addresses + len(segment).to_bytes(4, "big") + (6).to_bytes(4, "big") + segment) == 0
        assert len(segment) == 1418


def seen(kind: packet.Kind, source: str, destination: str, identity: str, **more: object) -> packet.Packet:
    fields = {"kind": kind, "source": source, "destination": destination, "source_mac": build.SOURCE_MAC, **more}
    return packet.Packet.model_validate({**fields, "identity": identity})


SYN = seen("tcp", build.SOURCE, build.DESTINATION, "40000>9443", tcp_flags=0x02, payload=PAYLOAD[:60])


@pytest.mark.parametrize(
    ("plan", "one", "purpose", "expected"),
    [
        (TCP, SYN, "large", ("forward", "40000")),
        (TCP, SYN, "probe", None),
        (TCP, SYN.model_copy(update={"payload": b""}), "large", None),
        (
            TCP,
            seen("echo-reply", build.DESTINATION, build.SOURCE, "7/2", payload=bytes(16) + PAYLOAD[:16]),
            "large",
            ("reply", "a1b2c3d4/2"),
        ),
        (
            TCP,
            seen("echo-reply", build.DESTINATION, build.SOURCE, "7/2", payload=bytes(16) + PAYLOAD[:16]),
            "probe",
            None,
        ),
        (
            build.plan(protocol="udp", port=5555),
            seen("udp", build.SOURCE, build.DESTINATION, "40000>5555", payload=PAYLOAD),
            "large",
            ("forward", "40000"),
        ),
    ],
)
def test_large_packets_are_told_from_the_probes(
    plan: path.Plan, one: packet.Packet, purpose: str, expected: tuple[str, str] | None
) -> None:
    assert watch.identify(plan, one, "large" if purpose == "large" else "probe") == expected
