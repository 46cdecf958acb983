"""A capture that was cut off has left its mirror behind; the path is fine."""

from .. import hosts, topology
from . import Second, Truth

TRUTH = Truth("ok", "path-ok", second=Second("leftover-mirror", "destination-br-int", told=True))

_PORT = "ovsmi123456"


def inject(lab: hosts.Lab) -> None:
    """Mirror all that the amphora's port sends and receives, as ovs-tcpdump does."""
    host, device = lab.destination, topology.GUEST.device
    host.vsctl("add-port", "br-int", _PORT, "--", "set", "Interface", _PORT, "type=internal")
    mirror = ["create", "Mirror", f"name=m_{device}", "select_src_port=@it", "select_dst_port=@it", "output_port=@out"]
    ports = ["--", "--id=@it", "get", "Port", device, "--", "--id=@out", "get", "Port", _PORT]
    host.vsctl(*ports, "--", "--id=@mirror", *mirror, "--", "add", "Bridge", "br-int", "mirrors", "@mirror")
    host.configure(f"link set {_PORT} addrgenmode none", f"link set {_PORT} up")
