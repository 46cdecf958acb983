"""The amphora's interface has lost its addresses: packets reach it and nothing comes back."""

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "guest-silent", "guest", "forward", tcp="service-silent", one_host=True)


def inject(lab: hosts.Lab) -> None:
    """Take the addresses away; the device stays up."""
    lab.guest.configure("address flush dev eth0")
