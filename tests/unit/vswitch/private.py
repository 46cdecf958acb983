"""A real Open vSwitch for one module's tests: devices are dummies, so it needs neither root nor the kernel's module.

With `kernel_tunnels`, tunnels are the datapath's own, as in the kernel (`output to kernel tunnel`).
"""

import contextlib
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator

TOOLS = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl")
_SCHEMA = pathlib.Path("/usr/share/openvswitch/vswitch.ovsschema")
_LIMIT = 10.0


def missing() -> str:
    """Say what this machine lacks, or nothing."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(absent)}" if absent else ""


@contextlib.contextmanager
def running() -> Generator[pathlib.Path, None, None]:
    """Run a switch, with the environment pointing at it."""
    kept = os.environ.get("OVS_RUNDIR")
    with tempfile.TemporaryDirectory(prefix="opf-unit-") as folder, contextlib.ExitStack() as ending:
        place = pathlib.Path(folder)
        os.environ["OVS_RUNDIR"] = folder
        ending.callback(_restore, kept)
        socket = place / "db.sock"
        call("ovsdb-tool", "create", str(place / "conf.db"), str(_SCHEMA))
        server = f"--remote=punix:{socket}"
        _start(ending, "ovsdb-server", str(place / "conf.db"), server, f"--pidfile={place}/ovsdb-server.pid")
        until(socket.exists)
        call("ovs-vsctl", "--no-wait", "init", "--", "set", "Open_vSwitch", ".", "external_ids:hostname=octavia-host")
        _start(
            ending,
            "ovs-vswitchd",
            f"unix:{socket}",
            "--enable-dummy",
            "--disable-system",
            f"--pidfile={place}/ovs-vswitchd.pid",
        )
        until((place / "ovs-vswitchd.pid").exists)
        yield place


def call(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=_LIMIT, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr}")
    return done.stdout


def configure(text: str) -> None:
    """Hand lines of `ovs-vsctl`'s commands over as one transaction."""
    call("ovs-vsctl", *text.split())


def kernel_tunnels() -> None:
    """Leave tunnel headers to the datapath, of which br-int must be."""
    call("ovs-appctl", "dpif/set-dp-features", "br-int", "tnl_push_pop", "false")


def install(bridge: str, dump: str) -> list[str]:
    """Install flows as `dump-flows` printed them; return their lines."""
    lines = [line.strip() for line in dump.splitlines() if "actions=" in line]
    # ovs-ofctl prints icmp_type for ICMPv6, and refuses to read it.
    readable = [re.sub(r"(icmp6.*?)icmp_type=", r"\1icmpv6_type=", line) for line in lines]
    call("ovs-ofctl", "add-flows", bridge, "-", stdin="\n".join(readable))
    return lines


def dump(bridge: str) -> list[str]:
    """Return all that the switch says of each flow, counters included, but how long it has been there; sorted."""
    text = call("ovs-ofctl", "-O", "OpenFlow14", "--no-names", "dump-flows", bridge)
    return sorted(re.sub(r"duration=[0-9.]+s, ", "", line.strip()) for line in text.splitlines() if "actions=" in line)


def receive(device: str, *packets: str) -> None:
    """Let a dummy device receive packets, each a flow in the datapath's words, and let the flows' counters follow."""
    call("ovs-appctl", "netdev-dummy/receive", device, *packets)
    call("ovs-appctl", "revalidator/purge")


def warp(seconds: int) -> None:
    """Let time pass for ovs-vswitchd; from then on it stands still there."""
    call("ovs-appctl", "time/stop")
    call("ovs-appctl", "time/warp", str(seconds * 1000), "1000")


def stop(place: pathlib.Path, daemon: str, number: signal.Signals) -> None:
    """End one of the two daemons by a signal, and wait for its end."""
    pid = int((place / f"{daemon}.pid").read_text())
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, number)
        if not select.select([descriptor], [], [], _LIMIT)[0]:
            raise AssertionError(f"{daemon} did not end by {number.name}")
    finally:
        os.close(descriptor)


def _start(ending: contextlib.ExitStack, *command: str) -> None:
    process = subprocess.Popen([*command, "-vconsole:off", "-vsyslog:off"], stdin=subprocess.DEVNULL)
    ending.callback(process.wait, _LIMIT)
    ending.callback(process.terminate)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LIMIT
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "Open vSwitch did not start"
        pause.wait(0.02)


def _restore(kept: str | None) -> None:
    os.environ.pop("OVS_RUNDIR", None)
    if kept is not None:
        os.environ["OVS_RUNDIR"] = kept
