"""The source's address was changed, in Neutron and on the device, and anti-spoofing knows the old one."""

import copy

from .. import hosts
from . import Truth

TRUTH = Truth("broken", "source-address-wrong", "source-br-int", "forward", one_host=True)

_PAST = {4: "192.168.77.99", 6: "fc00:5896:ff23:44dc::99"}


def inject(lab: hosts.Lab) -> None:
    """Let the flows be those of an address of the past; the API knows the present one."""
    port = lab.port("source")
    present = copy.deepcopy(port["fixed_ips"])
    for one in port["fixed_ips"]:
        one["ip_address"] = _PAST[6 if ":" in one["ip_address"] else 4]
    lab.apply("br-int")
    port["fixed_ips"] = present
