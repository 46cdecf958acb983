"""What an action tells Juju: the one way out, where all text is made fit to be shown."""

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
