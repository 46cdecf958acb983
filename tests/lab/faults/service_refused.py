"""Nothing listens in the amphora at the probed port."""

from .. import hosts, processes
from . import Truth

TRUTH = Truth("broken", "service-refused", "guest", "forward", unless=("icmp",), one_host=True)


def inject(lab: hosts.Lab) -> None:
    """End the amphora's program."""
    recorded = [processes.Identity.parse(one.read_text()) for one in (lab.directory / "processes").glob("amphora-*")]
    for one in recorded:
        one.kill()
    processes.wait_until(lambda: not any(one.alive for one in recorded), "the end of the amphora's program")
