"""The source's tunnel port leads to another host than the one it is named after."""

from .. import hosts
from . import Truth, _stray

TRUTH = Truth("broken", "tunnel-mismatch", "source-br-tun", "forward", unless=("physical",))


def inject(lab: hosts.Lab) -> None:
    """Change the port's remote address."""
    _stray.settle(lab)
    lab.source.vsctl("set", "Interface", lab.tunnel_port("octavia"), f"options:remote_ip={_stray.ADDRESS}")
