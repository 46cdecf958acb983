"""The diagnosis as a thing: verdict, findings, and what was counted at each hop."""

from typing import Literal

from .. import bounds, path

DIAGNOSIS_VERSION = 1

Verdict = Literal["ok", "degraded", "broken", "cannot-tell"]
Certainty = Literal["proven", "likely", "possible"]
Effect = Literal["heals", "none", "passing", "needless", "unclear"]
"""Of a trial: the packets arrived with the change alone; no more than without it; still, after it was undone; all of
them before it; or it tells nothing."""


class Finding(path.Model):
    """One thing that is the matter, with what it rests on."""

    code: bounds.Word
    """From the vocabulary of `codes.MEANINGS`."""
    direction: path.Direction | None = None
    hop: path.Hop | None = None
    """Where the packets stop; None where they do not, or it is not known."""
    unit: path.OptionalUnit = ""
    certainty: Certainty
    summary: bounds.Line
    """One sentence."""
    evidence: bounds.Lines = ()
    """What it rests on, quoted."""
    against: bounds.Lines = ()
    """What speaks against it or could not be confirmed."""
    next: bounds.Lines = ()
    """What to do, as sentences or as commands to paste."""


class HopState(path.Model):
    """One hop of the path: what the rules say of it, and what was seen there."""

    hop: path.Hop
    unit: path.OptionalUnit = ""
    device: bounds.Line = ""
    forward: bounds.Packets | None = None
    """How many of the probe's packets were seen there; None where nobody watched."""
    reply: bounds.Packets | None = None
    theory_forward: bounds.Line = ""
    """What the traces say of this hop, in a few words; empty where they say nothing."""
    theory_reply: bounds.Line = ""
    lost: Literal["", "forward", "reply", "both"] = ""
    """The direction in which packets stop here."""


class Trial(path.Model):
    """What was changed for a moment, and what it did to the packets."""

    trial: Literal["flows", "port-security"]
    unit: path.UnitName
    role: path.Role
    effect: Effect
    summary: bounds.Line
    """One sentence, with the counts."""
    left: bounds.Line = ""
    """What could not be undone; empty where nothing is left."""


class Host(path.Model):
    """A host of the path, and what was looked at there."""

    roles: bounds.Few[path.Role]
    unit: bounds.Word = ""
    name: bounds.Word = ""
    """Fully qualified, as the host says; as Neutron says, where no evidence of it has arrived."""
    started: bounds.Line = ""
    """When its unit began, UTC by its own clock; empty, as the following, where no evidence has arrived."""
    ovs_version: bounds.Word = ""
    datapath_type: bounds.Word = ""
    kernel: bounds.Word = ""


class Diagnosis(path.Model):
    """What plan and evidence say together."""

    version: Literal[1] = DIAGNOSIS_VERSION
    run: path.RunId
    source: bounds.Line
    destination: bounds.Line
    protocol: path.Protocol
    verdict: Verdict
    code: bounds.Word
    direction: path.Direction | None = None
    hop: path.Hop | None = None
    unit: path.OptionalUnit = ""
    certainty: Certainty
    summary: bounds.Line
    sent: bounds.Packets
    answered: bounds.Packets
    lost: bounds.Packets = 0
    """How many of the probe's packets are lost at `hop`, of those that came to it; 0 where none are, as where others
    than the probe's are lost, or where the guest refuses what it gets."""
    of: bounds.Packets = 0
    carrier: Literal["probe", "neighbour"] = "probe"
    """What `hops` counts: the probe's packets, or, where the neighbour did not resolve and the probe could not be
    sent, the questions for it (ARP, neighbour discovery) and their answers."""
    findings: bounds.Few[Finding]
    """The first is the one that the fields above repeat."""
    hops: bounds.Few[HopState]
    hosts: bounds.Few[Host] = ()
    trials: bounds.Few[Trial] = ()
    missing: bounds.Lines = ()
    """Whole sentences on evidence that is not there or could not be used."""
