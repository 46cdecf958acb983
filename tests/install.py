"""Install what the lab and the tests need on Debian or Ubuntu; does nothing, in no time, where all is there.

It runs on the system's Python, before anything is installed, and so uses the standard library alone.
"""

import os
import pathlib
import shutil
import subprocess
import sys

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
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run(*command: str) -> None:
    """Run a command; its own message says what went wrong."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if done.returncode != 0:
        sys.exit(f"install: `{' '.join(command)}` failed with exit status {done.returncode}")


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
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    print(f"installing {', '.join(missing)}", flush=True)
    run(*sudo, "apt-get", "update", "-qq")
    run(*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


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
