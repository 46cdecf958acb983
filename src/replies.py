"""What the charm tells Juju, in results and in its log: the one way out, where all text is made fit to be shown."""

import logging
from collections.abc import Mapping

import ops

from ovs_pathfinder import text


class Reply:
    """The answer of one action."""

    def __init__(self, event: ops.ActionEvent) -> None:
        self._event = event

    def log(self, sentence: str) -> None:
        """Tell how far the action has come."""
        self._event.log(text.plain(sentence))

    def give(self, results: Mapping[str, str]) -> None:
        """Return results."""
        self._event.set_results({key: text.lines(value) for key, value in results.items()})

    def fail(self, sentence: str) -> None:
        """Say what is wrong; results that were given stay."""
        self._event.fail(text.plain(sentence))


def filter_log() -> None:
    """Have everything that is logged from now on made fit to be shown by `juju debug-log`."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(_SHOWN)


class _Shown(logging.Filter):
    """Changes records, and lets all of them pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = text.lines(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = text.lines(logging.Formatter().formatException(record.exc_info))
        return True


_SHOWN = _Shown()
"""One, as a handler takes the same one once."""
