"""Known bugs of Open vSwitch and of Neutron's agent that lose packets: versions, effects, remedies."""

import dataclasses
import re
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Defect:
    """One bug."""

    id: str
    title: str
    """What it does, as the end of a sentence."""
    versions: Mapping[tuple[int, int], tuple[int, int]]
    """For each release series the first patch release that has it, and the first that has it no more; nothing where
    versions of Open vSwitch do not decide."""
    logged: str
    """What ovs-vswitchd logs when it strikes; empty where it logs nothing."""
    fix: str
    """What mends it, as a sentence."""
    sources: tuple[str, ...]
    """Where it is described, as sentences."""

    def affects(self, version: str) -> bool:
        """Say whether a version may have it; one that is not understood is not known to have it."""
        if not self.versions:
            return True
        found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
        if found is None:
            return False
        major, minor, patch = (int(part) for part in found.groups())
        first, fixed = self.versions.get((major, minor), (0, 0))
        return first <= patch < fixed


CT_CLEAR = Defect(
    id="ct-clear-skipped",
    title="it leaves out ct_clear for packets that were not recirculated, so that those which the host's own conntrack "
    "has seen go round in a circle in Neutron's table 71 until they are dropped",
    versions={(2, 13): (7, 8), (2, 14): (5, 6), (2, 15): (4, 5), (2, 16): (0, 4), (2, 17): (0, 2)},
    logged="over max translation depth",
    fix="2.13.8, 2.14.6, 2.15.5, 2.16.4, 2.17.2 and 3.0.0 do not have it.",
    sources=("Open vSwitch's commit 355fef6f2ccb brought it, and its commit 88e3ae5d6f73 mends it.",),
)

TWIN_TUNNEL = Defect(
    id="tunnel-same-config",
    title="it refuses a second tunnel port with the same two ends and key, and says no more than `File exists`",
    versions={},
    logged="attempting to add tunnel port with same config as port",
    fix="Its log names the other port; delete the one that is left over (ovs-vsctl del-port).",
    sources=("https://github.com/ovn-org/ovn-kubernetes/issues/1010",),
)
LEGACY_GRE6 = Defect(
    id="gre6-packet-type",
    title="it knows no packet_type=legacy, which Neutron 15.3.1, 15.3.2, 16.3.0 and 17.1.0 ask it for on GRE over IPv6",
    versions={},
    logged="unknown packet_type",
    fix="Upgrade Neutron's agent, or set options:packet_type=legacy_l2 on the port.",
    sources=("Neutron's ovs_lib.py of 17.1.0, and of 18.0.0, which has legacy_l2.",),
)


@dataclasses.dataclass(frozen=True)
class AgentDefect:
    """A bug of neutron-openvswitch-agent: what it leaves behind is seen, and that it was this bug is not."""

    id: str
    title: str
    """What it does, as the end of a sentence."""
    codes: tuple[str, ...]
    """The findings that it may be behind."""
    bridge: str
    """The one whose flows it concerns."""
    mended: Mapping[int, tuple[int, int]]
    """For each release series the first release without it; all older series have it, all newer ones do not."""
    source: str

    def affects(self, version: str) -> bool:
        """Say whether a version, as `dpkg-query` prints it, may have it."""
        found = re.match(r"(?:\d+:)?(\d+)\.(\d+)\.(\d+)", version)
        if found is None:
            return False
        major, minor, patch = (int(part) for part in found.groups())
        return major < min(self.mended) or (minor, patch) < self.mended.get(major, (0, 0))

    @property
    def releases(self) -> str:
        """Name the releases that mended it."""
        return ", ".join(f"{major}.{minor}.{patch}" for major, (minor, patch) in self.mended.items())


AGENTS = (
    AgentDefect(
        id="neutron-conntrack-cleaned-early",
        title="it deletes conntrack's entries of cut-off connections before the new flows are there, so that a "
        "connection may stay cut off after its rule is back",
        codes=("conntrack-stale",),
        bridge="br-int",
        mended={26: (0, 4), 27: (0, 3), 28: (0, 1)},
        source="Neutron's change log: [OVS FW] Clean invalid conntrack entries after OF rules are applied",
    ),
    AgentDefect(
        id="neutron-conj-id-reused",
        title="it numbers conjunctions from the start again when it restarts, so that connections which rules with "
        "remote groups allow may be cut off",
        codes=("conntrack-stale", "ingress-rule-missing", "egress-rule-missing"),
        bridge="br-int",
        mended={17: (3, 0), 18: (2, 0), 19: (1, 0)},
        source="https://bugs.launchpad.net/neutron/+bug/1934917",
    ),
    AgentDefect(
        id="neutron-conj-flows-lost",
        title="it does not put the flows of rules with remote groups back after ovs-vswitchd has restarted",
        codes=("flows-missing", "ingress-rule-missing", "egress-rule-missing"),
        bridge="br-int",
        mended={15: (3, 3), 16: (3, 1), 17: (1, 1)},
        source="https://bugs.launchpad.net/neutron/+bug/1912651",
    ),
    AgentDefect(
        id="neutron-group-removed-in-use",
        title="it forgets a security group that is still in use, and with it the flows of its rules",
        codes=("flows-missing",),
        bridge="br-int",
        mended={24: (2, 1), 25: (2, 1), 26: (0, 2)},
        source="Neutron's change log: OVS firewall: only remove security group when truly unused",
    ),
    AgentDefect(
        id="neutron-flood-lost-on-restart",
        title="it writes br-tun's flows for broadcasts and unknown addresses anew when it restarts, and leaves out "
        "tunnels that were known before",
        codes=("forwarding-entry-wrong", "flows-missing"),
        bridge="br-tun",
        mended={28: (0, 0)},
        source="https://bugs.launchpad.net/neutron/+bug/1978088",
    ),
)
"""Of Neutron's Open vSwitch agent; Neutron's documentation tells what its tables are for."""
