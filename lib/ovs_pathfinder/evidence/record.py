"""Evidence: what one unit found out for one run."""

from typing import Literal

import pydantic

from .. import path
from ..vswitch import cookie

EVIDENCE_VERSION = 1

Subject = Literal["plan", "seen", "live", "neighbour", "heartbeat"]
"""Of a trace: the packet as the plan describes it; as it was really seen; as the key of the datapath's flow that drops
it says; the question for the neighbour; an amphora's message to Octavia's health manager, which goes the other way."""
State = Literal["untracked", "new", "established"]
"""What the host's own conntrack has said of a traced packet before it comes to the switch."""
Outcome = Literal["forwarded", "flooded", "misdirected", "dropped", "failed", "not-followed", "unknown"]
"""Where a trace ends: at the expected port alone; there and elsewhere; elsewhere alone; nowhere; translation given
up; where it could not be followed to, so that nothing is said; not known, as nothing could be traced or the expected
port does not exist."""


class Neighbours(path.Model):
    """How often neighbour discovery (RFC 4861) or ARP was seen at a point, forward being from the plan's source."""

    solicited: int = 0
    """The source asked for the destination."""
    advertised: int = 0
    """The destination answered."""
    solicited_back: int = 0
    """The destination asked for the source."""
    advertised_back: int = 0


class Observation(path.Model):
    """Which of the probe's packets were seen at one point."""

    point: path.Point
    device: str
    forward: tuple[str, ...] = ()
    """Identities of the packets from the source: `ICMP-ID/SEQUENCE`, or the source port of TCP and UDP."""
    reply: tuple[str, ...] = ()
    neighbours: Neighbours = Neighbours()
    forward_mac: str = ""
    """The Ethernet source of the packets from the plan's source, where one was seen."""
    reply_mac: str = ""
    forward_destination_mac: str = ""
    """The Ethernet destination of the probe's packets from the plan's source."""
    reply_destination_mac: str = ""
    """That of the answers to them."""
    tunnel_keys: tuple[int, ...] = ()
    """The tunnel keys that the probe's packets, or the questions for the neighbour, carried in either direction."""
    forward_tunnel_keys: tuple[int, ...] = ()
    """Those of them that went forward."""
    reply_tunnel_keys: tuple[int, ...] = ()
    large_forward: tuple[str, ...] = ()
    """The same as `forward`, of the packets that are as large as the network allows, echo requests among them."""
    large_reply: tuple[str, ...] = ()
    error: str = ""
    """Why nothing could be watched; empty where the point was watched."""
    out_of_sight: str = ""
    """Why no capture can see the packets that pass here, or not all of them; what it counted is then no observation."""

    @property
    def is_watched(self) -> bool:
        """Whether what was not seen here did not pass."""
        return not self.error and not self.out_of_sight


class Step(path.Model):
    """One flow that a traced packet met, with what it counted before and after the probe."""

    bridge: str
    table: int
    priority: int | None = None
    match: str = ""
    cookie: str = ""
    actions: tuple[str, ...] = ()
    """What it does, in the trace's words (`set_field:…`, `goto_table:60`), without its remarks; shortened."""
    before: int | None = None
    """Packets; None where the flow was not found in the table."""
    after: int | None = None

    @property
    def moved(self) -> int | None:
        """By how many packets the flow's counter rose; None where it cannot be told."""
        if self.before is None or self.after is None or self.after < self.before:
            return None
        return self.after - self.before

    def __str__(self) -> str:
        what = "no match" if self.priority is None else f"priority {self.priority}"
        return f"{self.bridge} table {self.table}, {what}" + (f", {self.match}" if self.match else "")


class Without(path.Model):
    """What would become of a traced packet without a flow that has not the agent's cookie."""

    flow: Step
    owner: cookie.Owner = "other"
    actions: str = ""
    """What that flow does, as the dump of its table says; empty where it was not found."""
    instead: str = ""
    """The agent's flow that the packet would meet; empty where there is none, or it is not known."""
    outcome: Outcome = "unknown"
    reason: str = ""
    rewritten: tuple[str, ...] = ()
    """Datapath actions by which the packet has other addresses or ports when it leaves than it would have without."""
    command: str = ""


class Trace(path.Model):
    """What the local switch says that it would do with a packet of the probe."""

    direction: path.Direction
    subject: Subject = "plan"
    state: State = "untracked"
    flow: str
    command: str
    expected: str
    """Where the packet should leave, in words."""
    outcome: Outcome
    reason: str = ""
    steps: tuple[Step, ...] = ()
    outputs: tuple[str, ...] = ()
    local_vlan: int | None = None
    """Neutron's local VLAN, as the flows on the way set it."""
    without: Without | None = None
    """Of the flow on the way that has not the agent's cookie, and of several that without which the packet would pass;
    None where there is none, or the agent's cookie is not known."""
    untraced: Literal["", "conntrack-loop", "earlier-trace"] = ""
    """Why nothing was traced, where that could have harmed the host: the packet may recirculate in a circle, and
    `steps` are the flows that recirculate in it; or an earlier trace did not come back. Empty where it was traced."""
    text: str = ""

    @property
    def reaches(self) -> bool:
        """Whether the flows take the packet where it should go."""
        return self.outcome in ("forwarded", "flooded")

    @property
    def stops(self) -> bool:
        """Whether the flows keep the packet from where it should go: of a trace not followed, neither is known."""
        return self.outcome in ("dropped", "misdirected", "failed")


class Megaflow(path.Model):
    """A datapath flow that the probe's packets used."""

    direction: path.Direction
    actions: str
    ct_invalid: bool = False
    """Whether it is for packets that conntrack calls invalid."""
    ct_marked: bool = False
    """Whether it is for connections that Neutron's flows have marked as cut off (`ct_mark=1`)."""
    offloaded: bool = False
    """Whether a NIC forwards its packets by itself."""
    raw: str

    @property
    def drops(self) -> bool:
        """Whether its packets go nowhere."""
        return self.actions.strip() == "drop"


class Probe(path.Model):
    """What the source's own tool says of its packets."""

    command: str
    transmitted: int
    sent: tuple[str, ...] = ()
    """Identities, where the tool knows them."""
    answered: int = 0
    refused: int = 0
    """TCP: connections reset; UDP: port unreachable."""
    duration: float = 0.0
    """Seconds from the first packet to the end of waiting for answers."""
    output: str = ""


class Rendezvous(path.Model):
    """How this unit knows that the other one watched at the same time."""

    nonce: str = ""
    """Names this attempt."""
    heard: tuple[str, ...] = ()
    """The other unit's attempts that were heard while this one watched."""
    heard_first: str = ""
    """The attempt of the other unit that was heard before the probe began (source) or first (destination)."""
    heard_done: str = ""
    """The attempt of the other unit that said it was done while this one still watched."""
    by: tuple[str, ...] = ()
    """The addresses that were heard from."""


class Trunk(path.Model):
    """How a port of a trunk is joined to br-int."""

    bridge: str
    """The trunk's."""
    patch: str = ""
    """The port's end on br-int, whose OpenFlow port and local VLAN are those of `Device`; empty where there is none."""
    peer: str = ""
    """Its end on the trunk's bridge."""
    vlan: int | None = None
    """The VLAN tag of the port's packets on the guest's device, by Neutron; None for the parent's, which have none."""
    fault: str = ""
    """The code of what is wrong there; empty where all is well."""
    problem: str = ""
    """The same as a sentence without its full stop."""


class Device(path.Model):
    """The port's device on this host; of a trunk's subport, its parent's."""

    name: str = ""
    present: bool = False
    ofport: int | None = None
    tag: int | None = None
    mac: str = ""
    """The device's own address; a tap's differs from its guest's in the first byte."""
    mtu: int = 0
    """Bytes of an IP packet; 0 where it is not known."""
    unsent: int = 0
    """By how much the kernel's count of packets that it could not send by the device (`tx_errors`) rose during the
    probe; with the datapath in the kernel, packets over the device's MTU are among them."""
    addresses: tuple[str, ...] = ()
    up: bool = False
    carrier: bool = False
    on_switch: bool = False
    error: str = ""
    out_of_sight: str = ""
    """Why this host's kernel does not show a device that its switch has open; `present`, `up`, `carrier`, `addresses`
    and `mtu` then say nothing. Empty where it does."""
    trunk: Trunk | None = None
    """None where the device is plugged into br-int itself."""


class Limit(path.Model):
    """Something on the way of the packets that may lose them lawfully."""

    kind: Literal["meter", "policer", "queue", "action"]
    """`action` is one of a flow that counts nothing, such as `set_queue`."""
    name: str
    """In words: `meter 7 of br-int`."""
    direction: path.Direction
    """Of the packets that pass it."""
    bridge: str = ""
    """Where it is one of a flow."""
    step: str = ""
    """That flow, as a step of the trace is written."""
    setting: str = ""
    dropped: int | None = None
    """Packets that it dropped during the probe, whoever's; None where that is not known."""

    def __str__(self) -> str:
        return f"{self.name} ({self.setting})" if self.setting else self.name


class History(path.Model):
    """What has changed on this host's switch since its newest snapshot."""

    snapshot: str
    """Its name."""
    taken: str
    """UTC, ISO 8601."""
    version: str = ""
    """Of ovs-vswitchd, then."""
    differences: tuple[str, ...] = ()
    """Lines on flows and settings that differ, the first of them."""
    count: int = 0


class Evidence(path.Model):
    """All that one unit found out for one run."""

    version: Literal[1] = EVIDENCE_VERSION
    run: path.RunId
    unit: str
    roles: tuple[path.Role, ...]
    started: str
    """UTC by this unit's clock; compared with another unit's only where neither heard the other."""
    seconds: float = 0.0
    hostname: str = ""
    """Fully qualified, where the host knows it so."""
    kernel: str = ""
    """Its release, as `uname -r` says."""
    ovs_version: str = ""
    vswitchd: str = ""
    """Why ovs-vswitchd was asked for nothing, in a few words: it does not answer; empty where it does."""
    datapath_type: str = ""
    agent_version: str = ""
    """Of the package neutron-openvswitch-agent; empty where it is not installed as one."""
    devices: dict[path.Role, Device] = pydantic.Field(default_factory=dict[path.Role, Device])
    tunnel: str | None = None
    """The tunnel port towards the other host; None where there is none."""
    tunnel_error: str = ""
    """Why the switch does not take that port; empty where it does."""
    tunnel_remote: str = ""
    """The other end of the tunnel port that bears the name Neutron gives to the one towards the other host."""
    agent_cookies: dict[str, str] = pydantic.Field(default_factory=dict[str, str])
    """The cookie that Neutron's agent gives its flows, by bridge: any other flow is not the agent's."""
    underlay_route: str = ""
    """The device that the host would use towards the other tunnel end; empty where there is no route."""
    neighbour_state: str = ""
    """The source's neighbour entry for the destination after the probe, as `ip neigh` says."""
    link_local: str = ""
    """What the source host finds out, after a probe without answers, of the guest's link-local address, by `ip neigh`:
    a guest that lives and has lost its address still answers for that one."""
    probe: Probe | None = None
    unresolved: int = 0
    """How often the source had asked for the destination's MAC address when the probe ended, where it then still had no
    answer: the kernel keeps back what it would send."""
    large: Probe | None = None
    """Packets as large as the network's MTU, which must not be fragmented; sent beside the probe's. Only those of ICMP
    are ever counted as answered."""
    large_echoes: Probe | None = None
    """The same of ICMP, where the plan has another protocol."""
    observations: tuple[Observation, ...] = ()
    traces: tuple[Trace, ...] = ()
    megaflows: tuple[Megaflow, ...] = ()
    heartbeats: tuple[Megaflow, ...] = ()
    """Datapath flows of the amphora's messages to Octavia's health manager."""
    limits: tuple[Limit, ...] = ()
    """Meters, policers and queues on the way."""
    conntrack_full: tuple[str, ...] = ()
    """Sentences on the conntrack tables that had no room after the probe."""
    drops: dict[str, int] = pydantic.Field(default_factory=dict[str, int])
    """By how much vswitchd's own counters of dropped packets rose during the probe, whoever's packets they were."""
    patches: tuple[str, ...] = ()
    """Sentences on patch ports between the bridges that lead nowhere."""
    mirrors: tuple[str, ...] = ()
    """Sentences on mirrors of others on the bridges of the path."""
    log: tuple[str, ...] = ()
    """Warnings and errors that ovs-vswitchd has logged since the probe began."""
    history: History | None = None
    rendezvous: Rendezvous = Rendezvous()
    problems: tuple[str, ...] = ()
    """Whole sentences on what could not be found out."""

    def observation(self, point: path.Point) -> Observation | None:
        """Return what was seen at a point, if this unit watched there."""
        found = (one for one in self.observations if one.point == point and one.is_watched)
        return next(found, None)

    def trace(self, direction: path.Direction, subject: Subject = "plan") -> Trace | None:
        """Return a trace by its direction and subject, of a packet that conntrack has not seen yet."""
        wanted = (direction, subject, "untracked")
        found = (one for one in self.traces if (one.direction, one.subject, one.state) == wanted)
        return next(found, None)

    def tracked(self, direction: path.Direction) -> tuple[Trace, ...]:
        """Return the traces of the probe's packet as the host's own conntrack may have seen it before the switch."""
        return tuple(
            one
            for one in self.traces
            if (one.direction, one.subject) == (direction, "plan") and one.state != "untracked"
        )


class Capture(path.Model):
    """The packets of one observation point, as they were: not evidence, but what evidence was read from."""

    point: path.Point
    device: str
    packets: int
    more: int = 0
    """Packets that there was no room for."""
    pcap: str
    """A capture file in the classic format (pcap-savefile(5)), in base64."""


class Captures(path.Model):
    """Of one unit."""

    captures: tuple[Capture, ...] = ()


class Attempt(path.Model):
    """What became of one round of packets in a trial."""

    sent: int = 0
    """By this unit; 0 on a unit that is not the source's."""
    answered: int = 0
    forward: dict[path.Point, int] = pydantic.Field(default_factory=dict[path.Point, int])
    """Packets seen at each point of this host that was watched."""
    reply: dict[path.Point, int] = pydantic.Field(default_factory=dict[path.Point, int])


class Trial(path.Model):
    """One thing was changed for a moment, and the probe repeated: before, during, after."""

    version: Literal[1] = EVIDENCE_VERSION
    trial: Literal["flows", "port-security"]
    run: path.RunId
    unit: str
    role: path.Role
    """The end of the path at which it was changed."""
    started: str
    """UTC by this unit's clock."""
    change: str
    """What was changed, in words."""
    commands: tuple[str, ...] = ()
    """The same as commands, as one would type them."""
    learned: bool = False
    """Whether the destination may have learned the source's MAC address by the change: nobody can take that back."""
    before: Attempt = Attempt()
    during: Attempt | None = None
    """None where nothing was changed."""
    after: Attempt | None = None
    met: int | None = None
    """Packets that came to what was changed while it was there; None where that was not counted."""
    lived: float = 0.0
    """Seconds for which the change was there; 0 where another unit made it."""
    exposure: float = 0.0
    """Seconds of those in which this unit sent nothing and waited for nothing."""
    outcome: str = ""
    """How the change was undone, in a sentence."""
    left: str = ""
    """What could not be undone, in a sentence; empty where nothing is left."""
    problem: str = ""
    """Why the trial was not made, or tells nothing, in a sentence."""
