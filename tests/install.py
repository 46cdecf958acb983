"""Install what the lab and the tests need on Debian or Ubuntu; does nothing, in no time, where all is there.

With the argument `cloud`, also what tests/cloud needs.

It runs on the system's Python, before anything is installed, and so uses the standard library alone.
"""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterable

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOOLS = {
    "ovs-vswitchd": "openvswitch-switch",
    "tcpdump": "tcpdump",
    "ip": "iproute2",
    "ping": "iputils-ping",
    "ethtool": "ethtool",
    "setpriv": "util-linux",
    "systemd-run": "systemd",
    "dbus-daemon": "dbus",
    "nft": "nftables",
}
CLOUD = (
    "mariadb-client-core",
    "mariadb-server-core",
    "neutron-common",
    "nova-common",
    "openvswitch-switch",
    "python3-keystone",
    "python3-neutron",
    "python3-nova",
    "python3-octavia",
    "python3-placement",
    "rabbitmq-server",
)
"""What tests/cloud needs: each service's modules, none of the packages that set a service up."""
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
"""What decides whether a package may start its service: exit status 101 is no."""


def run(*command: str) -> None:
    """Run a command; its own message says what went wrong."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"install: `{' '.join(command)}` failed with exit status {done.returncode}")


def as_root() -> list[str]:
    """Return what goes before a command that only root may run."""
    return [] if os.geteuid() == 0 else ["sudo"]


def packages() -> None:
    """Install the Debian packages whose tools are missing."""
    missing = sorted({package for tool, package in TOOLS.items() if not shutil.which(tool, path=SEARCH_PATH)})
    try:
        import ensurepip as _  # noqa: F401
    except ImportError:
        missing.append("python3-venv")
    if not missing:
        return
    if not shutil.which("apt-get", path=SEARCH_PATH):
        sys.exit(
            f"install: this is neither Debian nor Ubuntu; install {', '.join(missing)} by hand, then run this again"
        )
    sudo = as_root()
    print(f"installing {', '.join(missing)}", flush=True)
    run(*sudo, "apt-get", "update", "-qq")
    run(*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def absent(names: Iterable[str]) -> list[str]:
    """Return those of some packages that are not installed; all, where there is no dpkg."""
    if not shutil.which("dpkg-query", path=SEARCH_PATH):
        return list(names)
    command = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\\n", *names]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [name for name in names if f"{name} installed" not in shown.splitlines()]


def unknown(names: Iterable[str]) -> list[str]:
    """Return those of some packages that apt cannot install; all, where there is no apt."""
    if not shutil.which("apt-cache", path=SEARCH_PATH):
        return list(names)
    command = ["apt-cache", "policy", *names]
    environment = {**os.environ, "LC_ALL": "C"}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout
    candidates = dict(re.findall(r"^(\S+):\n.*\n  Candidate: (.*)$", shown, re.MULTILINE))
    return [name for name in names if candidates.get(name, "(none)") == "(none)"]


def cloud() -> None:
    """Install what a real control plane needs, and start none of it."""
    missing = absent(CLOUD)
    if not missing:
        return
    if not shutil.which("apt-get", path=SEARCH_PATH):
        sys.exit("install: the cloud's tests need Debian or Ubuntu, whose packages have OpenStack; they are skipped")
    sudo = as_root()
    run(*sudo, "apt-get", "update", "-qq")
    without = unknown(missing)
    if without:
        sys.exit(f"install: apt has no {', '.join(without)} here, so the cloud's tests are skipped")
    print(f"installing the cloud's packages, which takes minutes: {', '.join(missing)}", flush=True)
    options = ["-y", "-qq", "--no-install-recommends", "-o", "DPkg::Options::=--force-unsafe-io"]
    with no_services(sudo):
        run(*sudo, "apt-get", "install", *options, *missing)


@contextlib.contextmanager
def no_services(sudo: list[str]) -> Generator[None]:
    """Keep packages from starting their services meanwhile; a machine that has a rule of its own keeps it."""
    if POLICY.exists():
        yield
        return
    run(*sudo, "sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 755 {POLICY}")
    try:
        yield
    finally:
        run(*sudo, "rm", "-f", str(POLICY))


def environment() -> None:
    """Make the virtual environment from the lock file, with a uv of this folder's own."""
    uv = ROOT / ".bootstrap" / "bin" / "uv"
    lock, stamp = ROOT / "uv.lock", ROOT / ".venv" / "installed"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return
    if not uv.exists():
        run(sys.executable, "-m", "venv", str(uv.parents[1]))
        run(str(uv.parent / "pip"), "install", "--quiet", "--disable-pip-version-check", "uv>=0.8")
    print("installing the Python packages", flush=True)
    run(str(uv), "sync", "--frozen", "--quiet", "--python", sys.executable)
    stamp.write_bytes(lock.read_bytes())


if __name__ == "__main__":
    if sys.version_info < (3, 10):  # noqa: UP036 - older ones may be what `python3` is
        sys.exit(f"install: Python 3.10 or newer is needed, this is {sys.version.split()[0]}")
    packages()
    environment()
    if "cloud" in sys.argv[1:]:
        cloud()
