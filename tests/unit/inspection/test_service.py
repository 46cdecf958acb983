"""What became of connections is told apart, and said with what it means."""

import socket
import struct

import pydantic
import pytest

from ovs_pathfinder.evidence import host
from ovs_pathfinder.inspection import attempts, service
from ovs_pathfinder.report import view

REACHABLE = host.Neighbour(state="REACHABLE", mac="fa:16:3e:0d:9a:cf")


def found(*outcomes: attempts.Outcome, protocol: str = "tcp", **changes: object) -> service.Answer:
    made = tuple(
        attempts.Attempt(number=number, source_port=40000 + number, outcome=outcome)
        for number, outcome in enumerate(outcomes, start=1)
    )
    fields: dict[str, object] = {
        "summary": "",
        "destination": "fc00::2",
        "port": 9443,
        "protocol": protocol,
        "device": "o-hm0",
        "source": "fc00::1",
        "why": "it was named",
        "command": "nc -zvw2 -s fc00::1 fc00::2 9443",
        "attempts": made,
        "connected": sum(one in ("connected", "answered") for one in outcomes),
        "refused": outcomes.count("refused"),
        "silent": outcomes.count("silent"),
        "unreachable": outcomes.count("unreachable"),
        "neighbour": "fc00::2",
        "neighbour_before": REACHABLE,
        "neighbour_after": REACHABLE,
        "meaning": "",
        **changes,
    }
    return service.Answer.model_validate(fields)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (found("connected"), "Something listens there, and packets pass in both directions."),
        (found("connected", "silent"), "Not every time, though"),
        (found("refused"), "The host is reached and nothing listens on fc00::2 port 9443: a reset (RST) came back."),
        (found("silent"), "A filter drops the packets or their answers"),
        (found("silent", protocol="udp"), "This says little"),
        (found("answered", protocol="udp"), "Something listens there and answers"),
        (
            found("silent", neighbour_after=host.Neighbour(state="INCOMPLETE")),
            "this says nothing about the port",
        ),
        (found("unreachable"), "No packet gets there"),
    ],
)
def test_the_outcome_is_explained(answer: service.Answer, words: str) -> None:
    assert words in service.explain(answer)


def error(cause: int, type_: int, code: int, family: socket.AddressFamily, address: str) -> bytes:
    """Lay out a `struct sock_extended_err` and a sockaddr as Linux does."""
    head = struct.pack("=IBBBBII", 111, cause, type_, code, 0, 0, 0)
    packed = socket.inet_pton(family, address)
    if family == socket.AF_INET:
        return head + struct.pack("=HH4s8x", family, 0, packed)
    return head + struct.pack("=HHI16sI", family, 0, 0, packed, 0)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (error(2, 3, 3, socket.AF_INET, "10.0.0.1"), ("port unreachable", "10.0.0.1")),
        (error(2, 3, 13, socket.AF_INET, "10.0.0.1"), ("administratively prohibited", "10.0.0.1")),
        (error(3, 1, 4, socket.AF_INET6, "fc00::2"), ("port unreachable", "fc00::2")),
        (error(2, 3, 77, socket.AF_INET, "10.0.0.1"), ("ICMP type 3 code 77", "10.0.0.1")),
        (error(1, 0, 0, socket.AF_INET, "10.0.0.1"), ("", "")),
        (b"short", ("", "")),
    ],
)
def test_the_kernels_record_of_an_icmp_message_is_read(data: bytes, message: tuple[str, str]) -> None:
    assert attempts.read_error(data) == message


def test_the_page_fits_the_terminal() -> None:
    made = attempts.Attempt(
        number=1,
        outcome="unreachable",
        milliseconds=1.25,
        error="EHOSTUNREACH",
        message="administratively prohibited",
        sender="fc00:5896:ff23:44dc:f816:3eff:fea8:7ef6",
    )
    shown = found("unreachable", attempts=(made,), notes=("A note. " * 20,))
    shown = shown.model_copy(update={"summary": service.summarize(shown)})

    page = view.view(shown)["report"]

    assert [line for line in page.splitlines() if len(line) > 80] == []
    assert "administratively prohibited from fc00:5896" in page


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"destination": "fc00::1"}, "port"),
        ({"port": 80}, "no destination is given"),
        ({"destination": "example.com", "port": 80}, "it is no IP address"),
        ({"destination": "fc00::1", "port": 0}, "greater than or equal to 1"),
        ({"destination": "fc00::1", "port": 80, "protocol": "sctp"}, "'tcp' or 'udp'"),
        ({"destination": "fc00::1", "port": 80, "run": "x", "device": "y"}, "each say where to send from"),
        ({"destination": "fc00::1", "port": 80, "count": 51}, "less than or equal to 50"),
    ],
)
def test_bad_input_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        service.Query.model_validate(given)

    assert said in str(caught.value)
