"""A real systemd as process 1 of namespaces of its own, to learn what it does to services.

It has the host's files, but a /run, a /dev and units of its own: no more than the system bus and the journal need. The
host's own systemd, where there is one, is not touched.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping
from typing import Any

from . import processes

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_INIT = pathlib.Path("/usr/lib/systemd/systemd")
_UNITS = pathlib.Path("/usr/lib/systemd/system")
_TARGETS = ("basic", "network", "paths", "shutdown", "slices", "sockets", "sysinit", "timers", "umount")
_SERVICES = (
    *("dbus.service", "dbus.socket"),
    *("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket"),
)
_GOAL = """[Unit]
Requires=basic.target dbus.socket systemd-journald.service
After=basic.target dbus.socket systemd-journald.service
"""
_SHUTDOWN = """[Unit]
DefaultDependencies=no
Requires=shutdown.target
After=shutdown.target
"""
_HIDDEN = (
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/etc/systemd/system-generators",
    "/usr/local/lib/systemd/system-generators",
    "/usr/lib/systemd/system-generators",
)
_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
# What would reach beyond the namespaces: modules, the clock, the machine's end.
_DROPPED = "-sys_module,-sys_time,-sys_boot,-sys_rawio,-mac_admin,-mac_override"


class Systemd:
    """A running systemd, with whose manager commands talk that are run here."""

    def __init__(self, pid: int) -> None:
        self._enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--net", "--"]

    def start(self, *argv: str, **more: Any) -> "subprocess.Popen[str]":
        """Start a command here; its process group is its own."""
        return subprocess.Popen([*self._enter, *argv], text=True, start_new_session=True, env=_environment(), **more)

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a command here and return what it printed.

        Raises:
            RuntimeError: It failed and `check` is set.

        """
        done = subprocess.run(
            [*self._enter, *argv], capture_output=True, text=True, timeout=30, env=_environment(), check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{argv}: {done.returncode}: {done.stderr}{done.stdout}")
        return done.stdout

    def add_unit(self, name: str, text: str) -> None:
        """Add a unit's file."""
        self.run(
            sys.executable, "-c", "import sys; open(sys.argv[1], 'w').write(sys.argv[2])", f"{_UNITS}/{name}", text
        )
        self.run("systemctl", "daemon-reload")

    def shut_down(self) -> None:
        """Stop all services in the order in which the host's end would stop them; systemd itself goes on."""
        self.run("systemctl", "start", "--job-mode=replace-irreversibly", "opf-shutdown.target")


def missing() -> str:
    """Say why systemd cannot be booted here; empty where nothing speaks against it."""
    if os.geteuid():
        return "to boot a systemd needs root"
    tools = ("systemd-run", "systemctl", "journalctl", "dbus-daemon", "unshare", "nsenter", "setpriv", "mount")
    absent = [each for each in tools if not shutil.which(each, path=_PATH)]
    absent += [str(each) for each in (_INIT, *(_UNITS / name for name in _SERVICES)) if not each.exists()]
    if absent:
        return f"to boot a systemd needs {', '.join(absent)}"
    hierarchy = _cgroups()
    writable = hierarchy is not None and os.access(hierarchy, os.W_OK)
    return "" if writable else "to boot a systemd needs a cgroup2 file system that can be written"


@contextlib.contextmanager
def boot() -> Generator[Systemd]:
    """Boot a systemd, and end it with all its processes when the context is left, or by the kernel with this thread.

    Raises:
        RuntimeError: It does not come up, with what it said.

    """
    _sweep()
    hierarchy = _cgroups()
    assert hierarchy is not None
    group = hierarchy / f"opf-systemd-{str(processes.Identity.of(os.getpid())).replace(' ', '-')}"
    with tempfile.TemporaryFile("w+") as log:
        argv = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.lab.systemd", str(group)]
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(), cwd=CHECKOUT
        )
        try:
            yield _booted(child, log)
        finally:
            _end(child)
            processes.wait_until(lambda: _remove(group), f"{group} is empty")


def _booted(child: "subprocess.Popen[bytes]", log: Any) -> Systemd:
    def goes_on() -> bool:
        if child.poll() is None:
            return True
        log.seek(0)
        raise RuntimeError(f"systemd does not come up: {log.read().strip()[-2000:]}")

    def is_init() -> bool:
        with contextlib.suppress(OSError):  # it has ended between two looks
            pid = _first(child) if goes_on() else None
            return pid is not None and pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd"
        return False

    processes.wait_until(is_init, "systemd runs", 10)
    systemd = Systemd(_first(child) or 0)
    processes.wait_until(
        lambda: goes_on() and systemd.run("systemctl", "is-active", "opf.target", check=False).strip() == "active",
        "systemd is up",
        20,
    )
    return systemd


def _first(child: "subprocess.Popen[bytes]") -> int | None:
    """Return process 1 of the new namespaces, which is the only child of unshare."""
    children = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    return int(children[0]) if children else None


def _end(child: "subprocess.Popen[bytes]") -> None:
    """End process 1, and with it all others; unshare, which waits for it, ends then too."""
    first = _first(child) if child.poll() is None else None
    if first is None:
        child.kill()
    else:
        os.kill(first, signal.SIGKILL)
    child.wait(10)


def _environment() -> Mapping[str, str]:
    return {"PATH": _PATH, "LC_ALL": "C", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}


def _cgroups() -> pathlib.Path | None:
    """Return where the unified hierarchy is mounted."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    return next((pathlib.Path(fields[1]) for fields in mounts if fields[2] == "cgroup2"), None)


def _remove(group: pathlib.Path) -> bool:
    """Remove a control group with those in it; say whether that worked, which it does once they are empty."""
    with contextlib.suppress(OSError):
        for inner, _, _ in os.walk(group, topdown=False):
            pathlib.Path(inner).rmdir()
    return not group.exists()


def _sweep() -> None:
    """Remove the control groups of those who died before they could; their processes died with them."""
    for group in (_cgroups() or pathlib.Path("/nonexistent")).glob("opf-systemd-*-*"):
        owner = processes.Identity.parse(group.name.removeprefix("opf-systemd-").replace("-", " "))
        if not owner.alive:
            _remove(group)


def _become_unshare(group: pathlib.Path) -> None:
    """Enter the control group that is to be the root of what systemd sees, and give way to unshare."""
    group.mkdir()
    (group / "cgroup.procs").write_text("0")
    argv = ["unshare", "--mount", "--pid", "--cgroup", "--ipc", "--uts", "--net", "--fork", "--kill-child=SIGKILL"]
    os.execvp(argv[0], [*argv, "--", sys.executable, "-m", "tests.lab.systemd"])  # noqa: S606


def _become_systemd() -> None:
    """Prepare the namespaces, as process 1 of them, and give way to systemd."""
    _mount("-t", "proc", "proc", "/proc")
    _mount("--bind", "/proc/sys", "/proc/sys")
    _mount("-o", "remount,bind,ro", "/proc/sys")
    _mount("-t", "sysfs", "-o", "ro", "sysfs", "/sys")
    _mount("-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
    _make_devices()
    _make_units()
    identity = pathlib.Path("/run/machine-id")
    identity.write_text(f"{os.urandom(16).hex()}\n")
    _mount("--bind", str(identity), "/etc/machine-id")
    own = {"container": "opf", "PATH": _PATH, "LC_ALL": "C"}  # without `container` it would take itself for the host's
    argv = ["setpriv", f"--bounding-set={_DROPPED}", "--", str(_INIT), "--system", "--unit=opf.target"]
    os.execvpe(argv[0], [*argv, "--log-target=journal", "--show-status=no"], own)  # noqa: S606


def _make_devices() -> None:
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/dev")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(f"/dev/{name}", stat.S_IFCHR, os.makedev(major, minor))
        pathlib.Path("/dev", name).chmod(0o666)
    pathlib.Path("/dev/fd").symlink_to("/proc/self/fd")
    pathlib.Path("/dev/ptmx").symlink_to("pts/ptmx")


def _make_units() -> None:
    """Leave of the host's units the few that are needed, so that nothing of the host is started a second time."""
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    units, empty, journal = pathlib.Path("/run/units"), pathlib.Path("/run/empty"), pathlib.Path("/run/systemd")
    for each in (units, empty, journal / "journald.conf.d"):
        each.mkdir(parents=True)
    for name in (*_SERVICES, *(f"{each}.target" for each in _TARGETS)):
        shutil.copy(_UNITS / name, units / name)
    (units / "opf.target").write_text(_GOAL)
    (units / "opf-shutdown.target").write_text(_SHUTDOWN)
    (journal / "journald.conf.d" / "opf.conf").write_text("[Journal]\nStorage=volatile\n")
    _mount("--bind", str(units), str(_UNITS))
    for place in _HIDDEN:
        if pathlib.Path(place).is_dir():
            _mount("--bind", str(empty), place)


def _mount(*argv: str) -> None:
    subprocess.run(["mount", *argv], check=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _become_unshare(pathlib.Path(sys.argv[1]))
    _become_systemd()
