"""History: what has changed on this host's switch since its newest snapshot, for the evidence of a probe."""

import pathlib

from .. import errors
from ..evidence import record
from ..vswitch import snapshot
from . import differences, snapshots, storage

MOST_BYTES = 8_000_000
"""Of a snapshot that is compared beside a probe, some 30,000 flows: a larger one would take seconds."""
_LINES = 10
_LONGEST = 300


def since_snapshot(folder: pathlib.Path, unit: str) -> record.History | None:
    """Compare the switch with the newest snapshot that was taken on this host; None without one.

    Args:
        folder: Where the charm keeps its files.
        unit: The unit that this runs on.

    Raises:
        PathfinderError: The snapshot cannot be read, or the switch does not answer.
    """
    newest = next(iter(storage.Storage(folder / snapshots.FOLDER).files()), None)
    if newest is None or newest.stat().st_size > MOST_BYTES:
        return None
    before = snapshot.Snapshot(newest)
    found = differences.lines(before, snapshot.Live(unit))
    return record.History(
        snapshot=newest.name,
        taken=before.switch.taken,
        version=before.switch.versions.vswitchd,
        differences=tuple(line[:_LONGEST] for line in found[:_LINES]),
        count=len(found),
    )


def added(evidence: record.Evidence, folder: pathlib.Path) -> record.Evidence:
    """Add history to the evidence of a unit at which packets or answers are missing."""
    if not _is_lossy(evidence):
        return evidence
    try:
        return evidence.model_copy(update={"history": since_snapshot(folder, evidence.unit)})
    except errors.PathfinderError as error:
        sentence = f"What has changed since the newest snapshot is not known: {error}."
        return evidence.model_copy(update={"problems": (*evidence.problems, sentence)})


def _is_lossy(evidence: record.Evidence) -> bool:
    probe = evidence.probe
    if probe is not None and probe.answered < probe.transmitted:
        return True
    return any(not one.error and not (one.forward and one.reply) for one in evidence.observations)
