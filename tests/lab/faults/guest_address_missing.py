"""The amphora lives and has lost the address that its Neutron port has, as with a lease that ran out."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "guest-address-missing", "guest", "forward", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Take the probed address away; the others stay, the link-local one among them."""
    lab.guest.configure(f"address del {lab.address}/{64 if lab.shape.ip == 6 else 24} dev eth0")
