import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from ovs_pathfinder import errors, process


def test_stdout_is_returned() -> None:
    assert process.run(["cat"], input="packets\n") == "packets\n"


def test_a_tool_that_is_not_there_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SEARCH_PATH", "/nonexistent")

    with pytest.raises(errors.PathfinderError, match="install the package openvswitch-switch"):
        process.find("ovs-vsctl")


def test_a_tool_that_takes_too_long_is_ended() -> None:
    begun = time.monotonic()
    with pytest.raises(process.ProcessError, match=r"`sleep 30` took too long: no answer within 0.1 s") as raised:
        process.run(["sleep", "30"], timeout=0.1)

    assert raised.value.status is None
    assert time.monotonic() - begun < 5


def test_the_error_quotes_what_the_tool_said() -> None:
    with pytest.raises(process.ProcessError, match=r"`ls /nonexistent` failed with exit status 2: .*ls: cannot access"):
        process.run(["ls", "/nonexistent"])


def test_tools_see_a_fixed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVS_RUNDIR", "/tmp/opf-run")  # noqa: S108
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("OS_PASSWORD", "secret")

    seen = dict(line.split("=", 1) for line in process.run(["env"]).splitlines())

    assert seen == {"PATH": process.SEARCH_PATH, "LC_ALL": "C", "OVS_RUNDIR": "/tmp/opf-run"}  # noqa: S108


def test_bytes_that_are_no_text_do_not_fail() -> None:
    assert process.run(["printf", r"\377"]) == "\ufffd"


def test_a_running_tool_can_be_stopped() -> None:
    running = process.Running(["sleep", "60"])
    assert not running.ended

    running.stop()

    assert running.ended


def test_a_tool_that_ends_by_itself_tells_all() -> None:
    assert process.Running(["echo", "done"]).finish(5) == ("done\n", "")


def _exists(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:  # noqa: PTH123
            return stat.read().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


PARENT = """
from ovs_pathfinder import process
import time
child = process.Running(["sleep", "120"])
print(child._popen.pid, flush=True)
time.sleep(120)
"""


def test_a_child_dies_with_its_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    deadline = time.monotonic() + 10
    while not _is_sleep(child) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert _is_sleep(child)

    parent.send_signal(signal.SIGKILL)
    parent.wait(5)
    parent.stdout.close()

    while _exists(child) and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert not _exists(child)


def _is_sleep(pid: int) -> bool:
    """Whether setpriv has given way to the tool itself."""
    with open(f"/proc/{pid}/comm", encoding="utf-8") as name:  # noqa: PTH123
        return name.read().strip() == "sleep"


def test_foreign_text_stands_behind_all_options() -> None:
    command = process.Command(
        ["ovs-ofctl", ("--timeout=", 5), ("-O", "OpenFlow14"), "dump-flows"], "--help", "-w/tmp/x"
    )

    assert command.words == (
        *("ovs-ofctl", "--timeout=5", "-O", "OpenFlow14", "dump-flows"),
        *("--", "--help", "-w/tmp/x"),
    )


def test_the_value_of_an_option_may_begin_with_a_dash() -> None:
    assert process.Command(["tcpdump", ("-i", "-w"), ("-c", 1_000_000), ("-W", 0.5)]).words == (
        *("tcpdump", "-i", "-w", "-c", "1000000", "-W", "0.5"),
    )


def test_a_tool_that_knows_no_end_of_options_is_not_run_with_what_looks_like_one() -> None:
    command = process.Command(["ovs-appctl", "ofproto/trace"], "br-int", "--l7-len")

    with pytest.raises(process.NotRunError, match="was not run: ovs-appctl would take '--l7-len' for an option"):
        process.run(command)
    with pytest.raises(process.NotRunError, match="was not run"):
        process.Running(command)


def test_several_commands_of_one_tool_are_looked_at_each() -> None:
    first = process.Command(["ovs-vsctl", "--", "list", "Bridge"], "br-int")
    command = first.then(["--", "list", "Port"], "--db=tcp:192.0.2.1:6640")

    first.check()
    with pytest.raises(process.NotRunError, match="ovs-vsctl would take '--db=tcp"):
        command.check()


def test_a_zero_byte_is_refused_in_a_sentence() -> None:
    with pytest.raises(process.NotRunError, match="zero byte"):
        process.run(process.Command(["cat"], "a\0b"))
