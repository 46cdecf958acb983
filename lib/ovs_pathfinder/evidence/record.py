"""Evidence: what one unit found out for one run."""

from typing import Annotated, Literal

import pydantic

from .. import bounds, path
from ..vswitch import cookie, trunk

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

    solicited: bounds.Packets = 0
    """The source asked for the destination."""
    advertised: bounds.Packets = 0
    """The destination answered."""
    solicited_back: bounds.Packets = 0
    """The destination asked for the source."""
    advertised_back: bounds.Packets = 0


class Observation(path.Model):
    """Which of the probe's packets were seen at one point."""

    point: path.Point
    device: bounds.Line
    forward: bounds.Identities = ()
    """Identities of the packets from the source: `ICMP-ID/SEQUENCE`, or the source port of TCP and UDP."""
    reply: bounds.Identities = ()
    neighbours: Neighbours = Neighbours()
    forward_mac: bounds.Word = ""
    """The Ethernet source of the packets from the plan's source, where one was seen."""
    reply_mac: bounds.Word = ""
    forward_destination_mac: bounds.Word = ""
    """The Ethernet destination of the probe's packets from the plan's source."""
    reply_destination_mac: bounds.Word = ""
    """That of the answers to them."""
    tunnel_keys: bounds.Many[bounds.Key] = ()
    """The tunnel keys that the probe's packets, or the questions for the neighbour, carried in either direction."""
    forward_tunnel_keys: bounds.Many[bounds.Key] = ()
    """Those of them that went forward."""
    reply_tunnel_keys: bounds.Many[bounds.Key] = ()
    large_forward: bounds.Identities = ()
    """The same as `forward`, of the packets that are as large as the network allows, echo requests among them."""
    large_reply: bounds.Identities = ()
    error: bounds.Line = ""
    """Why nothing could be watched; empty where the point was watched."""
    out_of_sight: bounds.Line = ""
    """Why no capture can see the packets that pass here, or not all of them; what it counted is then no observation."""

    @property
    def is_watched(self) -> bool:
        """Whether what was not seen here did not pass."""
        return not self.error and not self.out_of_sight


class Step(path.Model):
    """One flow that a traced packet met, with what it counted before and after the probe."""

    bridge: bounds.Word
    table: bounds.Table
    priority: bounds.Priority | None = None
    match: bounds.Line = ""
    cookie: bounds.Word = ""
    actions: bounds.Lines = ()
    """What it does, in the trace's words (`set_field:…`, `goto_table:60`), without its remarks; shortened."""
    before: bounds.Count | None = None
    """Packets; None where the flow was not found in the table."""
    after: bounds.Count | None = None

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
    actions: bounds.Text = ""
    """What that flow does, as the dump of its table says; empty where it was not found."""
    instead: bounds.Line = ""
    """The agent's flow that the packet would meet; empty where there is none, or it is not known."""
    outcome: Outcome = "unknown"
    reason: bounds.Line = ""
    rewritten: bounds.Lines = ()
    """Datapath actions by which the packet has other addresses or ports when it leaves than it would have without."""
    command: bounds.Line = ""


class Trace(path.Model):
    """What the local switch says that it would do with a packet of the probe."""

    direction: path.Direction
    subject: Subject = "plan"
    state: State = "untracked"
    flow: bounds.Line
    command: bounds.Line
    expected: bounds.Line
    """Where the packet should leave, in words."""
    outcome: Outcome
    reason: bounds.Line = ""
    steps: bounds.Many[Step] = ()
    outputs: bounds.Lines = ()
    local_vlan: bounds.Vlan | None = None
    """Neutron's local VLAN, as the flows on the way set it."""
    without: Without | None = None
    """Of the flow on the way that has not the agent's cookie, and of several that without which the packet would pass;
    None where there is none, or the agent's cookie is not known."""
    untraced: Literal["", "conntrack-loop", "earlier-trace"] = ""
    """Why nothing was traced, where that could have harmed the host: the packet may recirculate in a circle, and
    `steps` are the flows that recirculate in it; or an earlier trace did not come back. Empty where it was traced."""
    text: bounds.Text = ""

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
    actions: bounds.Text
    ct_invalid: bool = False
    """Whether it is for packets that conntrack calls invalid."""
    ct_marked: bool = False
    """Whether it is for connections that Neutron's flows have marked as cut off (`ct_mark=1`)."""
    offloaded: bool = False
    """Whether a NIC forwards its packets by itself."""
    raw: bounds.Text

    @property
    def drops(self) -> bool:
        """Whether its packets go nowhere."""
        return self.actions.strip() == "drop"


class Probe(path.Model):
    """What the source's own tool says of its packets."""

    command: bounds.Line
    transmitted: bounds.Packets
    sent: bounds.Identities = ()
    """Identities, where the tool knows them."""
    answered: bounds.Packets = 0
    refused: bounds.Packets = 0
    """TCP: connections reset; UDP: port unreachable."""
    duration: bounds.Seconds = 0.0
    """Seconds from the first packet to the end of waiting for answers."""
    output: bounds.Text = ""

    @pydantic.model_validator(mode="after")
    def _adds_up(self) -> "Probe":
        if not self.refused <= self.answered <= self.transmitted or len(self.sent) > self.transmitted:
            raise ValueError(
                f"{self.refused} refused of {self.answered} answered of {self.transmitted} packets, with "
                f"{len(self.sent)} named, do not add up"
            )
        return self


class Rendezvous(path.Model):
    """How this unit knows that the other one watched at the same time."""

    nonce: bounds.Word = ""
    """Names this attempt."""
    heard: bounds.Words = ()
    """The other unit's attempts that were heard while this one watched."""
    heard_first: bounds.Word = ""
    """The attempt of the other unit that was heard before the probe began (source) or first (destination)."""
    heard_done: bounds.Word = ""
    """The attempt of the other unit that said it was done while this one still watched."""
    by: bounds.Words = ()
    """The addresses that were heard from."""


class Trunk(path.Model):
    """How a port of a trunk is joined to br-int."""

    bridge: bounds.Word
    """The trunk's."""
    patch: bounds.Word = ""
    """The port's end on br-int, whose OpenFlow port and local VLAN are those of `Device`; empty where there is none."""
    peer: bounds.Word = ""
    """Its end on the trunk's bridge."""
    vlan: bounds.Vlan | None = None
    """The VLAN tag of the port's packets on the guest's device, by Neutron; None for the parent's, which have none."""
    fault: trunk.Fault | Literal[""] = ""
    """The code of what is wrong there; empty where all is well."""
    problem: bounds.Line = ""
    """The same as a sentence without its full stop."""


class Device(path.Model):
    """The port's device on this host; of a trunk's subport, its parent's."""

    name: bounds.Word = ""
    present: bool = False
    ofport: bounds.Ofport | None = None
    tag: bounds.Vlan | None = None
    mac: bounds.Word = ""
    """The device's own address; a tap's differs from its guest's in the first byte."""
    mtu: bounds.Bytes = 0
    """Bytes of an IP packet; 0 where it is not known."""
    unsent: bounds.Count = 0
    """By how much the kernel's count of packets that it could not send by the device (`tx_errors`) rose during the
    probe; with the datapath in the kernel, packets over the device's MTU are among them."""
    addresses: bounds.Words = ()
    up: bool = False
    carrier: bool = False
    on_switch: bool = False
    error: bounds.Line = ""
    out_of_sight: bounds.Line = ""
    """Why this host's kernel does not show a device that its switch has open; `present`, `up`, `carrier`, `addresses`
    and `mtu` then say nothing. Empty where it does."""
    trunk: Trunk | None = None
    """None where the device is plugged into br-int itself."""


class Limit(path.Model):
    """Something on the way of the packets that may lose them lawfully."""

    kind: Literal["meter", "policer", "queue", "action"]
    """`action` is one of a flow that counts nothing, such as `set_queue`."""
    name: bounds.Word
    """In words: `meter 7 of br-int`."""
    direction: path.Direction
    """Of the packets that pass it."""
    bridge: bounds.Word = ""
    """Where it is one of a flow."""
    step: bounds.Line = ""
    """That flow, as a step of the trace is written."""
    setting: bounds.Line = ""
    dropped: bounds.Count | None = None
    """Packets that it dropped during the probe, whoever's; None where that is not known."""

    def __str__(self) -> str:
        return f"{self.name} ({self.setting})" if self.setting else self.name


class History(path.Model):
    """What has changed on this host's switch since its newest snapshot."""

    snapshot: bounds.Line
    """Its name."""
    taken: bounds.Word
    """UTC, ISO 8601."""
    version: bounds.Word = ""
    """Of ovs-vswitchd, then."""
    differences: bounds.Lines = ()
    """Lines on flows and settings that differ, the first of them."""
    count: bounds.Count = 0


class Evidence(path.Model):
    """All that one unit found out for one run."""

    version: Literal[1] = EVIDENCE_VERSION
    run: path.RunId
    unit: path.OptionalUnit
    roles: Annotated[tuple[path.Role, ...], pydantic.Field(min_length=1, max_length=2)]
    started: bounds.Moment
    """UTC by this unit's clock; compared with another unit's only where neither heard the other."""
    seconds: bounds.Seconds = 0.0
    hostname: bounds.Word = ""
    """Fully qualified, where the host knows it so."""
    kernel: bounds.Word = ""
    """Its release, as `uname -r` says."""
    ovs_version: bounds.Word = ""
    vswitchd: bounds.Line = ""
    """Why ovs-vswitchd was asked for nothing, in a few words: it does not answer; empty where it does."""
    datapath_type: bounds.Word = ""
    agent_version: bounds.Word = ""
    """Of the package neutron-openvswitch-agent; empty where it is not installed as one."""
    devices: dict[path.Role, Device] = pydantic.Field(default_factory=dict[path.Role, Device])
    tunnel: bounds.Word | None = None
    """The tunnel port towards the other host; None where there is none."""
    tunnel_error: bounds.Line = ""
    """Why the switch does not take that port; empty where it does."""
    tunnel_remote: bounds.Word = ""
    """The other end of the tunnel port that bears the name Neutron gives to the one towards the other host."""
    agent_cookies: bounds.ByWord[bounds.Word] = pydantic.Field(default_factory=dict[str, str])
    """The cookie that Neutron's agent gives its flows, by bridge: any other flow is not the agent's."""
    empty_bridges: bounds.Words = ()
    """Those of the traced bridges that have no flows at all, as after a restart that nothing has followed."""
    underlay_route: bounds.Word = ""
    """The device that the host would use towards the other tunnel end; empty where there is no route."""
    neighbour_state: bounds.Word = ""
    """The source's neighbour entry for the destination after the probe, as `ip neigh` says."""
    link_local: bounds.Word = ""
    """What the source host finds out, after a probe without answers, of the guest's link-local address, by `ip neigh`:
    a guest that lives and has lost its address still answers for that one."""
    probe: Probe | None = None
    unresolved: bounds.Count = 0
    """How often the source had asked for the destination's MAC address when the probe ended, where it then still had no
    answer: the kernel keeps back what it would send."""
    large: Probe | None = None
    """Packets as large as the network's MTU, which must not be fragmented; sent beside the probe's. Only those of ICMP
    are ever counted as answered."""
    large_echoes: Probe | None = None
    """The same of ICMP, where the plan has another protocol."""
    observations: bounds.Few[Observation] = ()
    traces: bounds.Few[Trace] = ()
    megaflows: bounds.Many[Megaflow] = ()
    heartbeats: bounds.Many[Megaflow] = ()
    """Datapath flows of the amphora's messages to Octavia's health manager."""
    limits: bounds.Few[Limit] = ()
    """Meters, policers and queues on the way."""
    conntrack_full: bounds.Lines = ()
    """Sentences on the conntrack tables that had no room after the probe."""
    drops: bounds.ByWord[bounds.Count] = pydantic.Field(default_factory=dict[str, int])
    """By how much vswitchd's own counters of dropped packets rose during the probe, whoever's packets they were."""
    patches: bounds.Lines = ()
    """Sentences on patch ports between the bridges that lead nowhere."""
    mirrors: bounds.Lines = ()
    """Sentences on mirrors of others on the bridges of the path."""
    log: bounds.Lines = ()
    """Warnings and errors that ovs-vswitchd has logged since the probe began."""
    log_unread: bounds.Line = ""
    """Why its log could not be read; empty where it was."""
    history: History | None = None
    rendezvous: Rendezvous = Rendezvous()
    problems: bounds.Lines = ()
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
    device: bounds.Word
    packets: bounds.Count
    more: bounds.Count = 0
    """Packets that there was no room for."""
    pcap: Annotated[str, pydantic.StringConstraints(max_length=200_000)]
    """A capture file in the classic format (pcap-savefile(5)), in base64."""


class Captures(path.Model):
    """Of one unit."""

    captures: bounds.Few[Capture] = ()


class Attempt(path.Model):
    """What became of one round of packets in a trial."""

    sent: bounds.Packets = 0
    """By this unit; 0 on a unit that is not the source's."""
    answered: bounds.Packets = 0
    forward: dict[path.Point, bounds.Packets] = pydantic.Field(default_factory=dict[path.Point, int])
    """Packets seen at each point of this host that was watched."""
    reply: dict[path.Point, bounds.Packets] = pydantic.Field(default_factory=dict[path.Point, int])

    @pydantic.model_validator(mode="after")
    def _adds_up(self) -> "Attempt":
        if self.answered > self.sent:
            raise ValueError(f"{self.answered} answers to {self.sent} packets do not add up")
        return self


class Trial(path.Model):
    """One thing was changed for a moment, and the probe repeated: before, during, after."""

    version: Literal[1] = EVIDENCE_VERSION
    trial: Literal["flows", "port-security"]
    run: path.RunId
    unit: path.UnitName
    role: path.Role
    """The end of the path at which it was changed."""
    started: bounds.Moment
    """UTC by this unit's clock."""
    change: bounds.Line
    """What was changed, in words."""
    commands: bounds.Lines = ()
    """The same as commands, as one would type them."""
    learned: bool = False
    """Whether the destination may have learned the source's MAC address by the change: nobody can take that back."""
    before: Attempt = Attempt()
    during: Attempt | None = None
    """None where nothing was changed."""
    after: Attempt | None = None
    met: bounds.Count | None = None
    """Packets that came to what was changed while it was there; None where that was not counted."""
    lived: bounds.Seconds = 0.0
    """Seconds for which the change was there; 0 where another unit made it."""
    exposure: bounds.Seconds = 0.0
    """Seconds of those in which this unit sent nothing and waited for nothing."""
    outcome: bounds.Line = ""
    """How the change was undone, in a sentence."""
    left: bounds.Line = ""
    """What could not be undone, in a sentence; empty where nothing is left."""
    problem: bounds.Line = ""
    """Why the trial was not made, or tells nothing, in a sentence."""
