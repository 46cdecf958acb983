"""Tests for `tests:` in tests.yaml."""

import logging
import unittest

from ..report import outcome, render
from . import client, options, tracing

LONGEST = 7200.0
"""Seconds that testing all paths may take."""


class PathTest(unittest.TestCase):
    """Every amphora can be reached from every unit of Octavia; `tests_options` name other sources and destinations."""

    def test_every_destination_is_reached_from_every_source(self) -> None:
        """Trace all paths; each that is not ok fails with its report, and none keeps another from being tested."""
        chosen = options.read()
        traced = client.run(lambda: tracing.trace(chosen), LONGEST)
        for one in traced.found.paths:
            with self.subTest(source=one.source, destination=one.destination):
                if one.verdict != "ok":
                    self.fail(_told(one))
        report = tracing.write(traced.found, chosen.folder / "paths")
        logging.info("the report is %s; %d files of captured packets", report, len(traced.captures))


def _told(one: outcome.Outcome) -> str:
    """Return a report to read in the log of a test."""
    text = render.document(outcome.Outcomes(paths=(one,)), "text")
    return f"{one.source} → {one.destination} {one.note}".rstrip() + f" is {one.verdict}\n{text}"
