"""Tests for `tests:` in tests.yaml."""

import logging
import unittest

from ..report import outcome, render
from . import client, options, tracing


class PathTest(unittest.TestCase):
    """Every amphora can be reached from every unit of Octavia; `tests_options` name other sources and destinations."""

    def test_every_destination_is_reached_from_every_source(self) -> None:
        """Trace all paths; each that is not ok fails with its report, and none keeps another from being tested."""
        chosen = options.read()
        traced = client.run(lambda: tracing.trace(chosen, "paths"))
        logging.info("reports are in %s, captured packets in %s", traced.report, chosen.folder / "captures")
        for one in traced.found.paths:
            with self.subTest(source=one.source, destination=one.destination):
                if one.verdict != "ok":
                    self.fail(_told(one))


def _told(one: outcome.Outcome) -> str:
    """Return a report to read in the log of a test."""
    text = render.document(outcome.Outcomes(paths=(one,)), "text")
    return f"{one.source} → {one.destination} {one.note}".rstrip() + f" is {one.verdict}\n{text}"
